"""The nightly workflow, checked offline: sound, pinned, without logic, and uploading before anything fails."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
WORKFLOW = REPOSITORY / ".github" / "workflows" / "nightly-gpu.yml"
ZIZMOR = ["zizmor", "--offline", "--no-progress"]
SCHEMA = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
PINNED = re.compile(r"^\s+uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def check(command: list[str], workflow: Path) -> int:
    """Run a checker that lies beside this Python on a workflow file; return its exit code, 0 for no finding."""
    program = Path(sys.executable).with_name(command[0])
    return subprocess.run([program, *command[1:], workflow], capture_output=True).returncode


def steps() -> list[dict]:
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    return job["steps"]


@pytest.mark.parametrize("command", [ZIZMOR, SCHEMA], ids=lambda command: command[0])
def test_the_checkers_find_nothing(command):
    """zizmor and the published schema have nothing to say about the workflow."""
    assert check(command, WORKFLOW) == 0


@pytest.mark.parametrize(
    ("command", "sound", "fault"),
    [
        (ZIZMOR, r"@[0-9a-f]{40} # v", "@v"),
        (ZIZMOR, r"with:\n\s+persist-credentials: false\n", ""),
        (ZIZMOR, "run: make nightly\n", "run: echo ${{ github.event.head_commit.message }}\n"),
        (SCHEMA, "runs-on:", "runs_on:"),
        (SCHEMA, "timeout-minutes: 180", "timeout-minutes: soon"),
    ],
)
def test_the_checkers_find_planted_faults(command, sound, fault, tmp_path):
    """An action that is not pinned, a token left behind, an injection, a misspelt key, a wrong type: each is found."""
    planted, count = re.subn(sound, fault, WORKFLOW.read_text())
    assert count
    file = tmp_path / ".github" / "workflows" / "planted.yml"
    file.parent.mkdir(parents=True)
    file.write_text(planted)
    assert check(command, file) != 0


def test_every_action_is_pinned_by_commit_with_its_version_beside_it():
    """What runs tonight is what ran when the workflow was written, and a reader can tell which version that is."""
    uses = [line for line in WORKFLOW.read_text().splitlines() if "uses:" in line]
    assert len(uses) == 2
    assert all(PINNED.match(line) for line in uses)


def test_there_is_no_logic_in_it():
    """Each command is one target of the Makefile."""
    commands = [step["run"] for step in steps() if "run" in step]
    assert commands == ["make nightly", "make nightly-verdict"]


def test_what_was_written_is_uploaded_before_anything_fails():
    """Run, upload, verdict: the run may fail without ending the job, and the other two come whatever happened."""
    run, upload, verdict = steps()[-3:]
    assert run["run"] == "make nightly"
    assert run["continue-on-error"] is True
    assert upload["uses"].startswith("actions/upload-artifact@")
    assert upload["with"]["path"] == "results/nightly"
    assert upload["if"] == verdict["if"] == "always()"
    assert verdict["run"] == "make nightly-verdict"
    assert "continue-on-error" not in upload | verdict


@pytest.mark.parametrize(
    ("target", "command"),
    [("nightly", "-m benchmarks.nightly run"), ("nightly-verdict", "-m benchmarks.nightly verdict")],
)
def test_its_targets_are_those_of_the_makefile(target, command):
    """`make nightly` and `make nightly-verdict` are the module that the tests of the nightly job run."""
    dry = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", target], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout.strip().endswith(command)
