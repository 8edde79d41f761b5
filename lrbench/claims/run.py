"""`lrbench claims`: run the catalogue's claims, say each verdict as it is known, write them down.

Exit code 1 only where a gate fails: a refuted claim is a finding. What this does *not* do: judge (each claim does), or
make the page (`analysis.claims` does).
"""

import json
import shutil
import sys
import tempfile
import textwrap
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from lrbench import place
from lrbench.claims import tables
from lrbench.claims.frame import Claim, Room, Verdict, catalogue, gate_result, not_testable, place_of, select
from lrbench.claims.room import StudyRoom
from lrbench.errors import InputError

DEFAULT_FOLDER = Path("results") / "claims"


def claims_command(only: str | None, as_json: bool, out: Path | None) -> int:
    """Run the claims that `only` names, write them to `out` (default: results/claims), and return the exit code.

    Each verdict is printed as it is known; with `as_json` standard output is the list alone, and the lines go to a
    terminal's standard error. Raises InputError for an unknown area or id, and for a folder that cannot be written.
    """
    chosen = select(catalogue(), only)
    folder = Path(out) if out is not None else DEFAULT_FOLDER
    _require_writable(folder)
    stream = sys.stderr if as_json else sys.stdout
    room = StudyRoom(folder / "studies", place.default_device())

    def say(row: dict) -> None:
        if not as_json or stream.isatty():
            print(line_of(row), file=stream, flush=True)

    rows = execute(chosen, room, folder, say)
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print("\n".join(summary_lines(rows, folder)))
    return 1 if any(row["gate_result"] == "failed" for row in rows) else 0


def _require_writable(folder: Path) -> None:
    """Raise InputError where nothing can be written to: not after the first claim has been tested."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}. Name another folder: --out DIR") from None


def execute(claims: list[Claim], room: Room, folder: Path, say: Callable[[dict], None]) -> list[dict]:
    """Judge each claim, write its row and its evidence to `folder` the moment they are known, and return the rows.

    Rows of other claims that are there already stay, each with its own place and time.
    """
    rows = []
    for claim in claims:
        row, evidence = judged(claim, room)
        keep(folder, row, evidence)
        rows.append(row)
        say(row)
    return rows


def judged(claim: Claim, room: Room) -> tuple[dict, list[dict]]:
    """Return a claim's row and the rows of its evidence. A claim that breaks is inconclusive, and says how it broke."""
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    reason = not_testable(claim.where, room.device, len(place.place()["gpus"]))
    try:
        verdict = Verdict(word="not testable here", seen=reason) if reason else claim.judge(room)
    except Exception as error:  # noqa: BLE001 (one claim that breaks must not take the verdicts of the others with it)
        told = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(told.filename).name}, line {told.lineno}"
        verdict = Verdict(word="inconclusive", seen=f"it broke in {where}: {type(error).__name__}: {error}")
    row = {
        "id": claim.id,
        "area": claim.area,
        "statement": claim.statement,
        "where": claim.where,
        "kind": claim.kind,
        "expected": claim.expected,
        "source": claim.source,
        "gate": claim.gate,
        "gate_result": gate_result(claim.gate, verdict.word),
        "verdict": verdict.word,
        "seen": verdict.seen,
        "num_evidence": len(verdict.evidence),
        "device": room.device,
        "started_at": started_at,
        "seconds": round(time.monotonic() - began, 3),
        **_here(),
    }
    return row, [{"id": claim.id, "row": number, **item} for number, item in enumerate(verdict.evidence)]


def _here() -> dict:
    common, here = place.common_columns(str(Path.cwd())), place.place()
    names = [name for name in tables.CLAIMS if name in common]
    return {**{name: common[name] for name in names}, "gpus": ", ".join(here["gpus"])}


def keep(folder: Path, row: dict, evidence: list[dict]) -> None:
    """Put a claim's row and evidence in the place of its earlier ones. The evidence is there before the verdict is."""
    for name, columns, new in (("evidence", tables.EVIDENCE, evidence), ("claims", tables.CLAIMS, [row])):
        path = folder / f"{name}.parquet"
        others = [old for old in tables.read(path, columns) if old["id"] != row["id"]]
        tables.write(path, sorted(others + new, key=_place), columns)


def _place(row: dict) -> tuple:
    return place_of(row["id"]), row.get("row", 0)


# --------------------------------------------------------------------------------------------------------- what is said


def line_of(row: dict) -> str:
    """Return a claim in a line: its id, its verdict, what was seen; a gate's result too."""
    verdict = row["verdict"] if row["gate_result"] == "no gate" else f"{row['verdict']} (gate {row['gate_result']})"
    width = max(60, shutil.get_terminal_size().columns)
    head = f"{row['id']:<4} {verdict}: "
    return textwrap.fill(head + row["seen"], width, subsequent_indent="     ", break_long_words=False)


def summary_lines(rows: list[dict], folder: Path) -> list[str]:
    """Return how many verdicts there are of each word, which gates failed, and where all lies."""
    words = Counter(row["verdict"] for row in rows)
    gates = Counter(row["gate_result"] for row in rows if row["gate"])
    lines = ["", ", ".join(f"{count} {word}" for word, count in words.most_common())]
    if gates:
        lines[-1] += f"; gates: {', '.join(f'{count} {result}' for result, count in gates.most_common())}"
    lines += [f"failed gate {row['id']}: {row['statement']}" for row in rows if row["gate_result"] == "failed"]
    return [*lines, f"evidence: {folder}/claims.parquet, evidence.parquet"]
