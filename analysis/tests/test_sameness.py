"""How alike two rows are: ulps by hand, digests one by one, the step at which trainings part, and real trials."""

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import lrbench
from analysis.rows.sameness import DIGESTS, EQUAL, UNKNOWN, compare, distance
from analysis.tests.simulate import frame
from lrbench.record import check_row
from lrbench.ulps import distance as ulps_distance
from lrbench.ulps import ulps
from lrbench.watch import STEP_DIGESTS, Watch

SMALLEST = 2.0**-149
LARGEST = (2 - 2**-23) * 2.0**127
any_bits = st.integers(0, 2**32 - 1)  # NaNs of every payload among them


def bits(*patterns: int) -> np.ndarray:
    return np.array(patterns, dtype=np.uint32)


def apart(first: float, second: float) -> float:
    """The ulps between two values, which differ."""
    return distance([first], [second]).max_ulps


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (1.0, 1.0, 0),
        (1.0, 1 + 2**-23, 1),
        (1.0, 1 - 2**-24, 1),
        (1.0, 2.0, 2**23),
        (1.0, -1.0, 2 * 0x3F800000 + 1),  # over 0.0 and -0.0
        (0.0, SMALLEST, 1),
        (-0.0, SMALLEST, 2),
        (0.0, -0.0, 1),
        (SMALLEST, -SMALLEST, 3),
        (LARGEST, math.inf, 1),
        (math.nan, math.nan, 0),
    ],
)
def test_ulps_by_hand(first, second, expected):
    """The distance is the number of floats from one to the other, the two zeros being neighbours."""
    assert apart(first, second) == apart(second, first) == expected


@given(any_bits, any_bits)
def test_ulps_are_zero_where_the_bits_are_equal_and_nowhere_else(a, b):
    """0 means equal bits, NaNs included; and it does not matter which comes first."""
    (there,), (back,) = ulps(bits(a), bits(b)), ulps(bits(b), bits(a))
    assert there == back >= 0
    assert (there == 0) == (a == b)


@given(any_bits, any_bits, any_bits)
def test_no_way_round_is_shorter(a, b, c):
    """The distance obeys the triangle inequality, for every three patterns of bits."""
    (ac,), (ab,), (bc,) = (ulps(bits(x), bits(y)) for x, y in [(a, c), (a, b), (b, c)])
    assert ac <= ab + bc


@given(st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda x: 0 != abs(x) < LARGEST), st.data())
def test_each_next_float_is_one_ulp_away(x, data):
    """The next float, up or down, is one ulp away; from the smallest too, whose next towards zero has its sign."""
    towards = np.float32(data.draw(st.sampled_from([-math.inf, math.inf])))
    assert apart(x, np.nextafter(np.float32(x), towards)) == 1


@given(st.lists(st.tuples(any_bits, any_bits), min_size=1))
@example([(0, 0x7F800001)])  # a signalling NaN
def test_both_distances_of_the_project_agree(pairs):
    """What `lrbench diverge` counts (share that differs, largest distance) is what the analysis counts, NaNs or not."""
    first, second = (bits(*column) for column in zip(*pairs, strict=True))
    ours, theirs = distance(first.view("f4"), second.view("f4")), ulps_distance(first, second, "float32")
    assert ours.differing_share == pytest.approx(theirs.num_differ / theirs.num_values)
    if not math.isnan(ours.max_ulps):
        assert ours.max_ulps == theirs.max_ulp


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # of 4 values the NaN differs and has no ulps; of the others one is an ulp apart: median of 0, 0 and 1
        ([1.0, 2.0, 3.0, 4.0], [math.nan, 2.0, 3.0, 4 + 2**-21], (0.5, 0.0, 1.0)),
        # a NaN that repeats is 0 from itself
        ([math.nan, 4.0], [math.nan, 4 + 2**-21], (0.5, 0.5, 1.0)),
        # nothing has any
        ([1.0, math.inf], [math.nan, math.nan], (1.0, math.nan, math.nan)),
    ],
)
def test_what_is_not_a_number_differs_and_has_no_distance(first, second, expected):
    """It counts as differing, is left out of the ulps, and does not hide what the others are apart."""
    found = distance(first, second)
    assert str((found.differing_share, found.median_ulps, found.max_ulps)) == str(expected)


def test_a_relative_distance_is_of_the_finite_values():
    """(3, 4, 1) and (3, 4 + 2**-21, NaN): 2**-21 of a norm of 5; without a finite pair it cannot be told."""
    found = distance([3.0, 4.0, 1.0], [3.0, 4.0 + 2**-21, math.nan])
    assert found.relative_l2 == pytest.approx(2**-21 / 5)
    assert math.isnan(distance([1.0], [math.nan]).relative_l2)


def test_a_distance_by_hand():
    """(3, 4) and (3, 4 + 1 ulp of 4): half of the values differ, by 0.5 ulps in the median, 2^-21 of a norm of 5."""
    found = distance([3.0, 4.0], [3.0, 4.0 + 2**-21])
    assert (found.differing_share, found.median_ulps, found.max_ulps) == (0.5, 0.5, 1.0)
    assert found.relative_l2 == pytest.approx(2**-21 / 5)
    assert distance([1.0, 0.0], [0.0, 1.0]).relative_l2 == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([1.0], [1.0], EQUAL), ([math.nan], [math.nan], EQUAL), ([1.0], [1.0, 2.0], UNKNOWN), ([], [], UNKNOWN)],
)
def test_distances_that_need_no_arithmetic(first, second, expected):
    """Equal bits are 0 apart, a NaN that repeats too; lists of other lengths cannot be compared."""
    assert str(distance(first, second)) == str(expected)


def test_a_distance_to_infinity_is_counted_in_ulps_alone():
    """A weight that became infinite has ulps, and no relative distance."""
    found = distance([1.0], [math.inf])
    assert found.max_ulps == 0x7F800000 - 0x3F800000
    assert math.isnan(found.relative_l2)


def test_zeros_of_other_sign_differ_in_bits_and_not_in_distance():
    """0.0 against -0.0: one ulp, a relative distance of 0, and not nan."""
    found = distance([0.0], [-0.0])
    assert (found.max_ulps, found.relative_l2) == (1.0, 0.0)


# ------------------------------------------------------------------------------------------------------ rows by hand


def row(**columns) -> dict:
    """A row of 4 steps, with digests after steps 2 and 4."""
    kept = {f"{name}_sha256": "a" for name in ("weights", "gradients", "optimizer", "order", "losses", "logits")}
    return {
        "num_steps": 4,
        **kept,
        "predictions_sha256": "a",
        "applied_lr_sha256": "a",
        "train_loss_steps": [2.0, 1.5, 1.25, 1.0],
        "applied_lr": [[0.1, 0.1, 0.05, 0.05]],
        "class_accuracy": [0.5, 1.0, math.nan],
        "predictions": [0, 1, 0, 1],
        "probe_logits": [3.0, 4.0],
        "weights_sample": [1.0, 2.0],
        "digest_steps": [2, 4],
        **{f"{name}_xxh3": ["a", "b"] for name in STEP_DIGESTS},
        **columns,
    }


def test_a_row_is_the_same_as_itself():
    """Everything is equal, every distance is 0 and none is nan: the negative control."""
    found = compare(row(), row())
    assert found.identical
    assert found.equal == dict.fromkeys(DIGESTS, True)
    assert (found.parting.step, found.parting.what, found.parting.after) == (0, "", 4)
    assert (found.weights, found.logits, found.churn) == (EQUAL, EQUAL, 0.0)
    assert found.largest_class_difference == 0.0
    assert found.loss_gaps.tolist() == [0.0] * 4


def test_the_digests_have_the_order_of_what_leads_to_what():
    """The names come from the record, and are those that a Watch takes, in its order."""
    assert list(DIGESTS) == [*STEP_DIGESTS, "logits", "predictions"]


END = {"order": "order_sha256", "lr": "applied_lr_sha256", "loss": "losses_sha256"}


@pytest.mark.parametrize("name", DIGESTS)
def test_each_digest_is_told_apart(name):
    """One digest changed by hand, at a step or at the end, is found to differ, and no other."""
    end = END.get(name, f"{name}_sha256")
    changed = []
    if name in STEP_DIGESTS:
        changed.append(row(**{f"{name}_xxh3": ["a", "c"]}))
    if end in row():
        changed.append(row(**{end: "b"}))
    assert changed
    for other in changed:
        found = compare(row(), other)
        assert found.different == (name,)
        assert not found.identical


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        # the loss of step 3 differs, and all was equal after step 2: they part in step 3
        ({"train_loss_steps": [2.0, 1.5, 1.5, 1.0], "weights_xxh3": ["a", "c"]}, (3, "loss", 2)),
        # one ulp of the loss, at step 4, with digests of before equal: in step 3 or 4
        ({"train_loss_steps": [2.0, 1.5, 1.25, 1 + 2**-23]}, (4, "loss", 2)),
        # at one step the cause is named before what it does
        ({"optimizer_xxh3": ["c", "c"], "rng_xxh3": ["c", "b"], "weights_xxh3": ["c", "c"]}, (2, "rng", 0)),
        ({"order_xxh3": ["c", "b"], "train_loss_steps": [2.0, 1.0, 1.0, 1.0]}, (2, "order", 0)),
        # the rate is known at each step
        ({"applied_lr": [[0.1, 0.1, 0.1, 0.05]], "train_loss_steps": [2.0, 1.5, 1.25, 0.5]}, (3, "lr", 2)),
        # digests of the end belong to the last step
        ({"optimizer_sha256": "b"}, (4, "optimizer", 2)),
        # what comes after training parts no training
        ({"logits_sha256": "b", "probe_logits": [3.0, 4.5]}, (0, "", 4)),
        # one stopped early
        ({"num_steps": 3, "train_loss_steps": [2.0, 1.5, 1.25], "digest_steps": []}, (4, "length", 0)),
        # rates are kept for optimizer steps: with one skipped they tell no training step
        ({"applied_lr": [[0.1, 0.05, 0.05]]}, (0, "", 4)),
    ],
    ids=["loss", "one ulp", "rng", "order", "lr", "end", "evaluation", "length", "skipped"],
)
def test_where_trainings_part(changed, expected):
    """The first step that differs, the first cause there, and the last step known to be equal, by hand."""
    if "digest_steps" in changed:
        changed |= {f"{name}_xxh3": [] for name in STEP_DIGESTS}
    found = compare(row(), row(**changed)).parting
    assert (found.step, found.what, found.after) == expected
    assert found.exact == (0 < found.step == found.after + 1)


def test_digests_at_other_steps_are_compared_where_both_have_one():
    """Digests after steps 1 to 4 beside those after 2 and 4: the steps 2 and 4 are compared."""
    each = {f"{name}_xxh3": ["x", "a", "y", "b"] for name in STEP_DIGESTS}
    assert compare(row(), row(digest_steps=[1, 2, 3, 4], **each)).identical


def test_distances_of_rows_by_hand():
    """Where digests differ the distances are computed: churn 1/4, class accuracies +0.5 and 0, a gap of 0.25."""
    other = row(
        weights_sha256="b",
        weights_sample=[1.0, 2.0 + 2**-22],
        predictions_sha256="b",
        predictions=[0, 1, 0, 0],
        class_accuracy=[1.0, 1.0, math.nan],
        train_loss_steps=[2.0, 1.5, 1.0, 1.0],
        losses_sha256="b",
    )
    found = compare(row(), other)
    assert found.weights.max_ulps == 1.0
    assert found.logits == EQUAL
    assert found.churn == 0.25
    assert found.class_accuracy_differences[:2] == (0.5, 0.0)
    assert found.largest_class_difference == 0.5
    assert found.loss_gaps.tolist() == [0.0, 0.0, 0.25, 0.0]


def test_equal_digests_need_no_arithmetic():
    """Equal digests are a distance of 0, whatever else the row lacks."""
    bare = {"weights_sha256": "a", "logits_sha256": "a", "predictions_sha256": "a"}
    found = compare(bare, bare)
    assert (found.weights, found.logits, found.churn) == (EQUAL, EQUAL, 0.0)
    assert found.identical
    assert set(found.equal) == {"weights", "logits", "predictions"}


@pytest.mark.parametrize("null", [None, math.nan])
def test_what_a_row_lacks_is_unknown(null):
    """Columns that an older row does not have are neither equal nor different, and their distances are nan."""
    new = row(weights_sha256="b", optimizer_sha256="b", losses_sha256="b", logits_sha256="b", predictions_sha256="b")
    old = dict.fromkeys(row(), null) | {"weights_sha256": "a", "predictions_sha256": "a", "logits_sha256": "a"}
    found = compare(old, new)
    assert found.equal == {"weights": False, "logits": False, "predictions": False}
    assert str(found.weights) == str(found.logits) == str(UNKNOWN)
    assert math.isnan(found.churn)
    assert math.isnan(found.largest_class_difference)
    assert (found.parting.step, len(found.loss_gaps)) == (0, 0)
    assert not compare(dict.fromkeys(row(), null), new).identical


def test_losses_are_compared_by_their_bits_where_there_is_no_digest():
    """An older row has its losses and no digest of them: the bits tell; a NaN that repeats is equal."""
    old = row(losses_sha256=None, loss_xxh3=None, train_loss_steps=[1.0, math.nan])
    assert compare(old, old).equal["loss"]
    assert compare(old, old).loss_gaps.tolist() == [0.0, 0.0]
    assert not compare(old, old | {"train_loss_steps": [1.0, 1.0]}).equal["loss"]


# --------------------------------------------------------------------------------------------------------- real trials


@pytest.fixture(scope="module")
def real() -> dict[str, dict]:
    """A trial, the same again, with one weight moved by an ulp, and in another order; all in this process."""
    from lrbench.trial.loop import run_here

    def run(**factors) -> dict:
        workload = {
            "model": "lrbench.trial.models:small_cnn",
            "model_args": {"in_channels": 1, "image_size": 8},
            "data": "digits",
            "train_limit": 144,
        }
        recipe = {"optimizer": "SGD(momentum=0.9)", "base_lr": 0.1, "batch_size": 64, "epochs": 2}
        trial = lrbench.Trial(workload=workload, device="cpu", **{**recipe, **factors})
        return run_here(trial, device="cpu", data_root=None, where={}, watch=Watch(digest_every=1))

    return {"plain": run(), "again": run(), "poked": run(poke_ulps=1), "reordered": run(seed_order=7)}


def test_a_trial_run_again_is_identical(real):
    """Two real trials of one description agree in every digest: no distance, no step, no nan."""
    found = compare(real["plain"], real["again"])
    assert found.equal == dict.fromkeys(DIGESTS, True)
    assert (found.parting.step, found.weights, found.largest_class_difference) == (0, EQUAL, 0.0)


def test_one_ulp_is_seen_by_every_measure_that_it_reaches(real):
    """The positive control: moved by one ulp, a trial parts at step 1, and its weights and logits are apart."""
    found = compare(real["plain"], real["poked"])
    assert {name for name in DIGESTS if found.equal[name]} >= {"order", "images", "rng", "lr"}
    assert set(found.different) >= {"gradients", "weights", "optimizer", "logits"}
    assert (found.parting.step, found.parting.exact) == (1, True)
    assert found.weights.max_ulps >= 1
    assert 0 < found.weights.relative_l2 < 1e-3
    assert 0 < found.logits.relative_l2 < 1e-2


def test_another_order_is_the_cause(real):
    """Another order of the images parts at step 1 in the order, not in what it leads to."""
    found = compare(real["plain"], real["reordered"])
    assert (found.parting.step, found.parting.what) == (1, "order")
    assert {"rng", "lr"} <= {name for name in DIGESTS if found.equal[name]}


def test_rows_out_of_the_store_say_the_same(real):
    """The types that parquet gives (arrays, NaN for null) lead to what the row's own lists lead to."""
    stored = frame([check_row(one) for one in real.values()]).to_dict("records")
    for name, other in zip(real, stored, strict=True):
        here, there = compare(real["plain"], real[name]), compare(stored[0], other)
        assert (here.equal, here.parting, here.weights) == (there.equal, there.parting, there.weights)
        assert here.loss_gaps.tolist() == there.loss_gaps.tolist()
        assert here.class_accuracy_differences == there.class_accuracy_differences


def test_the_planted_bit_is_the_one_that_is_found(real):
    """One bit of one weight of a real row flipped by hand: its ulps, and its digest, are what differs."""
    sample = list(real["plain"]["weights_sample"])
    (bits,) = struct.unpack("<i", struct.pack("<f", sample[7]))
    (sample[7],) = struct.unpack("<f", struct.pack("<i", bits ^ 16))
    found = compare(real["plain"], real["plain"] | {"weights_sample": sample, "weights_sha256": "0" * 64})
    assert found.weights.max_ulps == 16
    assert found.weights.differing_share == 1 / len(sample)
    assert found.weights.median_ulps == 0.0
    assert found.different == ("weights",)
