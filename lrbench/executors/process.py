"""A fresh process for each trial, forked from a parent (the zygote) that has torch and the staged data loaded.

A shell loop pays torch's import for every trial; this pays it once. The zygote is a program of its own, not
multiprocessing's forkserver: that one imports the caller's main module again in every child, which breaks scripts
without a __main__ guard, and cannot be started anew for other data. This side talks to the zygote and to each child.
"""

import json
import os
import pickle
import re
import signal
import socket
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from lrbench.errors import RunError, is_users
from lrbench.executors import Job, Running, how_it_ended, one_of_each
from lrbench.executors.stage_file import look, stage_file
from lrbench.factors import Trial
from lrbench.start import Zygote

OUTPUT_CHARACTERS = 2_000
FATAL = "Fatal Python error: "  # faulthandler's first words; at most a hundred frames come after them
DUMP_CHARACTERS = 20_000


class ProcessExecutor:
    def __init__(self, trials: list[Trial], data_root: Path | None, zygote: Zygote | None = None):
        zygote = zygote or Zygote()
        self._started, zygote.taken = zygote, True
        self._folder, self._log, self._zygote, self._socket = zygote.folder, zygote.log, zygote.process, zygote.socket
        self._control = Connection(os.dup(zygote.socket.fileno()))
        self._running: dict[int, Running] = {}
        self._next = 0
        workloads = {json.dumps(trial.workload, sort_keys=True): trial.workload for trial in trials}
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died: the next that is asked of it says how
            request = {"workloads": list(workloads.values()), "data_root": data_root, "num_trials": len(trials)}
            self._control.send(request)

    def check(self, trials: list[Trial], data_root: Path | None) -> list[str]:
        already = self._log.stat().st_size
        receiver = self._send("check", {"trials": one_of_each(trials), "data_root": data_root}, log=None)[1]
        problems, stage = None, ""
        try:
            while problems is None:
                while not receiver.poll(0.2):
                    if self._zygote.poll() is not None:
                        raise self._zygote_died()
                message, value = receiver.recv()
                if message == "stage":
                    stage = value
                else:
                    problems = value
        except (EOFError, OSError):  # its end, whole or in the middle of a message
            pass
        finally:
            receiver.close()
        try:
            while True:
                message, _, value = self._control.recv()
                if message == "ended":
                    break
        except (EOFError, ConnectionResetError):
            raise self._zygote_died() from None
        if problems is None:
            last_words = _last_words(self._log.read_bytes()[already:].decode(errors="replace"))
            during = f" at the {stage}" if stage else ""
            problems = [f"the check of this study {how_it_ended(value)}{during}{last_words}"]
        return problems

    def start(self, job: Job) -> Running:
        log = Path(self._folder.name) / f"trial-{self._next}.log"
        payload = {
            "trial": job.trial,
            "cores": job.cores,
            "gpu": job.gpu,
            "data_root": job.data_root,
            "columns": job.columns,
            "checkpoint": job.checkpoint,
            "watch": job.watch,
        }
        number, receiver = self._send("run", payload, log)
        running = Running(job=job, started=time.monotonic())
        running.private = {"receiver": receiver, "log": log, "pid": None, "killed": False}
        self._running[number] = running
        return running

    def wait(self, timeout_seconds: float) -> list[Running]:
        receivers = {r.private["receiver"]: r for r in self._running.values() if r.private["receiver"] is not None}
        for ready in wait([self._control, *receivers], timeout_seconds):
            if ready is not self._control:
                self._receive(receivers[ready])
        ended = []
        while self._control.poll():
            try:
                message, number, value = self._control.recv()
            except (EOFError, ConnectionResetError):
                raise self._zygote_died() from None
            running = self._running.get(number)
            if message == "started":
                running.private["pid"] = value
                if running.private["killed"]:
                    self.kill(running)
            elif message == "ended":
                while running.private["receiver"] is not None and running.private["receiver"].poll():
                    self._receive(running)  # to its end; a process that the trial left behind may keep it open
                self._close_receiver(running)
                self._look(running)
                running.exit = value
                running.output = self._tail(running.private["log"])
                for file in (running.private["log"], stage_file(running.private["log"])):
                    file.unlink(missing_ok=True)
                ended.append(self._running.pop(number))
        for running in self._running.values():
            self._look(running)
        return ended

    def kill(self, running: Running) -> None:
        running.private["killed"] = True
        if running.private["pid"] is not None and running.exit is None:
            with suppress(ProcessLookupError):  # it has ended, and `wait` has not been told yet
                os.killpg(running.private["pid"], signal.SIGKILL)

    def close(self) -> None:
        self._control.close()
        self._started.close()
        for running in self._running.values():
            self._close_receiver(running)
            if self._zygote.returncode != 0:  # it was killed itself, and could not end what its trials had started
                self.kill(running)

    def _send(self, message: str, payload: dict, log: Path | None) -> tuple[int, Connection]:
        """Ask the zygote for a child; return its number and the end of the pipe on which it will answer."""
        number, self._next = self._next, self._next + 1
        read_end, write_end = os.pipe()
        try:
            # packed once more: the child unpacks it, and the zygote's memory stays as it is, shared with all of them
            self._control.send((message, number, pickle.dumps(payload), str(log) if log else None))
            socket.send_fds(self._socket, [b"!"], [write_end])
        except (BrokenPipeError, ConnectionResetError):
            os.close(read_end)
            raise self._zygote_died() from None
        finally:
            os.close(write_end)
        return number, Connection(read_end, writable=False)

    def _receive(self, running: Running) -> None:
        receiver = running.private["receiver"]
        try:
            (running.row,) = receiver.recv()
        except (EOFError, OSError):  # its end, whole or in the middle of a message
            self._close_receiver(running)

    @staticmethod
    def _look(running: Running) -> None:
        running.stage, running.share = look(stage_file(running.private["log"])) or (running.stage, running.share)

    @staticmethod
    def _close_receiver(running: Running) -> None:
        if running.private["receiver"] is not None:
            running.private["receiver"].close()
            running.private["receiver"] = None

    def _zygote_died(self) -> Exception:
        self._zygote.wait()
        how = self._zygote.returncode
        how = f"was ended by signal {-how}" if how < 0 else f"left with exit code {how}"
        return RunError(
            f"the process that loads torch and starts the trials {how}; finished trials are kept, and the same command "
            f"goes on from here\n{self._tail(self._log)}".strip()
        )

    @staticmethod
    def _tail(path: Path) -> str:
        if not path.exists():
            return ""
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - DUMP_CHARACTERS))
            printed = file.read().decode(errors="replace").strip()
        end = printed[-OUTPUT_CHARACTERS:]
        _, fatal, dump = printed.rpartition(FATAL)
        if fatal and FATAL not in end:  # a long dump begins with what happened
            return f"{FATAL}{dump.splitlines()[0]}\n…\n{end}"
        return end


def _last_words(output: str) -> str:
    """Return what a dead process printed, with a dump of faulthandler folded to its reason and the user's frames.

    >>> _last_words("Fatal Python error: Aborted\\n\\nCurrent thread 0x1 (most recent call first):\\n")
    ': Fatal Python error: Aborted'
    """
    printed, fatal, dump = output.partition(FATAL)
    words = ""
    if fatal:
        frames = re.findall(r'File "(.+)", line (\d+) in (.+)', dump.partition("\n\n")[2].partition("\n\n")[0])
        own = [frame for frame in frames if is_users(Path(frame[0]))] or frames
        words = f": {fatal}{dump.splitlines()[0]}"
        words += "".join(
            f"{', called from' if n else ' in'} {file}:{line} in {f}" for n, (file, line, f) in enumerate(own[:3])
        )
    printed = "\n".join(printed.strip().splitlines()[-5:])
    return f"{words}. It printed:\n{printed}" if printed else words
