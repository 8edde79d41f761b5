"""Pairs and what is said of them: a poke as positive control, planted differences, and rows that lack columns."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis import divergence
from analysis.figures import divergence as divergence_figure
from analysis.figures import style
from analysis.rows.replicates import digested
from analysis.rows.sameness import FLAT, NESTED, STEP_DIGESTS
from analysis.tests.simulate import simulate, study_of
from lrbench.record import BY_NAME

NUM_STEPS = 80  # four epochs of twenty
EPOCHS = [20, 40, 60, 80]


def rows_of(**document) -> pd.DataFrame:
    """Rows of identical repeats that hold every digest, at each epoch's end."""
    rows = simulate(study_of(**document))
    rows["weights_sample"] = [np.array([1.0, 2.0, 4.0], dtype=np.float32)] * len(rows)
    rows["class_accuracy"] = [np.array([0.9, 1.0])] * len(rows)
    rows["digest_steps"] = [np.array(EPOCHS)] * len(rows)
    for name in ("gradients", "optimizer", "order", "losses"):
        rows[f"{name}_sha256"] = rows["weights_sha256"]
    for name in STEP_DIGESTS:
        rows[f"{name}_xxh3"] = [np.array([f"{digest}{step}" for step in EPOCHS]) for digest in rows["weights_sha256"]]
    return rows


def part(rows: pd.DataFrame, index: int, step: int, doubling_steps: float = 4.0) -> None:
    """Let a trial part at a step from what it was: losses from there, weights, the digests from then on, predictions.

    The gap is 2^-20 nats at `step` and doubles every so many steps up to 1/16: from step 21 it comes to
    2^(-20 + 59/4) = 0.026. One of three weights moves by 3 ulps, 3 · 2^-23 / sqrt(21) of the norm.
    """
    since = np.arange(1, NUM_STEPS + 1) - step
    gap = np.where(since >= 0, np.minimum(2.0**-20 * 2 ** (since / doubling_steps), 0.0625), 0.0)
    rows.at[index, "train_loss_steps"] = (1 + gap).astype(np.float32)
    rows.at[index, "weights_sample"] = np.array([1 + 3 * 2**-23, 2.0, 4.0], dtype=np.float32)
    for name in ("weights", "losses", "gradients", "optimizer", "predictions"):
        rows.at[index, f"{name}_sha256"] = f"parted {index}"
    for name in ("loss", "gradients", "weights", "optimizer"):
        old = rows.at[index, f"{name}_xxh3"]
        new = [f"parted {index}" if at >= step else digest for at, digest in zip(EPOCHS, old, strict=True)]
        rows.at[index, f"{name}_xxh3"] = np.array(new)
    predictions = rows.at[index, "predictions"].copy()
    predictions[:36] = (predictions[:36] + 1) % 10  # 36 of 360 test images
    rows.at[index, "predictions"] = predictions


def said(rows: pd.DataFrame) -> list[str]:
    return divergence.sentences(divergence.all_pairs(digested(rows)))


def place(rows: pd.DataFrame, **levels) -> int:
    """The index of the one row at these levels."""
    (index,) = rows.index[np.logical_and.reduce([rows[name] == value for name, value in levels.items()])]
    return index


def test_identical_repeats_have_counts_and_no_distances():
    """The negative control: all digests equal in all pairs, nothing said, no row of distances, no figure."""
    rows = rows_of(grid={"seed": "0-4"})
    assert said(rows) == []
    (record,) = divergence.digest_table(rows).to_dict("records")
    assert set(record) == {"kind", "num_pairs", *divergence.DIGESTS}
    assert {record[name] for name in divergence.DIGESTS} == {"5 of 5"}
    assert divergence.distance_table(rows).empty
    assert divergence_figure.drawn(rows) == []


def test_repeats_that_part_are_followed_to_their_end():
    """One pair of five parts at step 21: step, cause, doubling time and distance are said as planted, and tabled."""
    rows = rows_of(grid={"seed": "0-4"})
    part(rows, place(rows, seed=3, replicate=1), step=21)
    (sentence,) = said(rows)
    assert sentence == (
        "Differing repeats part at step 21, in the training loss. The gap in training loss doubles every 4 steps and "
        "reaches 0.026. In the end the weights are 0 ulps apart in the median, or 7.8e-08 of their norm."
    )
    (record,) = divergence.distance_table(rows).to_dict("records")
    assert record["num_pairs"] == 5
    assert record["num_different"] == "1"
    assert (record["first_different_step"], record["first_seen_in"]) == ("21", "loss 1")
    assert record["loss_gap_doubling_steps"] == "4"
    assert (record["weights_ulps,_median"], record["weights_ulps,_largest"]) == ("0", "3")
    assert record["churn"] == "10.0%"
    (counts,) = divergence.digest_table(rows).to_dict("records")
    assert {name for name in divergence.DIGESTS if counts[name] == "4 of 5"} == {
        "loss",
        "gradients",
        "weights",
        "optimizer",
        "predictions",
    }


def test_a_step_between_two_digests_is_not_called_exact():
    """Seen at step 30, while the last digests before are of step 20: first seen to differ, not parted, there."""
    rows = rows_of(grid={"seed": "0-4"})
    part(rows, place(rows, seed=3, replicate=1), step=30)
    assert "repeats are first seen to differ at step 30, in the training loss" in said(rows)[0]


def test_a_poke_is_paired_with_the_trial_that_was_left_alone():
    """One weight moved by one ulp: seeds 0 to 2 make three pairs, whose steps and range are said."""
    rows = rows_of(grid={"seed": "0-2", "poke_ulps": [0, 1]})
    for name in [n for n in rows.columns if n.endswith(("sha256", "xxh3")) or n in ("predictions", "probe_logits")]:
        for seed in range(3):  # the simulated truth knows no poke: begin with trials that are equal
            for replicate in range(2):
                alone = rows.at[place(rows, seed=seed, poke_ulps=0, replicate=0), name]
                rows.at[place(rows, seed=seed, poke_ulps=1, replicate=replicate), name] = alone
    (sentence,) = said(rows)
    assert sentence == (
        "One weight moved by 1 ulp before training changed the final weights in 0 of 3 pairs: it was absorbed, or "
        "reached nothing."
    )
    for seed, step in enumerate([1, 1, 5]):
        for replicate in range(2):
            index = place(rows, seed=seed, poke_ulps=1, replicate=replicate)
            part(rows, index, step)
            for name in ("weights", "losses", "gradients", "optimizer", "predictions"):
                rows.at[index, f"{name}_sha256"] = f"poked {seed}"
            for name in ("loss", "gradients", "weights", "optimizer"):
                rows.at[index, f"{name}_xxh3"] = np.array([f"poked {seed} {at}" for at in EPOCHS])
    (sentence,) = said(rows)
    assert sentence.startswith(
        "One weight moved by 1 ulp before training changed the final weights in 3 of 3 pairs; the two are first seen "
        "to differ at step 1 (1 to 5), in the training loss. "
    )
    assert sentence.endswith("; 10.0% of test images are classified differently.")
    table = divergence.digest_table(rows)
    assert table["kind"].tolist() == ["repeats", "poke_ulps=1"]
    assert table["weights"].tolist() == ["6 of 6", "0 of 3"]
    (figure,) = divergence_figure.drawn(rows)
    assert "10.0% of test images" in figure.get_suptitle()


def test_what_a_poke_does_cannot_be_told_where_repeats_differ_without_it():
    """A trial that parts from its repeat parts from a poked one too: the poke is not named as the cause."""
    rows = rows_of(grid={"seed": "0-2", "poke_ulps": [0, 1]})
    for index, row in rows[rows["replicate"] == 1].iterrows():
        part(rows, index, step=21 + row["seed"])
    for index, row in rows[(rows["replicate"] == 0) & (rows["poke_ulps"] == 1)].iterrows():
        part(rows, index, step=41 + row["seed"])
    about_the_poke = [sentence for sentence in said(rows) if "ulp" in sentence.split(".")[0]]
    assert about_the_poke == [
        "What moving one weight by 1 ulp does cannot be told: 6 of 6 pairs of repeats differ without it."
    ]


def test_what_differs_although_the_weights_agree_is_said():
    """Predictions that differ in one of five pairs of equal weights: the training repeats, the evaluation does not."""
    rows = rows_of(grid={"seed": "0-4"})
    rows.at[place(rows, seed=0, replicate=1), "predictions_sha256"] = "other"
    assert said(rows) == ["Of 5 pairs of repeats with equal weights, other things differ: the predictions in 1."]


def test_rows_of_older_runs_say_what_cannot_be_told():
    """Without the columns of this release, only what older rows hold is counted, and the rest is named as not told."""
    rows = simulate(study_of(grid={"seed": "0-4"}))
    index = place(rows, seed=3, replicate=1)
    rows.at[index, "weights_sha256"] = "other"
    for name in (n for n in (*FLAT, *NESTED) if BY_NAME[n].group in ("steps", "curves")):
        rows[name] = None
    found = divergence.all_pairs(digested(rows))
    (sentence,) = divergence.sentences(found)
    assert sentence == "Differing repeats are first seen to differ at step 80, in the weights."
    (missing,) = divergence.not_told(found)
    assert missing == (
        "The rows hold no digests of the order of the images, the images as the model saw them, torch's random state, "
        "the training loss, the gradients and the optimizer's state: whether these agree cannot be told."
    )
    (record,) = divergence.distance_table(rows).to_dict("records")
    assert {record[n] for n in ("weights_ulps,_median", "weights_relative_L2", "loss_gap_doubling_steps")} == {"–"}
    assert divergence_figure.drawn(rows) == []


def test_places_are_never_pooled():
    """Rows of two machines have a line each, under their place."""
    rows = rows_of(grid={"seed": "0-3"})
    rows["hostname"] = (rows["seed"] % 2).map({0: "a", 1: "b"})
    table = divergence.digest_table(rows)
    assert table["place"].tolist() == ["hostname a", "hostname b"]
    assert table["weights"].tolist() == ["2 of 2", "2 of 2"]


def test_churn_between_runs_by_hand():
    """Runs of seeds 0, 0 and 1: equal repeats share no churn, the two seeds differ in one of four images."""
    rows = rows_of(grid={"seed": "0-1"})
    part(rows, place(rows, seed=1, replicate=1), step=5)
    by_run = {(0, 0): [0, 1, 2, 3], (0, 1): [0, 1, 2, 3], (1, 0): [0, 1, 2, 0], (1, 1): [0, 1, 1, 0]}
    rows["predictions"] = [np.array(by_run[key]) for key in zip(rows["seed"], rows["replicate"], strict=True)]
    (pairs,) = divergence.all_pairs(digested(rows))
    labels, shares = divergence_figure.churn_matrix(digested(rows), pairs)
    assert labels == ["0", "", "1", ""]
    assert shares.tolist() == [[0, 0, 0.25, 0.5], [0, 0, 0.25, 0.5], [0.25, 0.25, 0, 0.25], [0.5, 0.5, 0.25, 0]]


@pytest.mark.parametrize("without", ["predictions", "nothing"])
def test_the_figure_draws(without):
    """With predictions it has the churn of every two runs beside the gaps, without them the gaps alone."""
    rows = rows_of(grid={"seed": "0-4"})
    part(rows, place(rows, seed=3, replicate=1), step=21)
    rows = rows.drop(columns=without, errors="ignore")
    (figure,) = divergence_figure.drawn(rows)
    with style():
        figure.draw_without_rendering()
    assert len(figure.axes) == (1 if without == "predictions" else 3)
    (line, _) = figure.axes[0].lines
    assert math.isnan(line.get_ydata()[19])
    assert line.get_ydata()[20] == pytest.approx(2.0**-20, rel=0.1)
