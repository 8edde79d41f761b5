"""Any factor by any metric: known effects get their word, families are shared, tuned arms lead, speed is by blocks."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis import sizes
from analysis.answers import all_answers, answer, questions
from analysis.compared import answer as compared
from analysis.comparisons import compare, compare_all
from analysis.page.wording import displayed
from analysis.statistics.intervals import paired_p
from analysis.tests.simulate import Truth, simulate, simulate_stages, study_of
from analysis.tests.test_edges import DEGENERATE, check_words, draw
from lrbench.metrics import METRICS
from lrbench.questions import Compare

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
THREE = [CONSTANT, {"name": "StepLR", "step_size": "30%"}, {"name": "CosineAnnealingLR"}]
FLAGS = {"cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}
GPU = Truth(inert=False, benchmark_ratio=1.10, speed_sd=0.004)
SPEED = Compare(factor="cudnn_benchmark", metric="samples_per_second", margin="2%")
NOISY = Truth(identical=False, run_sd=0.004)


def rows_of(truth: Truth = NOISY, **document) -> pd.DataFrame:
    return simulate(study_of(**{"grid": {"seed": "0-9", "scheduler": THREE}, "replicates": 1, **document}), truth)


def flags(truth: Truth = GPU) -> pd.DataFrame:
    return rows_of(truth, grid={"seed": "0-4", **FLAGS}, replicates=2)


def test_a_flag_by_throughput_is_compared_over_blocks():
    """A flag that makes training 1.10 times as fast: better, by 5 seeds × 2 replicates, with the truth inside."""
    (setting,) = compare(flags(), SPEED)
    c = setting.against["True"]
    assert (c.verdict, c.estimate.n, setting.baseline) == ("better", 10, "False")
    assert c.estimate.low < math.log(1.10) < c.estimate.high
    found = compared(flags(), SPEED)
    assert found.sentences[0].startswith(
        "cudnn_benchmark = True is better than cudnn_benchmark = False in throughput: +"
    )
    assert "10 blocks, better on 10 of 10" in found.sentences[0]
    assert found.advice[0].startswith("Set cudnn_benchmark = True: 10.")
    assert found.verdict == "better"


def test_a_ratio_by_hand():
    """Blocks with ratios 2 and 8 have the geometric mean 4, in the table and in percent."""
    rows = rows_of(GPU, grid={"seed": "0-1", "cudnn_benchmark": [False, True]})
    speed = {(0, False): 100.0, (0, True): 200.0, (1, False): 50.0, (1, True): 400.0}
    rows["samples_per_second"] = [speed[key] for key in zip(rows["seed"], rows["cudnn_benchmark"], strict=True)]
    found = compared(rows, SPEED)
    record = found.table.set_index("cudnn_benchmark").loc["True"]
    assert record["to_baseline_ratio"] == pytest.approx(4.0)
    assert record["samples_per_second"] == pytest.approx(math.sqrt(200 * 400))
    assert "+300.0%" in found.sentences[0]


def test_less_is_better_where_it_is():
    """Half the time is better, and lower loss: the word follows the metric, and so does the order of the arms."""
    (setting,) = compare(flags(), Compare(factor="cudnn_benchmark", metric="train_seconds", margin="2%"))
    assert (setting.arms, setting.against["True"].verdict) == (["True", "False"], "better")
    rows = rows_of(Truth(effects={"StepLR": 0.02}, accuracy=0.9))
    (setting,) = compare(rows, Compare(factor="scheduler", metric="final_loss"))
    assert setting.arms[0].startswith("StepLR")
    assert setting.against[setting.arms[0]].verdict == "better"
    assert setting.against[setting.arms[0]].estimate.value < 0


def test_trials_that_shared_their_device_tell_nothing_of_speed():
    """A packed trial is in no comparison of speed, and in that of accuracy it is."""
    rows = flags().assign(packed=lambda r: r["replicate"] == 1)
    assert compare(rows, SPEED)[0].against["True"].estimate.n == 5
    assert compare(rows, Compare(factor="cudnn_benchmark"))[0].num_trials == {"False": 20, "True": 20}


@pytest.mark.parametrize(
    ("noise", "effect", "word"),
    [
        (0.001, 0.0, "equivalent within margin"),
        (0.001, 0.02, "better"),
        (0.001, -0.02, "worse"),
        (0.05, 0.02, "inconclusive"),
    ],
)
def test_the_word_follows_the_truth(noise, effect, word):
    """Differences of known size and scatter earn their word; the sentence, the table and the answer say the same."""
    rows = rows_of(Truth(), grid={"seed": "0-11", "scheduler": THREE[:2]})
    scatter = np.random.default_rng(3).normal(0, noise, 12)
    scatter -= scatter.mean()
    is_step = rows["scheduler_name"] == "StepLR"
    base = 0.9 + 0.01 * np.cos(rows["seed"].to_numpy())
    rows["final_accuracy"] = base + np.where(is_step, effect + scatter[rows["seed"]], 0.0)
    found = compared(rows, Compare(factor="scheduler"))
    assert found.verdict == word
    assert found.table.set_index("scheduler").loc["StepLR(step_size=30%)", "verdict"] == word
    assert {"better": "is better than", "worse": "is worse than", "inconclusive": "is inconclusive"}.get(
        word, "are equivalent within 1 seed SD ("
    ) in found.sentences[0]
    if word == "inconclusive":
        assert "12 seeds would have found" in found.sentences[0]


def test_a_difference_that_is_real_and_small_is_said_to_be_small():
    """A tenth of a point on each of 12 seeds that scatter by a point: better, meaningfully so, and below the margin."""
    rows = rows_of(Truth(), grid={"seed": "0-11", "scheduler": THREE[:2]})
    scatter = 0.001 + 0.0002 * (-1.0) ** np.arange(12)
    is_step = rows["scheduler_name"] == "StepLR"
    rows["final_accuracy"] = 0.9 + 0.01 * np.cos(rows["seed"]) + np.where(is_step, scatter[rows["seed"]], 0.0)
    found = compared(rows, Compare(factor="scheduler"))
    assert found.sentences[0].startswith("StepLR is better than ConstantLR: +0.10 points (")
    assert ", and shown to be less than 1 seed SD (0.7" in found.sentences[0]
    assert found.table.set_index("scheduler").loc["StepLR(step_size=30%)", "meaningful"] == "yes"


def test_an_open_question_says_how_many_seeds_would_settle_it():
    """The sentence, and the advice with the seeds to type: as many as the power calculation asks for, from 0 on."""
    rows = rows_of(Truth(), grid={"seed": "0-7", "scheduler": THREE[:2]})
    step = np.array([0.01, -0.01, 0.012, -0.004, 0.015, -0.009, 0.011, 0.002])
    rows["final_accuracy"] = 0.9 + np.where(rows["scheduler_name"] == "StepLR", step[rows["seed"]], 0.0)
    (setting,) = compare(rows)
    needed = setting.planned[0].judgement.seeds_to_settle
    found = compared(rows, Compare(factor="scheduler"))
    assert setting.planned[0].judgement.settled_as == "shown equivalent"
    assert (
        f"and {needed} in all would so often show them equivalent, were the truth what was seen" in found.sentences[0]
    )
    assert "; what would matter is 1 seed SD (0." in found.sentences[0]
    odds = "(enough four times in five if the difference is as large as seen)"
    command = f"lrbench run simulated --set seed=0-{needed - 1}"
    more = f"{needed - 8} more seeds ({2 * (needed - 8)} trials)"
    assert f"Run {more} to show StepLR and ConstantLR equivalent {odds}: {command}." in found.advice
    assert any(line.startswith("Plan with [until]") for line in found.advice)
    tight = compared(rows, Compare(factor="scheduler", margin=0.0001)).advice
    assert any(f"trials) to tell StepLR from ConstantLR {odds}: lrbench run simulated --set" in a for a in tight)


WORKLOADS = {"workload": ["cifar10-resnet9", "digits-cnn"], "seed": "0-9", "scheduler": THREE[:2]}


def two_workloads() -> pd.DataFrame:
    """One effect in both, scattered ten times as much in the first."""
    rows = rows_of(Truth(), grid=WORKLOADS)
    noise = np.random.default_rng(3).normal(0, 1, 10)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    is_step = rows["scheduler_name"] == "StepLR"
    scatter = np.where(rows["workload"] == "digits-cnn", 0.001, 0.01) * noise[rows["seed"]]
    rows["final_accuracy"] = 0.9 + 0.005 * np.cos(rows["seed"]) + np.where(is_step, 0.004 + scatter, 0.0)
    return rows


def test_two_verdicts_are_not_called_two_effects():
    """The same effect told in one setting and open in the other: both are counted, and no difference is claimed."""
    found = compared(two_workloads(), Compare(factor="scheduler"))
    assert found.verdict == "of 2 settings: 1 better, 1 inconclusive"
    assert found.caveats[0].startswith(
        "Each setting is judged by itself: that a difference differs between settings is"
    )
    one = compared(rows_of(), Compare(factor="scheduler"))
    assert not any("judged by itself" in caveat for caveat in one.caveats)


def test_each_setting_has_its_own_advice():
    """Every line names the workload it is about, and none of the two workloads goes without."""
    found = compared(two_workloads(), Compare(factor="scheduler")).advice
    assert any(a.startswith("At workload=cifar10-resnet9: run ") and "more seeds (" in a for a in found)
    assert any(a.startswith("At workload=digits-cnn: use StepLR: +0.40 points") for a in found)


def test_no_seeds_are_advised_where_the_study_says_when_it_goes_on():
    """With [until] the next look is planned already: no line asks for seeds or for [until]."""
    study = study_of(grid={"seed": "0-9", "scheduler": THREE[:2]}, replicates=1, until={"looks": [5, 10]})
    rows = simulate(study, NOISY)
    found = answer("schedulers", rows[rows["seed"] < 5], {"study": study.model_dump(mode="json")})
    assert found.verdict == "inconclusive"
    assert not any("more seed" in line or "[until]" in line for line in found.advice)


def test_arms_equivalent_to_the_baseline_are_not_called_equal_among_themselves():
    """Only each against the baseline was tested, and the metric is not what to choose by."""
    rows = rows_of(Truth(), grid={"seed": "0-11", "scheduler": THREE})
    shift = {"ConstantLR": 0.0, "StepLR": 0.0001, "CosineAnnealingLR": -0.0001}
    moved = rows["scheduler_name"].astype(str).map(shift) * (-1.0) ** rows["seed"]
    rows["final_accuracy"] = 0.9 + 0.01 * np.cos(rows["seed"]) + moved
    found = compared(rows, Compare(factor="scheduler")).advice[0]
    assert found.startswith("Do not leave ConstantLR for final accuracy: each other is equivalent to it within ")
    assert found.endswith("two of the others may be up to two such margins apart.")


def test_a_family_shares_one_correction():
    """Two questions of one family: Holm over all six comparisons; a question of its own family has its own two."""
    rows = rows_of()
    accuracy, loss = Compare(factor="scheduler"), Compare(factor="scheduler", metric="final_loss")
    alone = compare_all(rows, [accuracy, loss.model_copy(update={"family": "other"})])
    together = compare_all(rows, [accuracy, loss])
    p = sorted(paired_p(c.differences) for found in together for s in found for c in s.against.values())
    assert len(p) == 4
    seen = sorted(c.corrected_p for found in together for s in found for c in s.against.values())
    assert seen[0] == pytest.approx(min(1.0, 4 * p[0]))
    assert {c.family_size for s in alone[0] for c in s.against.values()} == {2}
    assert {c.family_size for s in together[0] for c in s.against.values()} == {4}


def test_settings_are_of_one_family():
    """Two rates with two comparisons each are one family of four."""
    found = compare(rows_of(grid={"seed": "0-5", "base_lr": [0.1, 0.01], "scheduler": THREE}))
    assert [s.factors for s in found] == [{"base_lr": 0.01}, {"base_lr": 0.1}]
    assert {c.family_size for s in found for c in s.against.values()} == {4}


@pytest.mark.parametrize("baseline", ["StepLR", "StepLR(step_size=30%)"])
def test_the_baseline_is_the_studys(baseline):
    """Named by its class or its call, the study's baseline is what the others are held against."""
    (setting,) = compare(rows_of(), Compare(factor="scheduler", baseline=baseline))
    assert setting.baseline == "StepLR(step_size=30%)"
    assert {c.b for c in setting.against.values()} == {"StepLR(step_size=30%)"}


def test_levels_that_are_numbers_have_the_least_as_reference():
    """Threads 1, 2 and 4: against 1, in the words of the factor; and schedulers keep settings of a rate apart."""
    rows = rows_of(GPU, grid={"seed": "0-3", "num_threads": [4, 1, 2]})
    (setting,) = compare(rows, Compare(factor="num_threads", metric="train_seconds", margin="2%"))
    assert (setting.baseline, sorted(setting.arms)) == ("1", ["1", "2", "4"])
    rates = compare(
        rows_of(grid={"seed": "0-3", "base_lr": [0.1, 0.01], "scheduler": THREE}), Compare(factor="base_lr")
    )
    assert [s.factors["scheduler"].partition("(")[0] for s in rates] == ["ConstantLR", "CosineAnnealingLR", "StepLR"]


def test_margins_are_as_stated():
    """Half a point is 0.005, 2 % is the logarithm of 1.02, and two seed SDs are twice one."""
    rows = rows_of()
    stated = [compare(rows, Compare(factor="scheduler", margin=m))[0].margin for m in (0.005, "1 seed SD", "2 seed SD")]
    assert stated[0] == 0.005
    assert stated[2] == pytest.approx(2 * stated[1])
    assert compare(flags(), SPEED)[0].margin == pytest.approx(math.log(1.02))


def test_an_inert_flag_is_called_noise():
    """On a CPU a flag earns no word, however large its difference: the caveat comes first, and no seeds are advised."""
    found = compared(flags(Truth(speed_sd=0.05)), SPEED)
    assert found.caveats[0].startswith("All of it ran on a CPU, where cudnn_benchmark does nothing")
    assert found.advice == ("Ask for cudnn_benchmark on a GPU: on a CPU it does nothing.",)
    assert found.verdict == "not testable here"
    assert set(found.table["verdict"]) == {"not testable here", "–"}


def test_what_was_held_fixed_is_said():
    """The caveats name the workload, the epochs and the one machine."""
    text = " ".join(compared(rows_of(), Compare(factor="scheduler")).caveats)
    assert "Held fixed, so nothing is known of other values: workload=digits-cnn, epochs=4" in text
    assert "It ran on Simulated CPU, torch 2.15.0" in text


@pytest.mark.parametrize("kind", list(DEGENERATE))
def test_every_question_holds_on_little(kind):
    """Whatever is missing, each question has whole sentences, caveats, advice and notes, a table and a figure."""
    rows = DEGENERATE[kind]()
    for question in (SPEED, Compare(factor="scheduler", metric="final_loss"), Compare(factor="cudnn_deterministic")):
        found = compared(rows, question)
        assert found.sentences
        assert found.verdict
        check_words([*found.sentences, *found.caveats, *found.advice, *found.notes, *found.leading])
        check_words(displayed(found.table).astype(str).to_numpy().ravel())
        draw(found.figure())


# -------------------------------------------------------------------------------------------------------------- studies

TUNED = {
    "grid": {"seed": "0-7", "scheduler": [CONSTANT, {"name": "StepLR", "step_size": "30%", "gamma": 0.1}]},
    "replicates": 1,
    "tune": {"seeds": "1000-1002", "base_lr": [0.05, 0.1], "arguments": {"StepLR": {"gamma": [0.3]}}},
}
BEST = {"StepLR": 0.05, "ConstantLR": 0.1}


@pytest.fixture(scope="module")
def tuned():
    truth = Truth(identical=False, run_sd=0.002, best_lr=BEST, effects={"StepLR(step_size=30%, gamma=0.3)": 0.02})
    return simulate_stages(study_of(**TUNED, compare=[{"factor": "scheduler", "metric": "final_loss"}]), truth)


def test_tuned_arms_lead_and_the_default_stands_beside(tuned):
    """Each scheduler at its chosen rate first, then all at the default; an arm keeps its name with another gamma."""
    rows, record = tuned
    found = answer("schedulers", rows, record)
    table = found.table
    assert table["tuning"].tolist() == ["tuned", "tuned", "default", "default"]
    step = table[table["scheduler"] == "StepLR(step_size=30%, gamma=0.1)"].set_index("tuning")
    assert step.loc["tuned", "base_lr"] == "0.05, as StepLR(step_size=30%, gamma=0.3)"
    assert step.loc["default", "base_lr"] == "0.1"
    assert found.sentences[0].startswith("Each at its own chosen base_lr: StepLR is better than ConstantLR: +")
    assert any(s.startswith("All at the default base_lr: ") for s in found.sentences)
    assert found.advice[0].startswith("Use StepLR with base_lr 0.05, as StepLR(step_size=30%, gamma=0.3): +")
    assert not any("[tune]" in line for line in found.advice)


def test_trials_that_chose_are_in_no_comparison(tuned):
    """Selection seeds appear in no answer but that on where rows come from."""
    rows, record = tuned
    assert set(rows["seed"]) >= {1000, 1001, 1002}
    for setting in compare(rows, Compare(factor="scheduler"), record):
        assert setting.seeds == tuple(range(8))
    assert "24 trials" in answer("throughput", rows, record).sentences[0]


def test_a_study_gets_its_own_questions_first(tuned):
    """compare_1 comes before the standing answers, and has its own metric."""
    rows, record = tuned
    assert questions(record)[0] == "compare_1"
    found = all_answers(rows, record)
    assert list(found) == questions(record)
    assert "final loss" in found["compare_1"].title


def test_a_study_that_looks_is_judged_over_all_its_looks():
    """At the first of two looks a p below 5 % is not enough, and the seeds of the look that is running are left out."""
    study = study_of(grid={"seed": "0-9", "scheduler": THREE[:2]}, replicates=1, until={"looks": [5, 10]})
    record = {"study": study.model_dump(mode="json")}
    rows = simulate(study, NOISY)
    step = np.tile([0.010, 0.012, 0.004, 0.009, 0.013], 2)
    rows["final_accuracy"] = 0.9 + np.where(rows["scheduler_name"] == "StepLR", step[rows["seed"]], 0.0)
    first = rows[rows["seed"] < 7]
    (setting,) = compare(first, Compare(factor="scheduler"), record)
    (c,) = setting.planned
    assert (setting.num_seeds, c.estimate.n) == (5, 5)
    assert paired_p(c.differences) < 0.05 < c.corrected_p
    assert answer("schedulers", first, record).caveats[0].startswith("This is look 1 of 2 (at 5 and 10 seeds)")
    (last,) = compare(rows, Compare(factor="scheduler"), record)
    assert last.planned[0].verdict == "better"


def test_a_question_that_is_the_standing_one_is_answered_once():
    """Schedulers by final accuracy against another baseline: one answer, at its place, against that baseline."""
    study = study_of(
        grid={"seed": "0-5", "scheduler": THREE},
        replicates=1,
        compare=[
            {"factor": "scheduler", "metric": "final_loss"},
            {"factor": "scheduler", "baseline": "StepLR", "margin": 0.005},
        ],
    )
    record = {"study": study.model_dump(mode="json")}
    assert questions(record)[:3] == ["compare_1", "schedulers", "throughput"]
    assert questions(record).count("schedulers") == 1
    found = answer("schedulers", simulate(study, NOISY), record)
    assert all("StepLR" in sentence for sentence in found.sentences[:1])
    assert found.table.set_index("scheduler").loc["StepLR(step_size=30%)", "verdict"] == "–"


# ----------------------------------------------------------------------------------------------------------------- size


def test_sizes_are_in_the_metrics_unit():
    """The same number reads as points, nats or percent."""
    accuracy, loss, speed = (METRICS[name] for name in ("final_accuracy", "final_loss", "samples_per_second"))
    assert [sizes.signed(m, 0.0104) for m in (accuracy, loss, speed)] == ["+1.04 points", "+0.0104 nats", "+1.0%"]
    assert [sizes.signed(m, -0.0104) for m in (accuracy, loss, speed)] == ["−1.04 points", "−0.0104 nats", "−1.0%"]
    assert [sizes.plain(m, math.log(1.02)) for m in (accuracy, loss, speed)] == ["1.98 points", "0.0198 nats", "2%"]
    assert [sizes.value(m, 0.5) for m in (accuracy, loss)] == ["50.00%", "0.5 nats"]


@pytest.mark.slow
def test_a_hundred_thousand_rows_take_seconds():
    """Comparisons over 100,000 rows are made and worded within 5 s a question on two idle cores; 15 are allowed."""
    import time

    flat = [name for name in rows_of() if name not in ("train_loss_steps", "applied_lr", "predictions", "probe_logits")]
    few = rows_of(grid={"seed": "0-9", "scheduler": THREE, **FLAGS, "base_lr": [0.1, 0.01]})[flat]
    seeds = ["seed", "seed_init", "seed_order", "seed_augmentation", "seed_dropout"]
    many = pd.concat([few.assign(**{n: few[n] + 10 * k for n in seeds}) for k in range(417)], ignore_index=True)
    many["final_accuracy"] += np.random.default_rng(0).normal(0, 0.005, len(many))
    assert len(many) > 100_000
    for question in (Compare(factor="scheduler"), SPEED):
        started = time.process_time()
        assert compared(many, question).sentences
        assert time.process_time() - started < 15
