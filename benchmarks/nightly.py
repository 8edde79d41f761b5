"""The nightly job: run the nightly study and the benchmarks, write the report, a summary and a verdict.

    python -m benchmarks.nightly            everything, into results/nightly; ends with the verdict's exit code
    python -m benchmarks.nightly verdict    read the verdict that lies there, print it, end with its exit code

    DIR/study/  DIR/report/             the rows of the study, and its report
    DIR/benchmarks/  DIR/benchmarks.json   the rows of the benchmarks' trials, and what pytest-benchmark saw
    DIR/run.log  DIR/benchmarks.log  DIR/report.log   what the three steps printed
    DIR/summary.md                      for people; appended to the file that GITHUB_STEP_SUMMARY names, if it is set
    DIR/verdict.json                    for machines

Every step is a command that a user could type, and runs whether or not the one before it failed; the verdict says what
went wrong, and is "not passed" from the start, so that a job that is killed has not passed. What this does *not* do:
compare with earlier nights. The verdict keeps a place for that: `history`, null until then.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from lrbench.errors import InputError
from lrbench.place import place
from lrbench.store import load, locked, read_study_record

REPOSITORY = Path(__file__).resolve().parent.parent
SCHEMA_VERSION = 1
TIME_LIMIT_SECONDS = 1800  # of one trial: a hung one is a row with its status, not the end of the night
FOLDERS = ("study", "report", "benchmarks")
FILES = ("run.log", "benchmarks.log", "report.log", "benchmarks.json", "summary.md", "verdict.json")
NOT_ENDED = "the job did not come to its end"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nightly", description=__doc__.split("\n\n")[0])
    parser.add_argument("what", nargs="?", choices=("run", "verdict"), default="run")
    parser.add_argument("--out", type=Path, default=Path("results/nightly"), help="folder [results/nightly]")
    parser.add_argument("--study", default="nightly", help="a study file, or a built-in study [nightly]")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda [auto]")
    parser.add_argument("--set", metavar="FACTOR=LEVEL", action="append", default=[], help="as in lrbench run")
    parser.add_argument("--select", metavar="WORDS", default="", help="only these benchmarks, as in pytest -k")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a service sends first when it cancels a job
    try:
        return told(options.out) if options.what == "verdict" else run(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Do everything, write everything, and return the verdict's exit code."""
    out = options.out.resolve()
    clear(out)
    began_at, began = datetime.now(UTC), time.monotonic()
    exits: dict[str, int] = {}
    write_verdict(out, verdict(out, exits, [NOT_ENDED], began_at, 0.0))
    problems = []
    try:
        for name, command in steps(out, options).items():
            exits[name] = step(command, out / f"{name}.log")
    except KeyboardInterrupt:
        problems = ["the job was interrupted"]
    found = verdict(out, exits, problems, began_at, time.monotonic() - began)
    write_verdict(out, found)
    summary = summary_text(out, found)
    (out / "summary.md").write_text(summary, encoding="utf-8")
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(summary)
    return told(out)


def told(out: Path) -> int:
    """Print the verdict in DIR and return its exit code. Raises InputError where there is none."""
    path = out / "verdict.json"
    if not path.is_file():
        raise InputError(f"{path} does not exist: no nightly job has run there. Type: make nightly")
    found = json.loads(path.read_text(encoding="utf-8"))
    print("\n".join([f"nightly: {'passed' if found['passed'] else 'not passed'} ({path})", *found["problems"]]))
    return found["exit_code"]


# ----------------------------------------------------------------------------------------------------------- the steps


def clear(out: Path) -> None:
    """Remove what an earlier job wrote into the folder, and nothing else: tonight's verdict is on tonight's rows."""
    with locked(out / "study"):  # refused while a runner is at work there
        for name in FOLDERS:
            shutil.rmtree(out / name, ignore_errors=True)
    for name in FILES:
        (out / name).unlink(missing_ok=True)


def steps(out: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the commands, in order: {name: arguments}."""
    python, device = sys.executable, ["--device", options.device]
    levels = [word for setting in options.set for word in ("--set", setting)]
    limit = ["--time-limit", str(TIME_LIMIT_SECONDS)]
    select = ["-k", options.select] if options.select else []
    pytest = ["pytest", "benchmarks", "--benchmark-only", "--rows", str(out / "benchmarks")]
    return {
        "run": [python, "-m", "lrbench", "run", options.study, "--out", str(out / "study"), *device, *limit, *levels],
        "benchmarks": [python, "-m", *pytest, f"--benchmark-json={out / 'benchmarks.json'}", *device, *select],
        "report": [python, "-m", "lrbench", "report", str(out / "study"), "--out", str(out / "report")],
    }


def step(command: list[str], log: Path) -> int:
    """Run one command to its end, its output on ours and in the log; return its exit code."""
    print("$", *command, flush=True)
    with (
        open(log, "w", encoding="utf-8", buffering=1) as file,
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on, once
        ) as process,
    ):
        try:
            for line in process.stdout:
                file.write(line)
                print(line, end="", flush=True)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    return process.returncode


# --------------------------------------------------------------------------------------------------------- the verdict


def verdict(out: Path, exits: dict[str, int], problems: list[str], began_at: datetime, seconds: float) -> dict:
    """Return what verdict.json holds, from what lies in the folder and how the steps ended."""
    study, benchmarks = study_counts(out / "study"), benchmark_counts(out / "benchmarks.json")
    problems = [*problems, *wrong(out, exits, study, benchmarks)]
    return {
        "schema_version": SCHEMA_VERSION,
        "passed": not problems,
        "exit_code": 1 if problems else 0,
        "problems": problems,
        "began_at": began_at.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "place": place(),
        "study": {"exit_code": exits.get("run"), **study},
        "benchmarks": {"exit_code": exits.get("benchmarks"), **benchmarks},
        "report": {"exit_code": exits.get("report"), "html": "report/report.html"},
        "history": None,
    }


def study_counts(folder: Path) -> dict:
    """Count the study's trials: planned, with a row, completed, failed by status, completed with their flags held."""
    if not (folder / "study.json").is_file():
        return {"num_trials": 0, "num_rows": 0, "num_completed": 0, "failed": {}, "num_flags_held": 0}
    rows = load(folder, ["status", "flags_held"])
    statuses = Counter(rows["status"])
    completed = rows[rows["status"] == "completed"]
    return {
        "num_trials": read_study_record(folder)["num_trials"],
        "num_rows": len(rows),
        "num_completed": len(completed),
        "failed": {status: count for status, count in sorted(statuses.items()) if status != "completed"},
        "num_flags_held": int(completed["flags_held"].sum()),
    }


def benchmark_counts(path: Path) -> dict:
    """Count the benchmarks that ran, by group. pytest-benchmark writes no file where none did."""
    found = benchmarks_in(path)
    return {"num_run": len(found), "groups": dict(sorted(Counter(b["group"] or "" for b in found).items()))}


def benchmarks_in(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["benchmarks"] if path.is_file() else []


def wrong(out: Path, exits: dict[str, int], study: dict, benchmarks: dict) -> list[str]:
    """Return in words everything that keeps the night from passing."""
    found = []
    done, planned = study["num_completed"], study["num_trials"]
    for status, count in study["failed"].items():
        found.append(f"{count} of {planned} trials: {status}")
    if missing := planned - study["num_rows"]:
        found.append(f"{missing} of {planned} trials have no row")
    if not planned and exits:
        found.append("no trial ran")
    if lost := done - study["num_flags_held"]:
        found.append(f"in {lost} of {done} completed trials a flag that was asked for was not in force")
    if exits and not benchmarks["num_run"]:
        found.append("no benchmark ran")
    for name, code in exits.items():
        if code and not (name == "run" and study["failed"]):  # those are told above
            found.append(f"{name} ended with exit code {code}: {last_words(out / f'{name}.log')}")
    return found


def last_words(log: Path) -> str:
    """Return the line of a log that says most: the first that begins with "error", else the last that is not empty."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("error")), lines[-1] if lines else "it printed nothing")


def write_verdict(out: Path, found: dict) -> None:
    path = out / "verdict.json"
    temporary = path.with_name(".verdict.json.tmp")
    temporary.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


# --------------------------------------------------------------------------------------------------------- the summary


def summary_text(out: Path, found: dict) -> str:
    """Return the night in Markdown: the verdict, the counts, the benchmarks, and the report without its pictures."""
    study, here = found["study"], found["place"]
    gpus = ", ".join(here["gpus"]) or "no GPU"
    lines = [
        f"# Nightly: {'passed' if found['passed'] else 'not passed'}",
        "",
        *(f"- {problem}" for problem in found["problems"]),
        f"- {study['num_completed']} of {study['num_trials']} trials completed",
        f"- every flag asked for was in force in {study['num_flags_held']} of these",
        f"- {found['benchmarks']['num_run']} benchmarks ran",
        f"- {here['hostname']}: {gpus}, {here['cpu_model']}, torch {here['torch_version']}, {found['seconds']:,.0f} s",
        "- against earlier nights: not compared yet",
    ]
    if benchmarks := benchmarks_in(out / "benchmarks.json"):
        lines += ["", "## Benchmarks", "", "| group | benchmark | rounds | median, ms |", "|---|---|---:|---:|"]
        lines += [
            f"| {b['group']} | {b['name']} | {b['stats']['rounds']} | {1000 * b['stats']['median']:.4g} |"
            for b in benchmarks
        ]
    report = out / "report" / "report.md"
    if report.is_file():
        text = report.read_text(encoding="utf-8").splitlines()
        lines += ["", "## Report", "", *(line for line in text if not line.startswith("!["))]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
