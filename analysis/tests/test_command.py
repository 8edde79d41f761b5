"""`python -m analysis.NAME DIR`: what a terminal and a pipe get."""

import subprocess
import sys

from analysis.tests.simulate import study_of, write_study


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    """Where the pipe is closed before all is read, as by `| head -1`, the command ends well and says nothing of it."""
    folder = write_study(tmp_path / "s", study_of(grid={"seed": "0-1"}))
    command = [sys.executable, "-m", "analysis.schedulers", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, "")
