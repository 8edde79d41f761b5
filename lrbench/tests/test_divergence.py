"""Where two rows part, from digests at steps, losses, rates and what was evaluated; distances in ULPs by hand."""

import math

import numpy
import pytest

from lrbench.diverge.steps import CAUSES, first_mismatch
from lrbench.ulps import distance
from lrbench.watch import STEP_DIGESTS


def row(steps=(1, 2, 3, 4), num_steps=4, **changes) -> dict:
    """A row of four steps, digests at `steps`; changes={"loss": 3} makes the loss's digest another from step 3 on."""
    found = {
        "digest_steps": list(steps),
        "train_loss_steps": [1.0 / step for step in range(1, num_steps + 1)],
        "applied_lr": [[0.1] * num_steps],
        "weights_sha256": "w",
        "optimizer_sha256": "o",
        "logits_sha256": "l",
        "predictions_sha256": "p",
        "val_loss_curve": [0.5, 0.25],
        "final_loss": 0.125,
    }
    for name in STEP_DIGESTS:
        found[f"{name}_xxh3"] = [name + ("!" if step >= changes.get(name, math.inf) else "") for step in steps]
    return {**found, **{key: value for key, value in changes.items() if key not in STEP_DIGESTS}}


def test_equal_rows_part_nowhere():
    """A row and its copy have no mismatch, whichever steps had their digests taken."""
    assert first_mismatch(row(), row()) is None
    assert first_mismatch(row(steps=(2, 4)), row(steps=(4,))) is None


@pytest.mark.parametrize("what", STEP_DIGESTS)
def test_the_first_digest_that_differs_names_the_cause(what):
    """Of all that differs from step 3 on, the first in the order of a step is named; it is exact, and has its cause."""
    after = STEP_DIGESTS[STEP_DIGESTS.index(what) :]
    found = first_mismatch(row(), row(**dict.fromkeys(after, 3)))
    assert (found.what, found.step, found.last_equal_step, found.exact) == (what, 3, 2, True)
    assert found.sentence == f"from step 3 on {CAUSES[what]}"


def test_an_earlier_step_goes_before_an_earlier_digest():
    """The optimizer's state of step 2 is named, although at step 3 the order differs too."""
    found = first_mismatch(row(), row(optimizer=2, order=3))
    assert (found.what, found.step) == ("optimizer", 2)


def test_losses_tighten_what_digests_at_epochs_leave_open():
    """With digests at steps 2 and 4, a loss that differs at step 3 puts the parting there; the cause stays open."""
    other = row(steps=(2, 4), gradients=4, loss=4, train_loss_steps=[1.0, 1 / 2, 0.4, 1 / 4])
    found = first_mismatch(row(steps=(2, 4)), other)
    assert (found.what, found.step, found.last_equal_step, found.exact) == ("loss", 3, 2, True)
    found = first_mismatch(row(steps=(4,)), {**other, "digest_steps": [4], "loss_xxh3": ["loss!"]})
    assert (found.step, found.last_equal_step, found.exact) == (3, 0, False)
    assert "between steps 1 and 3" in found.sentence


@pytest.mark.parametrize(
    ("steps", "changes", "where"),
    [
        ((2, 4), {"train_loss_steps": [9.0, 1 / 2, 1 / 3, 1 / 4]}, "from step 1 on the training loss differs"),
        ((4,), {"applied_lr": [[0.1, 0.2, 0.1, 0.1]]}, "between steps 1 and 2 the two part: at 2 the learning rates"),
        ((1, 2), {"weights_sha256": "x"}, "between steps 3 and 4 the two part: at 4 the weights or the optimizer's"),
    ],
)
def test_what_was_not_compared_is_not_called_the_same(steps, changes, where):
    """Of a step without digests only loss and rate are known: neither its batch nor its random state is said equal."""
    found = first_mismatch(row(steps=steps), row(steps=steps, **changes))
    assert not found.digested
    for said in (found.sentence, found.seen):
        assert said.startswith(where)
        assert "the same" not in said
        assert said.endswith("was not compared")


def test_rows_without_digests_are_told_apart_by_losses_and_rates():
    """Rows of old runs have no digests: the first step with another loss, or before it with another rate, is named."""
    old = {"train_loss_steps": [1.0, 0.5, 0.25], "applied_lr": [[0.1, 0.1, 0.1]], "digest_steps": None}
    assert first_mismatch(old, {**old}) is None
    assert first_mismatch(old, {**old, "train_loss_steps": [1.0, 0.5, 0.26]}).step == 3
    found = first_mismatch(old, {**old, "applied_lr": [[0.1, 0.2, 0.1]], "train_loss_steps": [1.0, 0.5, 0.26]})
    assert (found.what, found.step) == ("lr", 2)


def test_rates_of_skipped_steps_have_no_step():
    """A GradScaler that skips a step leaves fewer rates than losses: their places say nothing, and are not used."""
    a, b = row(applied_lr=[[0.1] * 3]), row(applied_lr=[[0.2] * 3])
    assert first_mismatch(a, b) is None


def test_not_a_number_equals_itself_and_zeros_have_signs():
    """Losses are compared as bits: NaN is NaN, and -0.0 is not 0.0."""
    nan = row(train_loss_steps=[math.nan] * 4)
    assert first_mismatch(nan, row(train_loss_steps=[math.nan] * 4)) is None
    found = first_mismatch(row(steps=(), train_loss_steps=[0.0]), row(steps=(), train_loss_steps=[-0.0]))
    assert found.what == "loss"


def test_one_that_stopped_earlier_differs_in_length():
    """As far as both went nothing differs, and the shorter one is said to be shorter."""
    found = first_mismatch(row(), row(steps=(1, 2), num_steps=2))
    assert (found.what, found.last_equal_step) == ("length", 2)


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("weights_sha256", "x", "weights"),
        ("optimizer_sha256", "x", "weights"),
        ("logits_sha256", "x", "evaluation"),
        ("val_loss_curve", [0.5, 0.26], "evaluation"),
        ("final_loss", 0.126, "evaluation"),
    ],
)
def test_what_differs_only_at_the_end_is_found_too(column, value, what):
    """Weights that differ after the last digest, and an evaluation that differs on equal weights, are both told."""
    assert first_mismatch(row(steps=(1, 2)), row(steps=(1, 2), **{column: value})).what == what
    assert first_mismatch(row(), row(**{column: None})) is None  # one of them was not evaluated


# ----------------------------------------------------------------------------------------------------------- distances


def bits(values, dtype="float32"):
    kinds = {"float16": ("f2", "u2"), "float32": ("f4", "u4"), "float64": ("f8", "u8")}
    return numpy.array(values, kinds[dtype][0]).view(kinds[dtype][1])


@pytest.mark.parametrize(
    ("a", "b", "dtype", "ulps"),
    [
        (1.0, 1.0 + 2**-23, "float32", 1),
        (1.0, 1.0 - 2**-24, "float32", 1),
        (1.0, 2.0, "float32", 2**23),
        (0.0, -0.0, "float32", 1),
        (2**-149, -(2**-149), "float32", 3),  # over 0.0 and -0.0
        (1.0, 1.0 + 2**-10, "float16", 1),
        (1.0, 1.0 + 2**-52, "float64", 1),
        (-1.7e308, 1.7e308, "float64", 2**63 - 1),  # capped: more than 64 bits can say
    ],
)
def test_ulps_count_the_numbers_from_one_to_the_other(a, b, dtype, ulps):
    """Neighbours are one apart, through zero and in every type, in both directions."""
    assert distance(bits([a], dtype), bits([b], dtype), dtype).max_ulp == ulps
    assert distance(bits([b], dtype), bits([a], dtype), dtype).max_ulp == ulps


def test_a_distance_tells_how_many_how_far_and_in_what_measure():
    """Of four values two differ, by 1 and 3 ulp: the median is 2; the norm of (2**-23, 3 * 2**-23) by that of A, 2."""
    a = [1.0, 1.0, 1.0, 1.0]
    found = distance(bits(a), bits([1.0, 1 + 2**-23, 1 + 3 * 2**-23, 1.0]), "float32")
    assert (found.num_values, found.num_differ, found.max_ulp, found.median_ulp) == (4, 2, 3, 2.0)
    assert found.max_abs == 3 * 2**-23
    assert found.relative_l2 == pytest.approx(math.sqrt(10) * 2**-23 / 2)


def test_values_without_a_distance_count_as_differing():
    """NaN against a number differs and has no ULPs; equal arrays, and zeros, are at no distance."""
    found = distance(bits([math.nan, 1.0]), bits([1.0, 1.0]), "float32")
    assert (found.num_differ, found.max_ulp, found.max_abs) == (1, 0, 0.0)
    same = distance(bits([0.0, math.inf]), bits([0.0, math.inf]), "float32")
    assert (same.num_differ, same.max_ulp, same.relative_l2) == (0, 0, 0.0)


def test_bfloat16_is_the_upper_half_of_float32():
    """1.0 and its neighbour 1 + 2**-7, whose bits NumPy has no type for, are one apart and 2**-7 in value."""
    found = distance(numpy.array([0x3F80], "u2"), numpy.array([0x3F81], "u2"), "bfloat16")
    assert (found.max_ulp, found.max_abs) == (1, 2**-7)
