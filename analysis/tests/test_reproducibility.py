"""What the flags buy: exact counts for identical repeats, spread and churn for the others."""

import math

import pandas as pd
import pytest

from analysis import reproducibility
from analysis.rows.replicates import cells, churn, digested, max_difference, replicate_pairs, seed_pairs
from analysis.tests.simulate import Truth, simulate, study_of

DETERMINISTIC = {"seed": "0-9", "cudnn_deterministic": [False, True]}
NOISY = Truth(inert=False, identical=False, run_sd=0.004, seed_sd=0.008)


def rows_of(truth: Truth = NOISY, **document) -> pd.DataFrame:
    return simulate(study_of(**{"grid": DETERMINISTIC, **document}), truth)


def test_identical_repeats_are_a_count_with_an_exact_bound():
    """10 of 10 identical pairs leave up to 26 % that may still differ; the run-to-run variance is 0, without a test."""
    answer = reproducibility.answer(rows_of(Truth(), grid={"seed": "0-9"}))
    assert answer.sentences[0] == (
        "All 10 pairs of replicates ended with bit-identical weights; "
        "at 95% confidence at most 25.9% of such pairs differ."
    )
    assert "run-to-run variance is exactly zero" in answer.sentences[1]
    record = answer.table.iloc[0]
    assert record["differing_share_high"] == pytest.approx(1 - 0.05**0.1)
    assert record["run_to_run_sd"] == 0.0
    assert record["run_to_run_churn_share"] == 0.0
    assert record["max_logit_difference"] == 0.0
    assert not any("p =" in s or "p <" in s for s in answer.sentences)


def test_a_flag_that_makes_repeats_identical_is_named():
    """Where cudnn_deterministic decides alone, the first sentence says so with both counts."""
    answer = reproducibility.answer(rows_of())
    assert answer.sentences[0] == (
        "Weights were bit-identical in 10 of 20 pairs of replicates: in all 10 under cudnn_deterministic=True, "
        "in 0 of 10 under cudnn_deterministic=False."
    )


def test_spread_over_repeats_and_seeds_comes_back():
    """From 60 seeds the run-to-run SD 0.004 and the seed SD 0.008 are found within a quarter, and in the interval."""
    rows = rows_of(grid={"seed": "0-59", "cudnn_deterministic": [False]}, replicates=3)
    (cell,) = cells(digested(rows))
    assert cell.run_sd == pytest.approx(0.004, rel=0.25)
    assert cell.seed_sd == pytest.approx(0.008, rel=0.25)
    assert cell.run_degrees == 120
    assert (cell.num_pairs, cell.num_identical) == (60, 0)  # the third replicate has no partner


def test_no_repeat_identical():
    """Where nothing repeats, the first sentence says so, and the interval of the share reaches up to 1."""
    rows = rows_of(grid={"seed": "0-9", "cudnn_deterministic": [False]})
    answer = reproducibility.answer(rows)
    assert answer.sentences[0].startswith("No repeat was bit-identical: the weights differ in all 10 pairs")
    assert answer.table["differing_share_low"].iloc[0] == pytest.approx(0.025**0.1)


def test_pairs_are_disjoint():
    """Four replicates make two pairs, 0 with 1 and 2 with 3; a fifth would be left over."""
    rows = digested(rows_of(Truth(), grid={"seed": [3]}, replicates=5))
    pairs = replicate_pairs(rows)
    assert list(zip(pairs["replicate"], pairs["replicate_second"], strict=True)) == [(0, 1), (2, 3)]


def test_neighbouring_seeds_are_paired_inside_a_condition():
    """Seeds 1, 4, 9 make the pairs (1, 4) and (4, 9), from first replicates."""
    rows = digested(rows_of(Truth(), grid={"seed": [9, 1, 4]}))
    pairs = seed_pairs(rows)
    assert sorted(zip(pairs["seed"], pairs["seed_second"], strict=True)) == [(1, 4), (4, 9)]
    assert set(pairs["replicate"]) == {0}


def test_churn_and_logits_by_hand():
    """Two of four predictions differ: churn 0.5; the largest logit moved by 3; arrays of other lengths do not count."""
    pairs = pd.DataFrame(
        {
            "predictions": [[1, 2, 3, 4], [0, 0]],
            "predictions_second": [[1, 0, 3, 0], [0, 0, 0]],
            "probe_logits": [[1.0, -2.0], None],
            "probe_logits_second": [[1.5, 1.0], [0.0]],
        }
    )
    assert churn(pairs) == 0.5
    assert max_difference(pairs) == 3.0
    assert math.isnan(churn(pairs[:0]))


def test_a_planted_bit_is_found():
    """One digest changed by hand among identical repeats turns 10 of 10 into 9 of 10, with an exact interval."""
    rows = rows_of(Truth(), grid={"seed": "0-9"})
    rows.loc[rows.index[-1], "weights_sha256"] = "0" * 64
    answer = reproducibility.answer(rows)
    assert answer.sentences[0].startswith("Weights were bit-identical in 9 of 10 pairs")
    assert answer.table["differing_share_low"].iloc[0] == pytest.approx(1 - 0.975**0.1)


def test_other_kernels_are_told_from_the_same_kernels():
    """Differing pairs whose kernel fingerprints differ chose another algorithm; the others did not."""
    rows = rows_of(grid={"seed": "0-3", "cudnn_deterministic": [False]})
    other = (rows["seed"] == 0) & (rows["replicate"] == 1)
    rows["kernel_fingerprint"] = other.map({True: "b" * 64, False: "a" * 64}).astype("category")
    text = " ".join(reproducibility.answer(rows).sentences)
    assert "1 differing pair ran different CUDA kernels" in text
    assert "The other 3 differ although the kernels recorded do not" in text


def test_an_inert_flag_changes_no_bit():
    """On a CPU switching a cuDNN flag leaves the weights alone, and the answer says that it must."""
    answer = reproducibility.answer(rows_of(Truth(), grid=DETERMINISTIC))
    assert any(
        s == "Switching cudnn_deterministic changed no bit of the weights in 20 pairs of trials with the same seed, "
        "as it must on a CPU."
        for s in answer.sentences
    )


def test_a_flag_is_judged_only_where_repeats_are_identical():
    """Where the same seed gives other bits anyhow, nothing is said of what switching a flag changes."""
    grid = {"seed": "0-3", "cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}
    sentences = [s for s in reproducibility.answer(rows_of(grid=grid)).sentences if s.startswith("Switching")]
    assert len(sentences) == 1
    assert sentences[0] == (
        "Switching cudnn_benchmark changed the weights in 8 of 8 pairs of trials with the same seed, "
        "where repeats are identical."
    )


def test_a_seed_that_reaches_nothing_is_noticed():
    """Different seeds with the same weights are announced: every count would be worthless otherwise."""
    rows = rows_of(Truth(), grid={"seed": "0-2"})
    rows["weights_sha256"] = "a" * 64
    assert any(
        "2 of 2 pairs of different seeds gave bit-identical" in s for s in reproducibility.answer(rows).sentences
    )


def test_without_replicates_it_says_what_to_set():
    """One replicate cannot tell anything about repeats: set replicates = 2."""
    answer = reproducibility.answer(rows_of(Truth(), replicates=1))
    assert "Set replicates = 2" in answer.sentences[0]


def test_without_a_second_seed_it_says_what_to_add():
    """One seed tells nothing of seed variance: add seeds."""
    answer = reproducibility.answer(rows_of(Truth(), grid={"seed": [0]}))
    assert answer.sentences[0].startswith("The one pair of replicates ended")
    assert any('add seed = "0-4" under [grid]' in s for s in answer.sentences)


def test_forgotten_seeds_are_said_in_one_sentence():
    """Trials that drew from generators which no seed reaches are counted, second after the overall count."""
    rows = rows_of(Truth(), grid={"seed": "0-4"})
    assert not any("does not seed" in s for s in reproducibility.answer(rows).sentences)
    rows["python_rng_used"] = rows["seed"] < 2
    rows["numpy_rng_used"] = pd.Series([True] + [None] * 9, dtype=object)
    answer = reproducibility.answer(rows)
    assert answer.sentences[1] == (
        "Of 10 trials, code of the workload drew from Python's random in 4 and NumPy's global generator in 1: "
        "torch.manual_seed does not seed that, so such trials repeat only if the code seeds it itself."
    )
    assert answer.leading == answer.sentences[:2]


def test_older_rows_say_which_digests_they_lack():
    """Simulated rows have no digest of optimizer, gradients or order: a note names them."""
    answer = reproducibility.answer(rows_of(Truth(), grid={"seed": "0-4"}))
    assert "no digests of the order of the images" in answer.notes[-1]
    assert "the optimizer's state" in answer.notes[-1]
    assert "ulp" not in " ".join(answer.notes)


def test_distances_stand_beside_the_counts():
    """Repeats that differ bring the sentence of their distances and the note of how these were made."""
    answer = reproducibility.answer(rows_of(grid={"seed": "0-4", "cudnn_deterministic": [False]}))
    assert any(s.startswith("Differing repeats are first seen to differ at step 80") for s in answer.sentences)
    assert any("one ulp" in note for note in answer.notes)
