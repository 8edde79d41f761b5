"""The cores and GPUs of this machine, and which trial may use which of them. No torch here.

What this does *not* do: start anything (`lrbench.executors`), or decide what runs (`lrbench.runner`).
"""

import os
from collections import Counter
from dataclasses import dataclass

from lrbench import nvml
from lrbench.errors import InputError
from lrbench.factors import Trial


@dataclass(kw_only=True, eq=False)
class Claim:
    """What one running trial holds: cores of its own, or a GPU; `shared` once another trial has had a part of it."""

    cores: tuple[int, ...] = ()
    gpu: str | None = None
    shared: bool = False


class Devices:
    """The cores and GPUs of this machine, and which of them are free.

    A trial is timed alone: on a CPU it is pinned to as many cores as it has threads, on a GPU it has the GPU. More jobs
    than that can be had only by asking (--jobs), and then the rows of trials that shared are marked `packed`.
    """

    def __init__(self, trials: list[Trial], jobs: int | None):
        self._cores = sorted(os.sched_getaffinity(0))
        self._gpus = [gpu["id"] for gpu in nvml.visible_gpus()]
        for trial in trials:
            if trial.device.startswith("cuda"):
                self._find_gpus(trial.device)
        threads = max((trial.num_threads for trial in trials), default=1)
        if threads > len(self._cores):
            raise InputError(
                f"num_threads = {threads} is more than the {len(self._cores)} cores that this process may use"
            )
        on_gpu = all(trial.device.startswith("cuda") for trial in trials)
        self.capacity = max(1, len(self._gpus) if on_gpu and trials else len(self._cores) // threads)
        self._asked = jobs or self.capacity
        self.jobs = self._asked
        self.packed = self.jobs > self.capacity
        self._claims: list[Claim] = []

    def at_most(self, num_trials: int) -> None:
        """Make no more jobs than there are trials to run now."""
        self.jobs = min(self._asked, max(1, num_trials))
        self.packed = self.jobs > self.capacity

    def _find_gpus(self, device: str) -> list[str]:
        if not self._gpus:
            raise InputError(f"device = {device!r}: this machine has no NVIDIA GPU that can be used. Type --device cpu")
        if device == "cuda":
            return self._gpus
        index = int(device.split(":")[1])
        if index >= len(self._gpus):
            known = ", ".join(f"cuda:{i}" for i in range(len(self._gpus)))
            raise InputError(f"device = {device!r} is not here; allowed: cuda, {known}")
        return [self._gpus[index]]

    def claim(self, trial: Trial) -> Claim | None:
        """Return what the trial may use now, or None while it has to wait."""
        if len(self._claims) >= self.jobs:
            return None
        if trial.device.startswith("cuda"):
            load = Counter(claim.gpu for claim in self._claims)
            gpu = min(self._find_gpus(trial.device), key=lambda gpu: load[gpu])
            if load[gpu] and not self.packed:
                return None
            claim = Claim(gpu=gpu)
        else:
            load = Counter(core for claim in self._claims for core in claim.cores)
            cores = sorted(self._cores, key=lambda core: (load[core], core))[: trial.num_threads]
            if any(load[core] for core in cores) and not self.packed:
                return None
            claim = Claim(cores=tuple(sorted(cores)))
        for other in self._claims:
            if (claim.gpu is not None and other.gpu == claim.gpu) or set(other.cores) & set(claim.cores):
                claim.shared = other.shared = True
        self._claims.append(claim)
        return claim

    def release(self, claim: Claim) -> None:
        self._claims.remove(claim)
