"""The command line in processes of its own: run to the end, started and left running, or on a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

LRBENCH = [sys.executable, "-m", "lrbench"]
GIVE_UP_SECONDS = 120  # never waited for: a test that hangs fails here


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended, with what it wrote."""

    code: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what changes lrbench's answers, how wide it prints, or what pytest does."""
    unwanted = {"LRBENCH_DATA", "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "PYTHONUNBUFFERED"}
    unwanted.add("PYTEST_XDIST_WORKER")  # pytest-benchmark measures nothing where it is set
    return {k: v for k, v in os.environ.items() if k not in unwanted} | {"TERM": "dumb"} | changes


def start(*arguments: str | Path, folder: Path, **changes: str) -> subprocess.Popen:
    """Start `lrbench ARGUMENTS` in `folder`, in a process group of its own, as a shell would."""
    return subprocess.Popen(
        [*LRBENCH, *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**changes),
        process_group=0,
    )


def finish(process: subprocess.Popen) -> Ended:
    """Wait for a started command and return how it ended."""
    try:
        out, err = process.communicate(timeout=GIVE_UP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(code=process.returncode, out=out, err=err)


def lrbench(*arguments: str | Path, folder: Path, **changes: str) -> Ended:
    """Run `lrbench ARGUMENTS` in `folder` to its end."""
    return finish(start(*arguments, folder=folder, **changes))


def wait_until(what: str, condition, seconds: float = GIVE_UP_SECONDS):
    """Return the first true value of `condition()`; fail by name when it does not come."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)
    return value


def marked(mark: str) -> list[int]:
    """Return the ids of the live processes in whose environment LRBENCH_TEST_MARK is `mark`: a run and all it started.

    A process that has died and is only not yet reaped has no environment left, so it is not among them.
    """
    wanted = f"LRBENCH_TEST_MARK={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


class Terminal:
    """A command on a terminal of its own; what it draws gathers in `seen`."""

    def __init__(self, *arguments: str | Path, folder: Path, **changes: str):
        pid, self._terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            wide = {"TERM": "xterm-256color", "COLUMNS": "150", "LINES": "40"}
            os.execve(sys.executable, [*LRBENCH, *map(str, arguments)], environment(**wide, **changes))
        self.pid = pid
        self.seen = ""
        self.code: int | None = None

    def read(self, seconds: float = 0.05) -> bool:
        """Take in what was drawn; False once the other end is closed."""
        if not select.select([self._terminal], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def read_until(self, pattern: str) -> None:
        """Take in what is drawn until it matches a regular expression."""

        def found() -> bool:
            self.read()
            return bool(re.search(pattern, self.seen))

        wait_until(repr(pattern), found)

    def type(self, keys: str) -> None:
        """Type on the keyboard: "\\x03" is Ctrl-C, which the terminal turns into a signal to the foreground."""
        os.write(self._terminal, keys.encode())

    def finish(self) -> int:
        """Return the exit code, negative for a signal."""
        wait_until("the terminal to close", lambda: not self.read())
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_) -> None:
        os.close(self._terminal)
        if self.code is None:  # only after a test that failed
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
