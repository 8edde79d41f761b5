"""A process that leaves at once keeps what was promised for its end; asked of real processes."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import atexit, sys, tempfile
from lrbench.leaving import leave

folder = tempfile.TemporaryDirectory()
atexit.register(lambda: print("an exit function"))
print(folder.name)
leave(int(sys.argv[1]))
"""


def leave(code: int, folder: Path, stdout) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", PROGRAM, str(code)]
    env = {"TMPDIR": str(folder)}  # without PYTHONUNBUFFERED: what was printed has yet to be written
    return subprocess.run(command, stdout=stdout, text=True, check=False, env=env)


def test_what_was_promised_for_the_end_happens(tmp_path):
    """Exit functions run, a temporary folder goes, what was printed into a pipe is printed, and the code is as said."""
    done = leave(3, tmp_path, subprocess.PIPE)
    folder, said = done.stdout.splitlines()
    assert folder.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert said == "an exit function"
    assert done.returncode == 3


def test_lost_output_is_no_success(tmp_path):
    """Where standard output cannot be written the code is Python's own for that, or the one that was asked for."""
    with open("/dev/full", "w") as full:
        assert leave(0, tmp_path, full).returncode == 120
        assert leave(2, tmp_path, full).returncode == 2


def test_a_command_whose_output_is_closed_still_works(tmp_path):
    """`lrbench … >&-` ends well, whatever it would have printed: there is nobody to tell."""
    for arguments in ("--help", "preview 'ConstantLR(1.0)' --lr 0.1 --epochs 2"):
        command = f"exec {sys.executable} -m lrbench {arguments} >&-"
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
