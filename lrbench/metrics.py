"""What a comparison may be about: the measured columns that have a better end, and what difference of each matters.

What this does *not* do: compute. `lrbench.study` checks names against it, `analysis` compares by it.
"""

from dataclasses import dataclass
from typing import Literal

from lrbench.errors import InputError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A column of a row that trials are compared by.

    `scale` says how two values are set against each other: by their difference, or by the logarithm of their ratio.
    `points` are hundredths of a fraction. `margin` is the difference that matters unless the study states another:
    "1 seed SD", or a share such as "2%" for ratios.
    """

    name: str
    label: str
    higher_is_better: bool
    scale: Literal["difference", "ratio"]
    unit: str
    margin: str

    @property
    def is_speed(self) -> bool:
        """Whether it is a cost that only trials alone on their device can tell."""
        return self.scale == "ratio"


def _metric(name: str, label: str, better: str, scale: Literal["difference", "ratio"], unit: str) -> Metric:
    return Metric(
        name=name,
        label=label,
        higher_is_better=better == "high",
        scale=scale,
        unit=unit,
        margin="1 seed SD" if scale == "difference" else "2%",
    )


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _metric("final_accuracy", "final accuracy", "high", "difference", "points"),
        _metric("final_loss", "final loss", "low", "difference", "nats"),
        _metric("final_val_accuracy", "final validation accuracy", "high", "difference", "points"),
        _metric("final_val_loss", "final validation loss", "low", "difference", "nats"),
        _metric("samples_per_second", "throughput", "high", "ratio", "images/s"),
        _metric("train_seconds", "training time", "low", "ratio", "s"),
        _metric("step_seconds_median", "time of a step", "low", "ratio", "s"),
        _metric("first_step_seconds", "time of the first step", "low", "ratio", "s"),
        _metric("peak_memory_mib", "peak memory", "low", "ratio", "MiB"),
        _metric("energy_joules", "energy", "low", "ratio", "J"),
    )
}


def find_metric(name: str) -> Metric:
    """Return the metric of this name. Raises InputError with those there are."""
    if name not in METRICS:
        raise InputError(f"found {name!r}; allowed: {', '.join(METRICS)}.{did_you_mean(name, METRICS)}")
    return METRICS[name]
