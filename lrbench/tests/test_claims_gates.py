"""V6, V18 to V21: each gate passes on what is sound and fails on a fault that is planted."""

import itertools
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
import torch

from lrbench.claims import error_rates, gates, one_ulp, processes, tables, unruly
from lrbench.claims.room import StudyRoom


class Holds:
    """A room that holds rows of real trials already, whatever is asked of it."""

    device = "cpu"

    def __init__(self, rows: pd.DataFrame):
        self.rows = rows

    def once(self, question):
        return self.rows


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> pd.DataFrame:
    """Six seeds of a short training, each in two processes."""
    room = StudyRoom(tmp_path_factory.mktemp("claims"), "cpu")
    return room.study(
        "repeated",
        fixed={"workload": {"base": "digits-cnn", "train_limit": 360}, "epochs": 1},
        grid={"seed": "0-5"},
        replicates=2,
    )


# -------------------------------------------------------------------------------------------------------- V6, flags


def test_every_flag_of_a_real_row_is_as_asked(rows):
    """In real rows each of the six flags, cuDNN itself and the device are read back as they were asked for."""
    found = {row["what"]: row["num_equal"] for row in gates.held(rows)}
    assert found == dict.fromkeys([*gates.FLAGS, "cudnn_enabled", "device"], 12)


@pytest.mark.parametrize(
    ("flag", "column", "other"),
    [
        *((flag, f"effective_{flag}", "something else") for flag in gates.FLAGS),
        ("cudnn_enabled", "effective_cudnn_enabled", False),
        ("device", "effective_device", "cuda:0"),
        ("cudnn_benchmark", "effective_cudnn_benchmark", None),
    ],
)
def test_one_row_that_is_not_as_asked_is_counted(rows, flag, column, other):
    """One row of twelve whose flag reads otherwise, or was never read, is enough to fail, under the flag's name."""
    changed = rows.astype({column: object})
    changed.loc[changed.index[3], column] = other
    broken = {row["what"]: row["num_equal"] for row in gates.held(changed) if not row["holds"]}
    assert broken == {flag: 11}


class Kept(StudyRoom):
    """A room that runs each study once: asked again for a name, it has the rows of the first time."""

    def __init__(self, folder, device: str):
        super().__init__(folder, device)
        self.rows: dict[str, pd.DataFrame] = {}

    def study(self, name, **asked):
        if name not in self.rows:
            self.rows[name] = super().study(name, **asked)
        return self.rows[name]


@pytest.mark.slow
def test_v6_passes_and_fails_where_a_model_switches_a_flag(tmp_path, monkeypatch):
    """V6 passes on real trials; where the trained model of one study switches cudnn_benchmark it fails, and names it.

    The other two studies of the second verdict are those of the first: what was not changed is not trained again.
    """
    room = Kept(tmp_path / "studies", "cpu")
    verdict = gates.v6(room)
    assert verdict.word == "supported", verdict.seen
    del room.rows["precision-and-threads"]
    monkeypatch.setattr(gates, "NET", {**gates.NET, "model": f"{unruly.MODULE}:switches_benchmark"})
    verdict = gates.v6(room)
    assert verdict.word == "refuted"
    assert "not as asked: cudnn_benchmark" in verdict.seen


# ------------------------------------------------------------------------------------------- V18, false alarms


@pytest.mark.parametrize(("num_alarms", "holds"), [(5, True), (12, True), (13, True), (14, False)])
def test_a_rate_is_allowed_the_error_of_its_tries(num_alarms, holds):
    """Of 100 tries at 5 % more than 13 alarms come once in a thousand (binomial): 13 hold, 14 do not."""
    assert error_rates.Rate(what="x", num_tries=100, num_alarms=num_alarms).holds is holds


def z_interval(values, confidence: float = 0.95):
    """The interval of a careless analysis: at 95 % 1.96 standard errors, whatever the number of values."""
    from analysis.statistics.intervals import Estimate

    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    mean, half = float(np.mean(values)), quantile * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Estimate(value=mean, low=mean - half, high=mean + half, n=len(values))


@pytest.mark.parametrize("draw", [error_rates.normal, error_rates.heavy_tailed, error_rates.drifting])
def test_students_interval_holds_its_rate(draw):
    """On normal, heavy-tailed and drifting differences the interval misses zero at most as often as it says."""
    rate = error_rates.counted("x", error_rates.interval_alarms(draw, 5, seed=0), 1_000)
    assert rate.holds, rate.seen


def test_an_interval_that_is_too_narrow_is_found(monkeypatch):
    """1.96 standard errors of 5 values miss zero in about one in eight tries: far above what is allowed."""
    monkeypatch.setattr("analysis.statistics.intervals.t_interval", z_interval)
    rate = error_rates.counted("x", error_rates.interval_alarms(error_rates.normal, 5, seed=0), 1_000)
    assert not rate.holds, rate.seen


@pytest.mark.slow
def test_comparisons_of_many_arms_hold_their_rate_by_holms_correction_alone(rows, monkeypatch):
    """Eight arms of one and the same condition are told apart at most at 5 %; without Holm's correction more often."""
    accuracies = rows.drop_duplicates("weights_sha256")
    assert len(accuracies) == 6
    held = error_rates.counted("x", error_rates.accuracy_alarms(accuracies, 8, 8, seed=0), 100)
    assert held.holds, held.seen
    monkeypatch.setattr("analysis.comparisons.holm", lambda p_values: np.asarray(p_values))
    broken = error_rates.counted("x", error_rates.accuracy_alarms(accuracies, 8, 8, seed=0), 100)
    assert not broken.holds, broken.seen


def test_a_speed_that_drifts_between_replicates_is_no_alarm_and_a_true_difference_is(rows):
    """Where the second replicate is always slower the coin makes it noise; were there no coin, it would be found."""
    from analysis.throughput import contrasts

    noise = np.random.default_rng(0).normal(1.0, 0.01, len(rows))
    drifted = rows.assign(samples_per_second=np.where(rows["replicate"] == 0, 1000.0, 700.0) * noise)
    rate = error_rates.counted("x", error_rates.throughput_alarms(drifted, seed=0), 100)
    assert rate.holds, rate.seen
    (contrast,) = contrasts(drifted.assign(cudnn_benchmark=drifted["replicate"] == 1, replicate=0))
    assert contrast.ratio.excludes(1.0)


def test_the_exact_bound_fails_at_its_rate(monkeypatch):
    """One pair that agrees bounds the share at 0.95; the least share above it, 0.951, agrees with chance 0.049."""
    assert error_rates.exact_bound_rate(1) == pytest.approx(0.049)
    monkeypatch.setattr("analysis.statistics.intervals.mismatch_bound", lambda k, n: k / n)
    assert error_rates.exact_bound_rate(10) > 0.5


@pytest.mark.slow
def test_v18_passes_on_real_rows_and_says_each_rate(rows, monkeypatch):
    """The whole gate on rows of real trials: every case holds, each with its tries, and the evidence has columns.

    100 analyses of each case; `lrbench claims --only V18` makes 400.
    """
    monkeypatch.setattr(error_rates, "NUM_TRIES", 100)
    verdict = error_rates.v18(Holds(rows))
    assert verdict.word == "supported", verdict.seen
    assert [row.get("num_tries") for row in verdict.evidence] == [100] * 3 + [error_rates.NUM_DRAWS] * 3 + [None] * 4
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)


@pytest.mark.slow
def test_v18_fails_where_the_intervals_are_too_narrow(rows, monkeypatch):
    """With 1.96 standard errors in the place of Student's quantile the gate fails, and names the cases: those of
    drawn numbers, in all their draws; of whole analyses, which have other tests, a few."""
    monkeypatch.setattr(error_rates, "NUM_TRIES", 20)
    monkeypatch.setattr("analysis.statistics.intervals.t_interval", z_interval)
    verdict = error_rates.v18(Holds(rows))
    assert verdict.word == "refuted"
    assert "too often: interval, 10 normal differences" in verdict.seen


# ---------------------------------------------------------------------------------------------------- V19, one ulp


@pytest.fixture(scope="module")
def poked(tmp_path_factory) -> pd.DataFrame:
    """Three seeds with and without a poke of one ulp, 40 steps with a digest at each."""
    from lrbench.watch import Watch

    room = StudyRoom(tmp_path_factory.mktemp("claims"), "cpu")
    fixed = {**one_ulp.RECIPE, "epochs": 1}
    grid = {"poke_ulps": [0, 1], "seed": "0-2"}
    return room.study("one-ulp-short", fixed=fixed, grid=grid, watch=Watch(digest_every=1))


def test_one_ulp_is_seen_after_the_first_step(poked):
    """Of a poked trial the weights differ after step 1, and nothing that goes into the step does."""
    found = one_ulp.first_step(poked)
    assert [row["seed"] for row in found] == [0, 1, 2]
    assert all(row["holds"] and "weights" in row["differs"] for row in found)


def test_a_poke_that_moves_nothing_is_found(poked):
    """Where the poked trial is the plain one over again, the control fails for every seed."""
    plain = poked[poked["poke_ulps"] == 0]
    found = one_ulp.first_step(pd.concat([plain, plain.assign(poke_ulps=1)]))
    assert [(row["holds"], row["differs"]) for row in found] == [(False, "")] * 3


def test_a_poke_that_moves_the_data_is_no_poke(poked):
    """Where the order of the images differs too, the difference of the weights says nothing of one ulp."""
    other = poked["order_xxh3"].where(poked["poke_ulps"] == 0, poked["weights_xxh3"])
    assert not any(row["holds"] for row in one_ulp.first_step(poked.assign(order_xxh3=other)))


def test_churn_is_counted_by_hand():
    """Seed 0 differs from its poked twin in one image of four and from seed 1 in two; seed 1 from its twin in none."""
    rows = pd.DataFrame(
        {
            "poke_ulps": [0, 0, 1, 1],
            "seed": [0, 1, 0, 1],
            "predictions": [[1, 2, 3, 4], [1, 2, 0, 0], [1, 2, 3, 0], [1, 2, 0, 0]],
        }
    )
    found = [(row["poke_churn"], row["reseed_churn"]) for row in one_ulp.churn(rows, 1)]
    assert found == [(0.25, 0.5), (0.0, 0.5)]


def ended(poke_moves: int, seed_moves: int) -> pd.DataFrame:
    """Long trials of three seeds by hand: of 100 images a poke moves so many predictions, and a seed so many."""
    rows = []
    for seed, ulps in itertools.product(range(3), (0, 1)):
        predictions = np.zeros(100, dtype=int)
        predictions[:seed_moves] = seed + 1
        predictions[100 - poke_moves :] += 10 * ulps
        rows.append({"poke_ulps": ulps, "seed": seed, "predictions": predictions})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("poke_moves", "seed_moves", "word"), [(10, 10, "supported"), (8, 10, "supported"), (3, 10, "refuted")]
)
def test_v19_wants_a_poke_to_be_worth_a_seed_in_the_end(poked, poke_moves, seed_moves, word):
    """A poke that moves as much as another seed passes; one that moves less than half of it fails."""
    verdict = one_ulp.judge_v19(poked, ended(poke_moves, seed_moves))
    assert verdict.word == word
    assert f"a poke changes {poke_moves}.0% of test predictions and another seed {seed_moves}.0%" in verdict.seen
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)


def test_v19_fails_where_the_first_step_shows_nothing(poked):
    """However far apart the ends are, a poke that no digest saw at step 1 fails the gate."""
    plain = poked[poked["poke_ulps"] == 0]
    unseen = pd.concat([plain, plain.assign(poke_ulps=1)])
    assert one_ulp.judge_v19(unseen, ended(10, 10)).word == "refuted"


# ----------------------------------------------------------------------------------------------------- V20, itself


def test_v20_passes_on_real_rows(rows):
    """The report on real runs against themselves says bit-identical, with 1 and 6 pairs and without a p-value."""
    verdict = gates.v20(Holds(rows))
    assert verdict.word == "supported", verdict.seen
    assert [(row["num_pairs"], row["num_equal"]) for row in verdict.evidence] == [(1, 1), (6, 6)]
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)


def test_v20_fails_where_a_distance_is_nan(rows, monkeypatch):
    """A distance of equal runs that comes out as NaN fails the gate."""
    monkeypatch.setattr("analysis.rows.replicates.max_difference", lambda pairs: float("nan"))
    verdict = gates.v20(Holds(rows))
    assert verdict.word == "refuted"
    assert "nan" in verdict.seen


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("Both are alike.", '"bit-identical" is not said'),
        ("All are bit-identical (p = 1.0).", "a p-value"),
        ("All are bit-identical, with a p-value of 1.", "a p-value"),
        ("All are bit-identical; churn nan %.", "NaN in a sentence"),
    ],
)
def test_what_must_not_be_said_of_equal_runs_is_found(said, fault):
    """A missing word, a p-value and a NaN are each a fault."""
    assert gates.faults_of_equal(said, [1, 1, 0.0, 0.0], 1) == [fault]


@pytest.mark.parametrize("counts", [[1, 0, 1.0, 0.0], [1, 1, 0.0, 1e-9], [0, 0, 0.0, 0.0]])
def test_a_mismatch_of_equal_runs_is_found(counts):
    """A pair that is not identical, a distance above zero and a pair that was not compared are each a fault."""
    assert gates.faults_of_equal("It is bit-identical.", counts, 1)


# --------------------------------------------------------------------------------------------------- V21, digests


def test_v21_passes_and_shows_what_is_no_digest():
    """Both digests tell all pairs apart; an XOR takes [1, 1] for [2, 2] and an L1 norm takes x for -x."""
    verdict = gates.v21(StudyRoom)
    assert verdict.word == "supported", verdict.seen
    seen = {(row["operator"], row["what"]): row["bit_equal"] for row in verdict.evidence}
    assert seen["torch.hash_tensor", "[1, 1] and [2, 2]"]
    assert seen["L1 norm in float64", "x and -x"]
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)


FAULTY = {
    "blind to order": lambda tensor: torch.hash_tensor(tensor).item(),
    "blind to shape": lambda tensor: (str(tensor.dtype), tensor.flatten().view(torch.uint8).tolist()),
    "blind to type": lambda tensor: (tuple(tensor.shape), tensor.flatten().view(torch.uint8).tolist()),
    "blind to the sign of zero": lambda tensor: (str(tensor.dtype), str(tensor.add(0).tolist())),
    "never the same twice": lambda tensor, count=itertools.count(): next(count),
}


@pytest.mark.parametrize("fault", FAULTY)
@pytest.mark.parametrize("ours", gates.OURS)
def test_v21_fails_for_a_faulty_digest(ours, fault, monkeypatch):
    """In the place of either digest, one that misses something, or does not repeat, fails the gate under its name."""
    sound = gates.hashes()
    monkeypatch.setattr(gates, "hashes", lambda: {**sound, ours: FAULTY[fault]})
    verdict = gates.v21(StudyRoom)
    assert verdict.word == "refuted"
    assert verdict.seen.startswith(f"not told apart by {ours}:")


def test_the_gates_share_one_study():
    """D1, V18 and V20 look at the same rows: they are trained once."""
    assert error_rates.repeated is gates.repeated is processes.repeated
