"""What is looked at in a trial besides what every row holds. No torch here.

None of it changes a bit of the training, so none of it is a factor: a trial keeps its name however it is watched. What
this does *not* do: look (`lrbench.trial.steps`, `lrbench.trial.repeats` and `lrbench.trial.trace` do).
"""

from dataclasses import dataclass
from pathlib import Path

from lrbench.checkpoints import Every

# the digests that are taken at a step, in the order in which one thing leads to the next
STEP_DIGESTS = ("order", "images", "rng", "lr", "loss", "gradients", "weights", "optimizer")


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What to look at, and how often.

    digest_every        digests at steps: after every so many training steps, at each "epoch"'s end, or "off"
    repeats             after training, the forward and the backward of one batch so many times in the same process
    stop_after          train no further than so many steps (0: to the end); the row lacks what comes after training
    stop_after_seconds  train no further than the step in which so much time is up (0: to the end); the same
    trace               file that the operators of the last of these steps are written to; only with stop_after
    """

    digest_every: Every = "epoch"
    repeats: int = 0
    stop_after: int = 0
    stop_after_seconds: float = 0.0
    trace: Path | None = None

    def __post_init__(self):
        if self.trace is not None and not self.stop_after:
            raise ValueError("trace is of the last step: give stop_after = the step to trace")

    def due(self, num_steps: int, epoch_ended: bool) -> bool:
        """Tell whether digests are taken after this many training steps of the trial.

        >>> Watch(digest_every=100).due(200, False), Watch().due(250, True), Watch(stop_after=7).due(7, False)
        (True, True, True)
        >>> Watch(digest_every="off").due(200, True), Watch().due(200, False)
        (False, False)
        """
        if self.stop_after and num_steps == self.stop_after:
            return True
        if isinstance(self.digest_every, int):
            return num_steps % self.digest_every == 0
        return epoch_ended and self.digest_every == "epoch"
