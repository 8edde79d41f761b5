"""Where two trials part: the first step at which their rows differ, and what differs first in it. No torch.

Pure functions of two rows. What this does *not* do: look inside the step (`lrbench.diverge.traces`), or run a trial
(`lrbench.diverge`).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lrbench.watch import STEP_DIGESTS

# What it means that this is the first that differs in a step: all before it in the list was equal.
CAUSES = {
    "order": "the batches differ: another data order",
    "images": "the same images in the same order, but other pixels for the model: the data, or their augmentation",
    "rng": "torch's random state differs before the forward: something drew from it in one of the two alone",
    "lr": "the learning rates differ: the scheduler, or the state that it went on from",
    "loss": "the same batch, random state and rate, but another loss: the forward, or the weights that it began with",
    "gradients": "the loss is the same, the gradients are not: the backward, or what a loss rounded away",
    "weights": "the gradients are the same, the weights after the step are not: the optimizer's step",
    "optimizer": "the weights are the same, what the optimizer keeps is not: the optimizer's step",
    "length": "one of the two trained for fewer steps; as far as both went, nothing differs",
    "evaluation": "training is the same to the bit, what was evaluated of it is not",
}
# What is seen to differ at a step of which no digests were taken: nothing else of that step was compared.
_UNDIGESTED = {
    "lr": "the learning rates differ",
    "loss": "the training loss differs",
    "weights": "the weights or the optimizer's state differ",
}
# what is compared where all steps are equal; null in one of the rows: not compared
_AT_THE_END = ("weights_sha256", "optimizer_sha256")
_EVALUATED = ("logits_sha256", "predictions_sha256", "val_loss_curve", "final_loss")


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """The first step at which two rows differ. `step` counts training steps from 1; 0: no step, but what came after.

    `what` is a key of CAUSES. The parting lies after `last_equal_step` and at or before `step`; where these are
    neighbours it is exact. Where the step is not `digested`, `what` is what was recorded of it, not what comes first.
    """

    what: str
    step: int
    last_equal_step: int
    digested: bool = True

    @property
    def exact(self) -> bool:
        """Whether `step` is where the two part."""
        return self.step - self.last_equal_step == 1

    @property
    def sentence(self) -> str:
        """Say what differs first, from which step on, and what that suggests."""
        return self._said(CAUSES[self.what])

    @property
    def seen(self) -> str:
        """Say it without what it suggests: where something else is known by now."""
        return self._said(CAUSES[self.what].partition(": ")[0])

    def _said(self, cause: str) -> str:
        if self.what in ("length", "evaluation"):
            return cause
        if not self.digested:
            first, last = self.last_equal_step + 1, self.step
            where = (
                f"from step {last} on" if self.exact else f"between steps {first} and {last} the two part: at {last}"
            )
            return (
                f"{where} {_UNDIGESTED[self.what]}; no digests were taken of step {last}, so whether its batch, its "
                "random state or the weights before it differ was not compared"
            )
        if self.exact:
            return f"from step {self.step} on {cause}"
        return (
            f"between steps {self.last_equal_step + 1} and {self.step}: digests were taken of step {self.step} and not "
            f"of those before it; the first that is seen to differ is: {cause}"
        )


def first_mismatch(a: Mapping, b: Mapping) -> Mismatch | None:
    """Return where two rows first differ, by digests at steps, the losses of all steps and the rates; None: nowhere.

    Digests that only one row has are not compared. Losses and rates are known at every step and tighten what digests at
    epochs leave open.
    """
    found = _by_digests(a, b)
    by_losses = _first_unequal(*(_bits(row.get("train_loss_steps"), "f") for row in (a, b)))
    by_rates = _by_rates(a, b)
    for what, step in (("lr", by_rates), ("loss", by_losses)):
        if step and (found is None or step < found.step):
            last = found.last_equal_step if found else _last_equal_digest(a, b, step)
            found = Mismatch(what=what, step=step, last_equal_step=min(last, step - 1), digested=False)
    if found is None:
        return _after_the_steps(a, b)
    return found


def _taken(row: Mapping) -> dict[int, int]:
    # ints of Python's own: a row that was read from a file has NumPy's, which no JSON takes
    return {int(step): place for place, step in enumerate(_listed(row.get("digest_steps")))}


def _listed(values: object) -> list:
    return [] if values is None else list(values)


def _by_digests(a: Mapping, b: Mapping) -> Mismatch | None:
    in_a, in_b = _taken(a), _taken(b)
    last = 0
    for step in sorted(in_a.keys() & in_b.keys()):
        for name in STEP_DIGESTS:
            if a[f"{name}_xxh3"][in_a[step]] != b[f"{name}_xxh3"][in_b[step]]:
                return Mismatch(what=name, step=step, last_equal_step=last)
        last = step
    return None


def _last_equal_digest(a: Mapping, b: Mapping, before: int) -> int:
    return max((step for step in _taken(a).keys() & _taken(b).keys() if step < before), default=0)


def _bits(values: object, kind: Literal["f", "d"]) -> list[bytes]:
    return [struct.pack(kind, value) for value in _listed(values)]


def _first_unequal(a: list, b: list) -> int:
    """Return the place, from 1, of the first pair that differs; 0 where there is none."""
    return next((place for place, pair in enumerate(zip(a, b, strict=False), 1) if pair[0] != pair[1]), 0)


def _by_rates(a: Mapping, b: Mapping) -> int:
    """Return the first step with other rates; 0 where there is none, or where a rate's step is not known: some were
    skipped."""
    rates = [_listed(row.get("applied_lr")) for row in (a, b)]
    steps = [len(_listed(row.get("train_loss_steps"))) for row in (a, b)]
    if any(len(group) != count for groups, count in zip(rates, steps, strict=True) for group in groups):
        return 0
    places = [_first_unequal(_bits(x, "d"), _bits(y, "d")) for x, y in zip(*rates, strict=False)]
    return min((place for place in places if place), default=0)


def _after_the_steps(a: Mapping, b: Mapping) -> Mismatch | None:
    lengths = [len(_listed(row.get("train_loss_steps"))) for row in (a, b)]
    if lengths[0] != lengths[1]:
        return Mismatch(what="length", step=0, last_equal_step=min(lengths))

    def differ(columns: tuple[str, ...]) -> bool:
        pairs = [(a.get(column), b.get(column)) for column in columns]
        return any(_exact(x) != _exact(y) for x, y in pairs if x is not None and y is not None)

    if differ(_AT_THE_END):  # the digests at steps were not taken at the last one
        last = _last_equal_digest(a, b, lengths[0] + 1)
        return Mismatch(what="weights", step=lengths[0], last_equal_step=min(last, lengths[0] - 1), digested=False)
    if differ(_EVALUATED):
        return Mismatch(what="evaluation", step=0, last_equal_step=lengths[0])
    return None


def _exact(value: object) -> object:
    if isinstance(value, float):
        return struct.pack("d", value)
    return value if isinstance(value, str) else _bits(value, "d")
