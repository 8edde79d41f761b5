"""The clock of a trial: first step, settling and steady state apart; validation, probing and digests off it."""

from time import perf_counter

import torch

from lrbench.nvml import Gpu

# Steps after the first that are not yet steady (allocator, caches, clocks): a fifth of a short job, 20 of a long one.
SETTLE_STEPS = 20


class StepClock:
    """Accumulates seconds while it runs, and marks the end of each step.

    On CUDA a step's mark is an event in the stream: nothing waits for it. The host waits for the device only where the
    clock starts and stops, after the first step, and where the steady state begins.
    """

    def __init__(self, device: torch.device, num_steps: int, gpu: Gpu | None):
        self.num_steps = 0
        self._cuda = device.type == "cuda"
        self._gpu = gpu
        self._num_settle = min(SETTLE_STEPS, num_steps // 5)
        self._seconds = {"first": 0.0, "settle": 0.0, "steady": 0.0}
        self._phase = "first"
        self._segments: list[list] = []
        self._first_steps: list[int] = []
        self._joules = 0.0

    def start(self) -> None:
        """Go on the clock."""
        self._wait()
        if self._gpu is not None:
            self._joules_at_start = self._gpu.energy_joules()
        self._segments.append([self._mark()])
        self._first_steps.append(self.num_steps)
        self._since = perf_counter()

    def step(self) -> None:
        """Mark the end of a step."""
        self._segments[-1].append(self._mark())
        self.num_steps += 1
        if self._phase != "steady" and self.num_steps in (1, 1 + self._num_settle):
            self._close_phase()
            self._phase = "settle" if self.num_steps <= self._num_settle else "steady"

    def stop(self) -> None:
        """Go off the clock."""
        self._close_phase()
        if self._gpu is not None:
            joules = self._gpu.energy_joules()
            known = joules is not None and self._joules_at_start is not None
            self._joules = self._joules + joules - self._joules_at_start if known else float("nan")

    def state_dict(self) -> dict:
        """Return what is needed to go on in another process; only while off the clock."""
        return {
            "num_steps": self.num_steps,
            "seconds": dict(self._seconds),
            "phase": self._phase,
            "joules": self._joules,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from there. The single steps of the earlier process are forgotten: one timing is of one process."""
        self.num_steps, self._phase, self._joules = state["num_steps"], state["phase"], state["joules"]
        self._seconds = dict(state["seconds"])

    @property
    def train_seconds(self) -> float:
        """The seconds on the clock so far; only while off it are they whole."""
        return sum(self._seconds.values())

    def columns(self, batch_size: int) -> dict:
        """Return the `time` columns that come from the clock; null where the job was too short to tell."""
        num_steady = max(0, self.num_steps - 1 - self._num_settle)
        seconds = sorted(self._steady_step_seconds())
        steady = self._seconds["steady"]
        return {
            "first_step_seconds": self._seconds["first"],
            "settle_seconds": self._seconds["settle"],
            "train_seconds": self.train_seconds,
            "num_steps": self.num_steps,
            "num_steady_steps": num_steady,
            "samples_per_second": num_steady * batch_size / steady if num_steady else None,
            "step_seconds_median": _quantile(seconds, 0.5) if seconds else None,
            "step_seconds_p95": _quantile(seconds, 0.95) if seconds else None,
            "energy_joules": self._joules if self._gpu is not None and self._joules == self._joules else None,
        }

    def _mark(self):
        if not self._cuda:
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _wait(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()

    def _close_phase(self) -> None:
        self._wait()
        now = perf_counter()
        self._seconds[self._phase] += now - self._since
        self._since = now

    def _steady_step_seconds(self) -> list[float]:
        found = []
        for first, marks in zip(self._first_steps, self._segments, strict=True):
            for index in range(max(0, 1 + self._num_settle - first), len(marks) - 1):
                a, b = marks[index], marks[index + 1]
                found.append(a.elapsed_time(b) / 1000 if self._cuda else b - a)
        return found


def _quantile(ordered: list[float], share: float) -> float:
    """Return the value at a share of the ordered values, interpolated linearly (type 7 of Hyndman and Fan, 1996).

    >>> _quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.5
    """
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
