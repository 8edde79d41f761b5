"""The package outside its checkout: built as a wheel, unpacked elsewhere, used from an empty folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A function that runs `python -m lrbench …` from the unpacked wheel, in an empty folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "wheel")]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    (wheel,) = (folder / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    (folder / "work").mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PYTHONPATH": str(folder / "site")}
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(
            command, cwd=folder / "work", env=environment, capture_output=True, text=True, timeout=300
        )

    run.folder = folder
    return run


def test_the_wheel_holds_what_runs_and_no_tests(elsewhere):
    """Code, studies and report templates travel with the wheel; tests do not."""
    site = elsewhere.folder / "site"
    assert (site / "lrbench" / "share" / "studies" / "quickstart.toml").is_file()
    assert (site / "lrbench" / "share" / "notebooks" / "report.ipynb").is_file()
    assert (site / "analysis" / "page" / "report.py").is_file()
    assert not list(site.rglob("test_*.py"))


def test_run_report_show_and_preview_work_outside_the_checkout(elsewhere):
    """A built-in study runs, is reported and previewed from an empty folder, by the wheel's own code."""
    where = elsewhere("lrbench.errors")  # a module without a command: loads and leaves
    assert where.returncode == 0, where.stderr
    ran = elsewhere("lrbench", "run", "quickstart", "--set", "epochs=1", "--limit", "3", "--out", "out here")
    assert ran.returncode == 0, ran.stderr
    reported = elsewhere("lrbench", "report", "out here")
    assert reported.returncode == 0, reported.stderr
    html = (elsewhere.folder / "work" / "out here" / "report" / "report.html").read_text()
    assert "3 trials" in html
    shown = elsewhere("lrbench", "show", "out here")
    assert "3 of 448 trials" in shown.stdout, shown.stderr
    previewed = elsewhere("lrbench", "preview", "quickstart", "--json")
    assert len(json.loads(previewed.stdout)["schedules"]) == 7, previewed.stderr
    assert elsewhere("lrbench", "--version").stdout.startswith("lrbench ")


def test_it_is_the_wheels_code_that_ran(elsewhere):
    """PYTHONPATH goes before the editable install: the test above would otherwise prove nothing."""
    script = elsewhere.folder / "work" / "whose.py"
    script.write_text("import lrbench, analysis\nprint(lrbench.__file__, analysis.__file__)\n")
    printed = elsewhere("whose")
    assert printed.stdout.count(str(elsewhere.folder / "site")) == 2, printed.stderr
