"""Rows as a run writes them, without training."""

from functools import cache

from lrbench.factors import Trial
from lrbench.record import trial_columns


def make_row(position: int, *, status: str = "completed", attempt: int = 0, **changes) -> dict:
    """Return the row of a digits trial with seed `position`; its nested columns are short."""
    row = {
        **_of_trial(position),
        "study": "rows",
        "block": position,
        "position": position,
        "attempt": attempt,
        "status": status,
        "final_accuracy": position / 1000,
        "samples_per_second": 1000.0 + position,
        "applied_lr": [[0.1, 0.05], [0.01, 0.005]],
        "predictions": [position, 2, 3],
        "probe_logits": [0.5, -0.5],
    }
    return {**row, **changes}


def trial_id(position: int) -> str:
    return _of_trial(position)["trial_id"]


@cache
def _of_trial(position: int) -> dict:
    return trial_columns(_condition().at(seed=position))


@cache
def _condition() -> Trial:
    return Trial(workload="digits-cnn")
