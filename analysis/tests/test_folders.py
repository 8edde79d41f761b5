"""Two results folders compared: every planted difference is found and named, and equal folders are said to be equal."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import folders_accuracy, folders_bits, folders_cost
from analysis.folders import about, difference_table, match
from analysis.page.folders_page import compare, write_page
from analysis.statistics.permutation import permutation_p
from analysis.tests.simulate import Truth, simulated_rows, study_of
from lrbench import store
from lrbench.record import arrow_schema, check_row

SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": 2}]
STUDY = study_of(grid={"seed": "0-5", "scheduler": SCHEDULERS}, replicates=2)  # 24 trials in 12 blocks


def write(folder: Path, change=lambda row, index: row, study=STUDY, truth: Truth = Truth()) -> Path:
    """Write the study's rows, each changed as told (None: left out), as one part of a real folder."""
    rows = [change(dict(row), index) for index, row in enumerate(simulated_rows(study, truth))]
    table = pa.Table.from_pylist([check_row(row) for row in rows if row is not None], schema=arrow_schema())
    (folder / "trials").mkdir(parents=True)
    pq.write_table(table, folder / "trials" / "part-000000-000000.parquet")
    record = {"study": study.model_dump(mode="json"), "places": [], "num_trials": 24, "schema_version": 3}
    store.write_study_record(folder, record)
    return folder


def again(row: dict, **changes) -> dict:
    """The same trial run another day: the same bits."""
    return row | {"started_at": "2026-11-21T08:00:00+00:00"} | changes


@pytest.fixture(scope="module")
def a(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("a") / "a")


def differing(matched) -> dict[str, tuple[str, str]]:
    return {d.column: (d.a, d.b) for d in matched.differences}


# --------------------------------------------------------------------------------------------- folders that are alike


def test_a_copy_is_told_to_be_one(a, tmp_path):
    """The very same runs in both folders tell nothing: no cost is compared, no verdict is given."""
    made = compare(a, shutil.copytree(a, tmp_path / "copy"))
    assert made.matched.differences == ()
    assert about(made.matched) == [
        "All trials are the same runs in both folders (one is a copy): they tell of no difference."
    ]
    assert made.ratios == made.compared == ()
    assert made.answers["bits"].sentences == ("The runs are the same, to the bit and to the second.",)


def test_a_rerun_with_equal_bits_is_told_to_be_equal(a, tmp_path):
    """The study run again with the same results: nothing differs, all bits and accuracies are counted equal."""
    made = compare(a, write(tmp_path / "b", lambda row, i: again(row)))
    assert made.matched.differences == ()
    assert about(made.matched) == ["24 trials are in both."]
    # 1 - 0.05 ** (1 / 24) is 11.7 %
    (said,) = made.answers["bits"].sentences
    assert said.startswith("All 24 trials ended with the same weights in both folders, bit for bit;")
    assert said.endswith("at 95% confidence at most 11.7% of such trials differ.")
    assert made.answers["accuracy"].sentences[0].startswith("All 24 trials reached exactly the same accuracy")
    assert made.answers["accuracy"].verdict == ""
    speed = made.ratios[0]
    assert (speed.metric, speed.where, speed.verdict) == ("samples_per_second", "", "equivalent within margin")
    assert speed.estimate.value == pytest.approx(1.0)


# -------------------------------------------------------------------------------------------- columns that must agree


@pytest.mark.parametrize(
    ("column", "value", "shown", "follows"),
    [
        ("torch_version", "2.16.0", "2.16.0", "speed and bits may differ by it"),
        ("hostname", "elsewhere", "elsewhere", "another machine, or another name of it"),
        ("cpu_model", "Other CPU", "Other CPU", "speed and bits may differ by it"),
        ("git_commit", "1" * 40, "1111111111…", "the code may differ"),
        ("git_dirty", True, "True", "code that no commit holds may have run"),
        ("environment", '{"OMP_NUM_THREADS": "1"}', '{"OMP_NUM_THREADS": "1"}', "speed and bits may differ by it"),
        ("schema_version", 9, "9", "a column that one lacks is null there, and not compared"),
        ("cudnn_flags_inert", False, "False", "the cuDNN flags do something in one of them alone"),
    ],
)
def test_a_column_that_disagrees_is_named(a, tmp_path, column, value, shown, follows):
    """Machine, versions, code, environment: each column that differs is in the first table with what follows."""
    matched = match(a, write(tmp_path / "b", lambda row, i: again(row, **{column: value})))
    (difference,) = matched.differences
    assert (difference.column, difference.b, difference.follows) == (column, shown, follows)
    assert len(difference_table(matched)) == 1
    assert matched.counts["num_matched"] == 24


def test_other_data_are_compared_in_cost_alone(a, tmp_path):
    """Where data_sha256 differs, accuracy and bits are refused with the column's name; speed is still compared."""
    made = compare(a, write(tmp_path / "b", lambda row, i: again(row, data_sha256="e" * 64)))
    assert any("data_sha256 (dddddddddd… in A, eeeeeeeeee… in B)" in sentence for sentence in about(made.matched))
    assert made.compared == ()
    assert "accuracy is not compared" in made.answers["accuracy"].sentences[0]
    assert "bits cannot be compared" in made.answers["bits"].sentences[0]
    assert made.ratios[0].verdict == "equivalent within margin"


def test_another_model_is_not_compared_at_all(a, tmp_path):
    """Where num_parameters differs the trials are not the same job: nothing of that workload is compared."""
    made = compare(a, write(tmp_path / "b", lambda row, i: again(row, num_parameters=99)))
    (said,) = [sentence for sentence in about(made.matched) if "num_parameters" in sentence]
    assert "nothing of it is compared" in said
    assert "num_parameters (10,000 in A, 99 in B)" in said
    assert made.ratios == made.compared == ()


def test_another_workload_matches_nothing(a, tmp_path):
    """Two studies of other workloads have no trial in common, and nothing is set against each other."""
    other = study_of(grid={"seed": "0-1", "scheduler": SCHEDULERS, "workload": ["mnist5k-cnn", "cifar10-resnet9"]})
    made = compare(a, write(tmp_path / "b", lambda row, i: again(row), study=other))
    assert made.matched.counts["num_matched"] == 0
    assert made.ratios == made.compared == ()
    assert made.answers["cost"].sentences == ("No condition is in both folders, so cost cannot be compared.",)


def test_trials_whose_flags_did_not_hold_are_left_out_and_counted(a, tmp_path):
    """A flag that was asked for and was not in force: such trials are in no comparison, and the column is named."""
    matched = match(a, write(tmp_path / "b", lambda row, i: again(row, flags_held=i >= 5)))
    assert matched.counts["num_matched"] == 19
    assert any(s.startswith("In 5 trials of B") and "flags_held" in s for s in about(matched))


def test_places_inside_a_folder_are_not_pooled(a, tmp_path):
    """A folder that two torch versions wrote is not one side: the larger place stands for it, the other is left out."""
    b = write(tmp_path / "b", lambda row, i: again(row, torch_version="2.16.0" if i < 8 else "2.15.0"))
    matched = match(a, b)
    assert matched.counts["num_matched"] == 16
    (said,) = [s for s in about(matched) if "not pooled" in s]
    assert "differ in torch_version" in said
    assert "8 other trials left out" in said


def test_trials_that_chose_base_rates_are_in_no_comparison(a, tmp_path):
    """Rows of a tuned study's selection are counted and left out."""
    b = write(tmp_path / "b", lambda row, i: again(row, tuning="selection" if i < 4 else "default"))
    matched = match(a, b)
    assert matched.counts["num_matched"] == 20
    assert "4 trials of B chose base rates: in no comparison." in about(matched)


def test_old_rows_that_lack_columns_are_unknown_and_not_different(a, tmp_path):
    """A null in rows of an older schema (poke_ulps, environment) is not another level."""
    old = {"schema_version": 1, "poke_ulps": None, "environment": None, "cores": None}
    matched = match(a, write(tmp_path / "b", lambda row, i: again(row, **old)))
    assert list(differing(matched)) == ["schema_version"]
    assert matched.counts["num_matched"] == 24


def test_uncommitted_changes_are_told_where_commits_agree(tmp_path):
    """Two runs of one commit with uncommitted changes may still be of other code."""
    a = write(tmp_path / "a", lambda row, i: row | {"git_dirty": True})
    matched = match(a, write(tmp_path / "b", lambda row, i: again(row, git_dirty=True)))
    assert any(s.startswith("Both ran with uncommitted changes") for s in about(matched))


# --------------------------------------------------------------------------------------------------- what is matched


def test_trials_of_one_folder_alone_are_counted(a, tmp_path):
    """More seeds in one folder and a scheduler less: what both have is compared, the rest counted on its side."""
    larger = study_of(grid={"seed": "0-7", "scheduler": SCHEDULERS[:1]}, replicates=2)
    matched = match(a, write(tmp_path / "b", lambda row, i: again(row), study=larger))
    assert matched.counts == {
        "num_a": 24, "num_b": 16, "num_matched": 12, "num_only_a": 12, "num_only_b": 4, "num_same_runs": 0
    }  # fmt: skip
    assert "12 trials are in both; 12 only in A and 4 only in B." in about(matched)
    assert differing(matched)["seed"] == ("0-5", "0-7")


def test_a_factor_at_one_level_each_is_what_is_compared(a, tmp_path):
    """num_threads 1 in A and 2 in B: trials match all the same, the factor is named, and what to type is said."""
    other = study_of(grid={"seed": "0-5", "scheduler": SCHEDULERS}, fixed={"num_threads": 2}, replicates=2)
    made = compare(a, write(tmp_path / "b", lambda row, i: again(row), study=other))
    assert made.matched.apart == {"num_threads": (1, 2)}
    assert made.matched.counts["num_matched"] == 24
    assert differing(made.matched) == {"num_threads": ("1", "2")}
    assert "--set num_threads=[1,2]" in made.answers["cost"].caveats[0]


def test_a_trial_that_failed_in_one_folder_is_told(a, tmp_path):
    """A trial that completed in A and diverged in B is in no mean, and is never dropped in silence."""
    b = write(tmp_path / "b", lambda row, i: again(row), truth=Truth(failures={3: "diverged", 7: "out_of_memory"}))
    made = compare(a, b)
    assert "2 trials completed in A and not in B (1 diverged and 1 out of memory)." in about(made.matched)
    assert made.compared[0].num_pairs == 22


# -------------------------------------------------------------------------------------------------- planted differences


def test_a_planted_speed_is_found(a, tmp_path):
    """B at 1.1 times the speed is 10 % faster, over all and in each condition; memory at 1.3 times is larger."""
    b = write(
        tmp_path / "b",
        lambda row, i: again(
            row, samples_per_second=row["samples_per_second"] * 1.1, peak_memory_mib=104.0 + row["seed"]
        ),
    )
    made = compare(a, b)
    overall = {ratio.metric: ratio for ratio in made.ratios if not ratio.where}
    speed = overall["samples_per_second"]
    assert speed.estimate.value == pytest.approx(1.1)
    assert speed.estimate.low < 1.1 < speed.estimate.high
    assert len(speed.a) == len(speed.b) == 12
    assert (speed.verdict, overall["peak_memory_mib"].verdict) == ("better", "worse")
    conditions = [ratio for ratio in made.ratios if ratio.where]
    assert {ratio.where for ratio in conditions} == {"ConstantLR", "StepLR"}
    assert all(ratio.verdict == "better" for ratio in conditions)
    assert all(ratio.corrected_p >= ratio.p for ratio in conditions)
    assert "B is 10.0% faster" in made.answers["cost"].sentences[0]


def test_a_block_far_outside_is_named_with_the_change_without_it(tmp_path):
    """Of 12 blocks of B 11 are 20 % slower and one 20 times: the mean says 37.9 %, and the sentence says both.

    The mean of the logarithms is (11 log 0.8 + log 0.05) / 12. The p is no longer Welch's, and is not called so.
    """
    first = write(tmp_path / "a", lambda row, i: row | {"samples_per_second": 1000.0 + row["seed"] % 2})

    def slower(row, index):
        slow = 0.05 if (row["seed"], row["replicate"]) == (2, 0) else 0.8
        return again(row, samples_per_second=(1000.0 + row["seed"] % 2) * slow)

    made = compare(first, write(tmp_path / "b", slower))
    answer = made.answers["cost"]
    mean = 1 - (0.8**11 * 0.05) ** (1 / 12)
    block = next(row["block"] for row in simulated_rows(STUDY) if (row["seed"], row["replicate"]) == (2, 0))
    assert answer.sentences[0].startswith(f"Throughput: B is {100 * mean:.1f}% slower (")
    told = f"; far from the median block: block {block} of B (0.0625 times); without it B is 20.0% slower."
    assert answer.sentences[0].endswith(told.replace("0.0625", "0.062"))
    (overall,) = [ratio for ratio in made.ratios if ratio.metric == "samples_per_second" and not ratio.where]
    assert answer.table["p"][0] == permutation_p(overall.b, overall.a)
    assert not any("welch" in name.lower() for name in answer.table.columns)
    assert "a permutation test's where one of six or more blocks lies far outside" in answer.notes[0]
    assert "p of single conditions is corrected" in answer.notes[0]


def test_a_change_too_small_to_matter_is_the_same_in_text_and_table(tmp_path):
    """Memory surely 0.1 % larger, accuracy surely a hundredth of an SD lower: "worse, but negligible" everywhere."""

    def lower(row):
        return row["final_accuracy"] - 1e-4 * (1 + row["seed"] % 2)

    first = write(tmp_path / "a", lambda row, i: row | {"peak_memory_mib": 1000 + 0.01 * row["seed"]})
    b = write(
        tmp_path / "b",
        lambda row, i: again(row, peak_memory_mib=1001 + 0.01 * row["seed"], final_accuracy=lower(row)),
    )
    made = compare(first, b)
    cost, accuracy = made.answers["cost"], made.answers["accuracy"]
    (said,) = [sentence for sentence in cost.sentences if sentence.startswith("Peak memory")]
    assert said.startswith("Peak memory: B is 0.1% larger: worse, but negligible, being less than 2% (1.001 times")
    assert cost.table.set_index("metric").loc["peak memory", "verdict"] == "worse, but negligible"
    assert accuracy.verdict == accuracy.table["verdict"][0] == "worse, but negligible"
    assert accuracy.sentences[0].startswith("Worse, but negligible, being less than one seed SD (")
    assert '<span class="badge worse"><span aria-hidden="true">▼' in write_page(made, tmp_path / "p").html.read_text()


def test_trials_that_shared_their_device_are_not_timed(a, tmp_path):
    """Packed trials are left out of speed, counted, and still compared in bits."""
    made = compare(a, write(tmp_path / "b", lambda row, i: again(row, packed=True)))
    assert not any(ratio.metric == "samples_per_second" for ratio in made.ratios)
    assert any("24 completed trials of B left out of speed" in s for s in made.answers["cost"].sentences)
    assert made.answers["bits"].sentences[0].startswith("All 24 trials")


def test_a_planted_accuracy_is_found(a, tmp_path):
    """Two points more in B on every seed, give or take: better, with the size and an interval over 6 seeds."""

    def change(row, index):
        return again(row, final_accuracy=row["final_accuracy"] + 0.02 + 0.001 * (row["seed"] % 2))

    found = compare(a, write(tmp_path / "b", change)).compared
    assert found[0].judgement.verdict == "better"
    assert found[0].judgement.n == 6
    assert found[0].judgement.estimate.value == pytest.approx(0.0205)
    assert {one.scheduler for one in found} == {"", "ConstantLR", "StepLR"}
    assert all(one.judgement.verdict == "better" for one in found)
    assert found[0].num_equal == 0


def test_planted_bits_are_counted_and_followed_to_their_step(a, tmp_path):
    """Three trials with other weights, whose losses part at step 7: 21 of 24 equal, and step 7 named."""

    def change(row, index):
        losses = list(row["train_loss_steps"])
        if index < 3:
            losses[6] += 0.5
            row = row | {"weights_sha256": "f" * 64, "logits_sha256": "f" * 64, "train_loss_steps": losses}
        return again(row)

    said = compare(a, write(tmp_path / "b", change)).answers["bits"].sentences
    assert re.match(r"Inside B [123] of 12 pairs of repeats differ: a trial that differs between the folders", said[0])
    assert said[1].startswith("21 of 24 trials ended with the same weights in both folders, the same logits in 21")
    assert said[2] == "Differing trials are first seen to differ at step 7, in the training loss."


def test_other_lengths_stand_in_the_table_as_in_the_sentence(a, tmp_path):
    """Twice the steps in B: the step at which the two part, and in what, is in the table too; it names no other."""

    def change(row, index):
        return again(row, num_steps=2 * row["num_steps"], train_loss_steps=row["train_loss_steps"] * 2)

    other = dict.fromkeys(("weights_sha256", "losses_sha256"), "f" * 64)
    made = compare(a, write(tmp_path / "b", lambda row, i: change(row, i) | other)).answers["bits"]
    assert any(
        said.startswith("Differing trials are first seen to differ at step 81, in the n") for said in made.sentences
    )
    steps = dict(zip(made.table["what"], made.table["first_different_step"], strict=True))
    assert steps.pop("number of steps") == "81, in 24 pairs"
    assert set(steps.values()) == {"–"}
    assert dict(zip(made.table["what"], made.table["equal_in"], strict=True))["number of steps"] == "0 of 24"


def test_another_order_of_the_images_is_named_as_the_cause(a, tmp_path):
    """Digests of the first step tell that the two did not train on the same batches."""
    digests = {f"{name}_xxh3": [name] for name in ("images", "rng", "lr", "loss", "gradients", "weights", "optimizer")}

    def with_digests(order):
        return lambda row, i: again(
            row, digest_steps=[1], order_xxh3=[order], weights_sha256=order * 64, started_at=order, **digests
        )

    first, second = (write(tmp_path / order, with_digests(order)) for order in "ab")
    said = compare(first, second).answers["bits"].sentences
    assert said[0].startswith("0 of 24 trials ended with the same weights")
    assert "in the order of the images" in said[1]
    assert said[2] == "The order of the images already differs: the two did not train on the same batches."


# ---------------------------------------------------------------------------------------------------------- statistics


@pytest.mark.parametrize("sizes", [(4, 4), (3, 12), (20, 5)])
def test_the_interval_is_welchs(sizes):
    """Difference, interval, p and degrees of freedom agree with scipy's own Welch test."""
    from scipy import stats

    rng = np.random.default_rng(sizes)
    x, y = rng.normal(0, 1, sizes[0]), rng.normal(0.5, 3, sizes[1])
    estimate, p, degrees, _ = folders_cost.welch(x, y)
    theirs = stats.ttest_ind(y, x, equal_var=False)
    interval = theirs.confidence_interval()
    assert (estimate.value, p, degrees) == pytest.approx((y.mean() - x.mean(), theirs.pvalue, theirs.df))
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))
    assert estimate.n == min(sizes)


@pytest.mark.parametrize(("x", "y"), [([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0]), ([], [1.0, 2.0])])
def test_without_spread_or_with_one_block_nothing_is_tested(x, y):
    """One block, or no spread at all, gives no interval and no p: t would claim certainty from nothing."""
    ratio = folders_cost.Ratio(metric="samples_per_second", where="", a=np.array(x), b=np.array(y))
    assert not ratio.estimate.bounded
    assert ratio.verdict == "not testable here"


# ----------------------------------------------------------------------------------------------------------- real runs

TINY = """
question = "Does the number of threads matter?"
replicates = 1
[fixed]
workload = "digits-cnn"
epochs = 1
[grid]
seed = "0-1"
scheduler = [{ name = "ConstantLR", factor = 1.0 }, { name = "StepLR", step_size = 1 }]
"""

RUN = """
from lrbench.runner import run_study
from lrbench.study import read_study
for name, threads in (("one", 1), ("two", 2)):
    run_study(read_study("tiny.toml").with_levels(num_threads=threads), name, executor="inline")
"""


@pytest.mark.slow
def test_real_runs_at_one_and_two_threads(tmp_path):
    """Digits trained at 1 and at 2 threads: the same batches and rates, other bits, with the step."""
    (tmp_path / "tiny.toml").write_text(TINY)
    subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, check=True, capture_output=True)
    threads = compare(tmp_path / "one", tmp_path / "two")
    assert threads.matched.apart == {"num_threads": (1, 2)}
    assert threads.matched.counts["num_matched"] == 4
    found = folders_bits.bits(threads.matched)
    assert found.equal["order"] == found.equal["lr"] == (4, 4)
    assert found.equal["weights"][0] < 4
    assert all(pair.parting.step >= 1 for pair in found.followed)
    assert folders_accuracy.compared(threads.matched)[0].num_pairs == 4
