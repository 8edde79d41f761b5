"""Start the process that trials are forked from, before it is known which: it loads torch meanwhile.

The standard library alone: the command line does this first of all, and a quarter of a second of imports and planning
then costs nothing. What this does *not* do: talk to the zygote (`lrbench.executors.process`).
"""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

LARGE_PAGES = "glibc.malloc.hugetlb=1"  # glibc 2.35 and later: memory is asked for in pages of 2 MiB (tunables(7))


class Zygote:
    """A started zygote: its process, our end of its socket, its log, and a folder that goes with it."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="lrbench-")
        self.log = Path(self.folder.name) / "zygote.log"
        self.socket, theirs = socket.socketpair()
        arguments, environment = [str(theirs.fileno())], os.environ.copy()
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        if large_pages_are_ours_to_ask():
            arguments, environment["GLIBC_TUNABLES"] = [*arguments, "large-pages"], LARGE_PAGES
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lrbench.executors.zygote", *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the runner, which ends the trials in order
                env=environment,
            )
        theirs.close()
        self.taken = False  # by an executor; until then there is nothing in it to be lost

    def __enter__(self) -> "Zygote":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End it and everything it forked. Again is nothing."""
        if not self.taken:
            self.process.kill()
        self.socket.close()  # the zygote sees the end of its socket, ends its children and goes
        try:
            self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:  # it is still loading, or stopped; its children, if any, go with it
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


def large_pages_are_ours_to_ask() -> bool:
    """Say whether the system gives large pages to those who ask, and the user says nothing about them."""
    try:
        mode = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    except OSError:
        return False
    return "[madvise]" in mode and not os.environ.keys() & {"GLIBC_TUNABLES", "THP_MEM_ALLOC_ENABLE"}
