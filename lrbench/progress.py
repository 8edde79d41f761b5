"""How a run shows what it is doing: live on a terminal, plain lines elsewhere. Nothing here decides anything."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

from lrbench.errors import in_one_line
from lrbench.executors import Running
from lrbench.record import PRINTED
from lrbench.study import Study

FAILED = ("diverged", "out_of_memory", "timed_out", "crashed")


class Reporter(Protocol):
    def planned(
        self,
        *,
        study: Study,
        folder: Path,
        num_trials: int,
        done: Mapping[str, int],
        num_todo: int,
        num_others: int,
        devices,
        changes: list[str],
        may_grow: bool,
    ) -> None: ...
    def note(self, text: str) -> None: ...
    def preparing(self, executor: str) -> None: ...
    def running(self) -> None: ...
    def started(self, running: Running) -> None: ...
    def tick(self, running: list[Running]) -> None: ...
    def finished(self, row: dict) -> None: ...
    def grown(self, num_left: int) -> None: ...
    def ended(self, summary) -> None: ...
    def stop(self) -> None: ...


class SilentReporter:
    """Says nothing."""

    def planned(self, **_) -> None: ...
    def note(self, text: str) -> None: ...
    def preparing(self, executor: str) -> None: ...
    def running(self) -> None: ...
    def started(self, running: Running) -> None: ...
    def tick(self, running: list[Running]) -> None: ...
    def finished(self, row: dict) -> None: ...
    def grown(self, num_left: int) -> None: ...
    def ended(self, summary) -> None: ...
    def stop(self) -> None: ...


class Tally:
    """Counts of a run, and an estimate of the time that it still needs."""

    def __init__(self, done: Mapping[str, int], num_todo: int):
        self.statuses = Counter(done)
        self.num_todo = num_todo
        self.num_finished = 0
        self.began = time.monotonic()

    def add(self, row: dict) -> None:
        self.num_finished += 1
        self.statuses[row["status"]] += 1

    def seconds_left(self) -> float | None:
        """Return the time left if the rest goes on as the trials of this run did; None before the first has ended."""
        if not self.num_finished:
            return None
        return (time.monotonic() - self.began) / self.num_finished * (self.num_todo - self.num_finished)


class PlainReporter(SilentReporter):
    """One line for each trial that ends: for logs and pipes."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def planned(
        self, *, study, folder, num_trials, done, num_todo, num_others, devices, changes, may_grow=False
    ) -> None:
        self._tally = Tally(done, num_todo)
        self._varied = (*study.grid, *(("base_lr", "tuning") if study.tune is not None else ()))
        for line in plan_lines(study, folder, num_trials, done, num_todo, num_others, devices, changes, may_grow):
            self._say(line)

    def note(self, text: str) -> None:
        self._say(text)

    def grown(self, num_left: int) -> None:
        """Another stage begins: so many trials are left now, as far as is known."""
        self._tally.num_todo = self._tally.num_finished + num_left

    def preparing(self, executor: str) -> None:
        self._say("loading torch and the data …")

    def running(self) -> None:
        """Trials begin: of the first stage, or of a later one."""
        if not self._tally.num_finished:
            self._tally.began = time.monotonic()

    def finished(self, row: dict) -> None:
        self._tally.add(row)
        left = self._tally.seconds_left()
        rest = f"  {duration(left)} left" if left and left >= 1 else ""
        self._say(f"{self._tally.num_finished:>4}/{self._tally.num_todo}  {result_line(row, self._varied)}{rest}")

    def ended(self, summary) -> None:
        for line in summary_lines(summary):
            self._say(line)


def plan_lines(
    study: Study,
    folder: Path,
    num_trials: int,
    done: Mapping[str, int],
    num_todo: int,
    num_others: int,
    devices,
    changes: list[str],
    may_grow: bool = False,
) -> list[str]:
    """Return what a user wants to know before a run: the question, how much there is to do, and where.

    `num_others` counts the folder's rows that belong to no trial of the study as it is now; `changes` says how the
    study that the folder held differs from it; `may_grow` that later stages may add trials.
    """
    levels = [_levels_of(name, len(levels)) for name, levels in study.grid.items()]
    if study.until is not None:  # how many seeds run, its looks decide
        levels = [f"up to {text}" if name == "seed" else text for name, text in zip(study.grid, levels, strict=True)]
    varied = " × ".join([*levels, count(study.replicates, "replicate")])
    if study.tune is not None:
        varied += f", as written and tuned; {count(len(study.tune.seeds), 'selection seed')}"
    least = "at least " if may_grow else ""
    lines = [study.question, f"{least}{count(num_trials, 'trial')} ({varied}) → {folder}"]
    others = f"{count(num_others, 'row')} of the folder {'is' if num_others == 1 else 'are'} not part of it"
    if changes:
        lines.append(f"the study changed: {', '.join(changes)}" + (f"; {others}" if num_others else ""))
    elif num_others:
        lines.append(f"{others}: trials of an earlier study, or of another device")
    num_done = sum(done.values())
    if num_done:
        failed = num_done - done.get("completed", 0)
        have = f"{num_done} {'has' if num_done == 1 else 'have'} a row already"
        if not failed:
            lines.append(have)
        elif num_done == 1:
            lines.append(f"{have}, of a failure; --retry runs it again")
        else:
            again = "that one" if failed == 1 else "those"
            lines.append(f"{have}, {failed} of them failed; --retry runs {again} again")
    left = num_trials - num_done
    if num_todo < left:
        rest = left - num_todo
        lines.append(f"{num_todo} to run now (--limit); {rest} {'stays' if rest == 1 else 'stay'} for later")
    if num_todo and devices.packed:
        what = count(devices.capacity, "device")
        lines.append(f"{devices.jobs} at a time share {what}: rows of those that do are marked packed, not for speed")
    elif num_todo and devices.jobs > 1:
        lines.append(f"up to {devices.jobs} at a time, each alone on its device")
    return lines


def count(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> count(1, "trial"), count(2, "trial")
    ('1 trial', '2 trials')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _levels_of(factor: str, number: int) -> str:
    return count(number, factor) if factor in _COUNTED else f"{count(number, 'level')} of {factor}"


_COUNTED = ("seed", "scheduler", "optimizer", "workload", "device")  # other factors' names have no plural


_ALWAYS_TOLD = ("scheduler", "seed", "replicate", "cudnn_benchmark", "cudnn_deterministic")


def result_line(row: Mapping[str, Any], varied: Iterable[str] = ()) -> str:
    """Return one finished trial in a line: how it ended, what it is, and what it reached.

    Scheduler, seed, replicate and the cuDNN flags are always told; of other factors those that are `varied`.
    """
    what = [row["scheduler"], f"seed {row['seed']}", f"replicate {row['replicate']}"]
    what += [f"{name}={row.get(name)!s:.60}" for name in varied if name not in _ALWAYS_TOLD]
    flags = [name for name in ("cudnn_benchmark", "cudnn_deterministic") if row[name]]
    if row["status"] == "completed":
        speed = row.get("samples_per_second")
        seen = f"accuracy {row['final_accuracy']:.4f}" + (f"  {speed:,.0f} images/s" if speed else "")
        if row.get("num_resumes"):
            seen += f"  (went on from step {row['resumed_at_step']:,})"
        return f"{seen}  {', '.join([*what, *flags])}"
    reason = in_one_line((row.get("error") or "").partition(PRINTED)[0])
    return f"{row['status'].upper()}  {', '.join([*what, *flags])}  {reason:.160}"


def summary_lines(summary) -> list[str]:
    """Return how a run ended and what to type next."""
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items())) or "none"
    have = "trial has" if summary.num_trials == 1 else "trials have"
    lines = [f"{summary.num_rows} of {summary.num_trials} {have} a row: {counts}"]
    failed = summary.num_rows - summary.statuses.get("completed", 0)
    if summary.interrupted:
        lines.append("interrupted; every finished trial is kept. The same command goes on from here")
    elif summary.num_rows < summary.num_trials:
        lines.append("the same command without --limit runs the rest")
    if failed:
        what, them = ("failure", "it") if failed == 1 else ("failures", "them")
        whole = f'whole: column error of lrbench.load("{summary.folder}")'
        lines.append(f"lrbench show {summary.folder} lists the {what} ({whole}); --retry runs {them} again")
    return lines


def duration(seconds: float) -> str:
    """Return a duration for people.

    >>> duration(42), duration(125), duration(7300)
    ('42 s', '2 min 5 s', '2 h 1 min')
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


class LiveReporter(PlainReporter):
    """A live view on a terminal: a bar, what is running, the last results; failures stay above it."""

    LAST = 6

    def __init__(self):
        from rich.console import Console

        self._console = Console(stderr=True)
        super().__init__(self._console.file)
        self._live = None
        self._last: list[str] = []
        self._active: list[Running] = []
        self._preparing = None

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def preparing(self, executor: str) -> None:
        self._preparing = self._console.status("loading torch and the data …")
        self._preparing.start()

    def running(self) -> None:
        from rich.live import Live

        super().running()
        if self._live is not None:
            return
        self._preparing.stop()
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=5, transient=True)
        self._live.start()

    def tick(self, running: list[Running]) -> None:
        self._active = running

    def finished(self, row: dict) -> None:
        self._tally.add(row)
        line = result_line(row, self._varied)
        self._last = [*self._last, line][-self.LAST :]
        if row["status"] != "completed":
            self._console.print(line, style="red", highlight=False, markup=False, no_wrap=True, overflow="ellipsis")

    def ended(self, summary) -> None:
        self.stop()
        super().ended(summary)

    def stop(self) -> None:
        """Take the live view away, whatever state it is in."""
        if self._preparing is not None:
            self._preparing.stop()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self):
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        tally = self._tally
        left = tally.seconds_left()
        failed = sum(tally.statuses[status] for status in FAILED)
        counts = Text.assemble(
            (f"{tally.num_finished}/{tally.num_todo}", "bold"),
            "  ",
            (f"{failed} failed", "bold red" if failed else "dim"),
            f"  {len(self._active)} running  ",
            (
                f"{duration(left)} left" if left is not None else f"{duration(time.monotonic() - tally.began)} so far",
                "cyan",
            ),
        )
        head = Table.grid(padding=(0, 2))
        head.add_row(ProgressBar(total=max(1, tally.num_todo), completed=tally.num_finished, width=30), counts)
        rows = Table.grid(padding=(0, 2))
        for running in self._active:
            trial = running.job.trial
            seconds = time.monotonic() - running.started
            what = f"{trial.scheduler['name']}, seed {trial.seed}, replicate {trial.replicate}"
            rows.add_row("▸", what, running.stage, f"{running.share:4.0%}", duration(seconds))
        last = [Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in self._last]
        return Group(head, rows, *last)


def default_reporter() -> Reporter:
    """Return the live view where stderr is a terminal, plain lines elsewhere."""
    return LiveReporter() if sys.stderr.isatty() else PlainReporter()
