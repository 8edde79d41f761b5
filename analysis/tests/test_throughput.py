"""What the flags cost: known ratios are found, noise is not, and nothing is pooled that must not be."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from analysis import first_steps, provenance, throughput
from analysis.statistics.intervals import holm, paired_p
from analysis.tests.simulate import Truth, simulate, study_of
from analysis.throughput import INERT, contrasts, noise_floor, timed
from lrbench.record import FLAT

FLAGS = {"cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}
GPU = Truth(inert=False, benchmark_ratio=1.10, deterministic_ratio=0.92, speed_sd=0.01)


def rows_of(truth: Truth = GPU, seed: int = 0, **document) -> pd.DataFrame:
    return simulate(study_of(**{"grid": {"seed": "0-4", **FLAGS}, **document}), truth, seed)


def overall(rows: pd.DataFrame) -> dict:
    return {c.factor: c for c in contrasts(timed(rows)) if not c.where}


def test_known_costs_are_found():
    """Flags that make training 1.10 and 0.92 times as fast are reported as such, with those values in the interval."""
    found = overall(rows_of())
    for factor, truth in (("cudnn_benchmark", 1.10), ("cudnn_deterministic", 0.92)):
        ratio = found[factor].ratio
        assert ratio.low <= truth <= ratio.high
        assert ratio.excludes(1.0)
        assert ratio.n == 10  # 5 seeds × 2 replicates
        assert len(found[factor].pairs) == 20
    sentences = throughput.answer(rows_of()).sentences
    assert sentences[0].startswith("cudnn_benchmark = True against False: 1")
    assert "faster" in sentences[0]
    assert "slower" in sentences[1]


def test_intervals_of_a_ratio_hold_the_truth_at_their_rate():
    """Over 120 redrawn studies the 95 % interval misses the true ratio about 6 times, and never more than 15."""
    rows, rng = rows_of()[FLAT], np.random.default_rng(1)
    ratio = np.where(rows["cudnn_benchmark"], 1.10, 1.0) * np.where(rows["cudnn_deterministic"], 0.92, 1.0)
    missed = 0
    for _ in range(120):
        noise = np.exp(rng.normal(0, 0.03, len(rows)))
        pairs = first_steps.compared(
            rows.assign(samples_per_second=20_000 * ratio * noise), "cudnn_benchmark", True, False
        )
        found = throughput.Contrast(factor="cudnn_benchmark", level=True, reference=False, where="", pairs=pairs).ratio
        missed += not found.low <= 1.10 <= found.high
    assert 1 <= missed <= 15


def test_a_a_is_called_different_at_the_stated_rate():
    """Over 120 redrawn studies identical replicates are told apart about 6 times, and never more than 15."""
    rows, rng = rows_of()[FLAT], np.random.default_rng(2)
    told = 0
    for _ in range(120):
        noise = np.exp(rng.normal(0, 0.03, len(rows)))
        told += noise_floor(rows.assign(samples_per_second=20_000 * noise)).ratio.excludes(1.0)
    assert 1 <= told <= 15


def test_drift_of_the_machine_does_not_bias_a_ratio():
    """A machine that slows to a third over the run leaves the ratios as they are: every pair lies inside one block."""
    rows = rows_of()
    drifting = rows.assign(samples_per_second=rows["samples_per_second"] * np.exp(-rows["block"] * 0.12))
    for factor, contrast in overall(drifting).items():
        assert contrast.ratio.value == pytest.approx(overall(rows)[factor].ratio.value)


def test_a_search_pays_after_the_known_number_of_steps():
    """A search of 0.3 s that makes steps of 3.2 ms 1.1 times as fast pays after 0.3 / (3.2 ms × (1 - 1/1.1)) steps."""
    truth = Truth(inert=False, benchmark_ratio=1.10, speed_sd=1e-4, benchmark_search_seconds=0.3)
    rows = rows_of(truth, grid={"seed": "0-4", "cudnn_benchmark": [False, True]})
    steps = overall(rows)["cudnn_benchmark"].break_even_steps
    assert steps.value == pytest.approx(0.3 / (0.0032 * (1 - 1 / 1.1)), rel=0.02)
    assert any("outside a job of 80" in s for s in throughput.answer(rows).sentences)


def test_a_search_that_buys_nothing_never_pays():
    """Where the searched plan is slower the answer says so instead of a number."""
    truth = Truth(inert=False, benchmark_ratio=0.9, speed_sd=1e-4, benchmark_search_seconds=0.3)
    rows = rows_of(truth, grid={"seed": "0-2", "cudnn_benchmark": [False, True]})
    assert any("never pays for itself" in s for s in throughput.answer(rows).sentences)


def test_on_a_cpu_the_flags_are_inert_and_it_says_so_first():
    """Rows whose cuDNN flags are inert open with that, offer no break-even, and lead with that sentence alone."""
    answer = throughput.answer(rows_of(Truth()))
    assert answer.sentences[0] == INERT
    assert answer.num_leading == 1
    assert not any("search" in s for s in answer.sentences)


def test_a_live_factor_leads_on_a_cpu_too():
    """num_threads is no cuDNN flag: its cost stands right after the note that the flags are inert."""
    study = {"grid": {"seed": "0-2", "num_threads": [1, 2], "cudnn_benchmark": [False, True]}}
    answer = throughput.answer(rows_of(Truth(), **study))
    assert answer.sentences[1].startswith("num_threads = 2 against 1")
    assert answer.num_leading == 2


def test_inert_rows_do_not_water_down_what_a_flag_does():
    """In a study on a CPU and a GPU the flags' ratio comes from the GPU's rows alone."""
    study = study_of(grid={"seed": "0-4", "device": ["cpu", "cuda"], "cudnn_benchmark": [False, True]})
    rows = simulate(study, GPU)
    on_cpu = rows["device"] == "cpu"
    rows.loc[on_cpu, "cudnn_flags_inert"] = True
    rows.loc[on_cpu & rows["cudnn_benchmark"], "samples_per_second"] /= 1.10
    assert overall(rows)["cudnn_benchmark"].ratio.value == pytest.approx(1.10, rel=0.02)


def test_packed_trials_are_left_out_and_counted():
    """A trial that shared its device tells nothing of speed; how many were left out is said."""
    rows = rows_of()
    rows["packed"] = rows["replicate"] == 1
    answer = throughput.answer(rows)
    assert len(timed(rows)) == 20
    assert any("20 completed trials of 40 left out" in note for note in answer.notes)


def test_places_are_never_pooled():
    """Rows of two torch versions are announced and analysed apart: each ratio has half of the blocks."""
    rows = rows_of()
    rows["torch_version"] = rows["torch_version"].astype(str).where(rows["seed"] < 2, "2.16.0").astype("category")
    answer = throughput.answer(rows)
    assert "2 places that differ in torch_version" in answer.sentences[0]
    assert answer.sentences[1].startswith("On torch_version 2.16.0: cudnn_benchmark = True")
    first = answer.table[answer.table["contrast"] == "cudnn_benchmark: True / False"]
    assert set(first[first["where"] == "all"]["num_blocks"]) == {6, 4}
    assert set(answer.table["place"]) == {"torch_version 2.15.0", "torch_version 2.16.0"}


def test_parts_stand_beside_the_whole():
    """Each flag is compared inside each level of the other: 2 × (all + 2) contrasts and the noise floor."""
    table = throughput.answer(rows_of()).table
    assert len(table) == 7
    assert table["where"].value_counts()["all"] == 3


def test_a_factor_with_three_levels_is_compared_with_torchs_default():
    """precision at bf16 and fp16 are two contrasts, both against fp32."""
    rows = rows_of(grid={"seed": "0-1", "precision": ["bf16", "fp32", "fp16"]})
    found = [(c.level, c.reference) for c in contrasts(timed(rows)) if not c.where]
    assert found == [("bf16", "fp32"), ("fp16", "fp32")]


def test_one_block_gives_a_ratio_without_interval():
    """A single seed without replicates has one block: the ratio is given, and that it has no interval."""
    answer = throughput.answer(rows_of(grid={"seed": [0], **FLAGS}, replicates=1))
    assert answer.sentences[0].endswith("(1 block, 2 pairs); with a single block there is no interval.")
    assert any("no noise floor" in s for s in answer.sentences)


def test_nothing_varied_says_what_to_add():
    """A study without machine factors is told which lines to add; not on a CPU, where they would tell nothing."""
    answer = throughput.answer(rows_of(grid={"seed": "0-2"}))
    assert "no machine factor varies" in answer.sentences[0]
    assert "add cudnn_benchmark = [false, true]" in answer.sentences[1]
    on_cpu = throughput.answer(rows_of(Truth(), grid={"seed": "0-2"}))
    assert not any("cudnn_benchmark" in s for s in on_cpu.sentences)


def test_a_ratio_is_that_of_the_rows():
    """By hand: two blocks with ratios 2 and 8 have the geometric mean 4, whatever else the rows hold."""
    rows = rows_of(grid={"seed": "0-1", "cudnn_benchmark": [False, True]}, replicates=1)
    speed = {(0, False): 100.0, (0, True): 200.0, (1, False): 50.0, (1, True): 400.0}
    keys = zip(rows["seed"], rows["cudnn_benchmark"], strict=True)
    rows["samples_per_second"] = [speed[key] for key in keys]
    ratio = overall(rows)["cudnn_benchmark"].ratio
    assert ratio.value == pytest.approx(4.0)
    half = 12.706204736 * math.log(4) / 2  # t(1 degree) times the standard error of log 2 and log 8
    assert ratio.high == pytest.approx(4.0 * math.exp(half))


def test_a_resumed_trial_is_in_no_ratio():
    """Trials that went on from a checkpoint have no speed: they are left out and counted, and the other pairs stand."""
    rows = rows_of(Truth(inert=False, benchmark_ratio=1.2), grid={"seed": "0-4", "cudnn_benchmark": [False, True]})
    resumed = rows["seed"] == 0
    rows.loc[resumed, ["samples_per_second", "step_seconds_median"]] = np.nan
    rows["num_resumes"] = resumed.astype(int)
    found = throughput.answer(rows)
    assert found.table.iloc[0]["num_pairs"] == 8
    assert found.table.iloc[0]["speed_ratio"] == pytest.approx(1.2, rel=0.02)
    assert any(note.startswith("4 completed trials of 20 left out") for note in found.notes)
    said = provenance.answer(rows).sentences
    assert "4 trials went on from a checkpoint after a cut, and so have no speed." in said


def test_a_flag_that_costs_nothing_is_equivalent():
    """Ratios within 2 % of 1 for certain are called equivalent, and the flag may stay on; the table has the word."""
    found = throughput.answer(rows_of(Truth(inert=False, speed_sd=0.004)))
    deterministic = "cudnn_deterministic = True against False: equivalent in speed within 2% ("
    assert any(s.startswith(deterministic) for s in found.sentences)
    assert found.verdict == "equivalent within margin"
    assert "Leave cudnn_deterministic on: it costs less than 2% of the speed here." in found.advice
    overall = found.table[(found.table["where"] == "all") & ~found.table["contrast"].str.startswith("A/A")]
    assert overall["verdict"].tolist() == ["equivalent within margin"] * 2
    assert found.figure().get_suptitle().startswith("Equivalent in speed within 2%")


def test_what_is_open_says_how_many_blocks_would_settle_it():
    """Noise of 3 % leaves a flag open: what is ruled out, the blocks in all, the seeds to type (two blocks each)."""
    found = throughput.answer(rows_of(Truth(inert=False, deterministic_ratio=1.005, speed_sd=0.03)))
    assert found.verdict == "inconclusive"
    said = next(s for s in found.sentences if s.startswith("cudnn_deterministic = True against False: inconclusive"))
    needed = int(said.partition("ruled out, and ")[2].partition(" blocks")[0].replace(",", ""))
    seeds = -(-needed // 2)
    command = f": lrbench run simulated --set seed=0-{seeds - 1}."
    told = (
        f"Run {seeds - 5} more seeds ({8 * (seeds - 5)} trials) to tell what cudnn_deterministic = True costs{command}"
    )
    assert told in found.advice


def test_the_word_counts_all_factors():
    """Two flags share the 5 %: each corrected p is Holm's over both, and verdicts follow it."""
    found = throughput.answer(rows_of()).table
    overall = found[(found["where"] == "all") & ~found["contrast"].str.startswith("A/A")].set_index("contrast")
    own = {c.factor: paired_p(c.blocks) for c in contrasts(timed(rows_of())) if not c.where}
    for factor, p in zip(own, holm(list(own.values())), strict=True):
        assert overall.loc[f"{factor}: True / False", "holm_p"] == pytest.approx(p)
    assert overall["verdict"].tolist() == ["better", "worse"]


def test_what_a_flag_costs_is_advised_by_what_it_is_for():
    """A flag that speeds up is to be set; one that costs 8 % only where repeats must be equal bit for bit."""
    advice = throughput.answer(rows_of()).advice
    assert advice[0].startswith("Set cudnn_benchmark = True: 10.")
    assert advice[1].startswith("Set cudnn_deterministic = True only where you need repeats bit for bit: it costs 7.")


def test_inert_flags_are_not_testable():
    """On a CPU there is no verdict on the flags, whatever the ratios, and a GPU is asked for."""
    found = throughput.answer(rows_of(Truth(benchmark_ratio=1.3)))
    assert found.verdict == "not testable here"
    assert "verdict" not in found.table
    assert found.advice[0] == "Ask for the cuDNN flags on a GPU: on a CPU they do nothing."


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (0.5, r" for jobs of over 1,8\d\d steps; not for this one of 80: \S+% faster once its search is over\."),
        (0.002, r": \S+% faster, and its search has paid for itself in a job of 80 steps\."),
        (0.0, r": \S+% faster\."),
    ],
)
def test_a_search_is_advised_only_where_it_pays(search, said):
    """A search of 0.5 s that saves 0.3 ms a step is a loss in a job of 80 steps: the advice says where it is none."""
    truth = Truth(inert=False, benchmark_ratio=1.10, speed_sd=0.003, benchmark_search_seconds=search)
    rows = rows_of(truth, grid={"seed": "0-4", "cudnn_benchmark": [False, True]})
    assert re.fullmatch(f"Set cudnn_benchmark = True{said}", throughput.answer(rows).advice[0])


def test_whether_a_search_pays_may_be_open():
    """Where the job lies inside the interval of the break-even, neither is said to be so."""
    truth = Truth(inert=False, benchmark_ratio=1.10, speed_sd=0.03, benchmark_search_seconds=0.0255)
    rows = rows_of(truth, grid={"seed": "0-4", "cudnn_benchmark": [False, True]})
    assert "; whether it pays in one of 80 cannot be told: " in throughput.answer(rows).advice[0]


def test_a_loaded_machine_gives_no_firm_advice():
    """Others on the machine in most trials: flags are to be timed again; in 2 of 40 trials it is a caveat alone."""
    rows = rows_of()
    rows["load_average"] = 3.5  # on two cores
    found = throughput.answer(rows)
    (line,) = found.advice
    assert line.startswith("Time cudnn_benchmark and cudnn_deterministic again on a machine that nobody else uses")
    assert found.caveats[0].startswith("Others used the machine when 40 of 40 timed trials began")
    rows.loc[2:, "load_average"] = 1.0
    found = throughput.answer(rows)
    assert found.advice[0].startswith("Set cudnn_benchmark = True")
    assert "2 of 40" in found.caveats[0]


def test_the_noise_floor_does_not_ask_which_trial_came_first():
    """Pairs at 100 and 80, 80 and 100, 100 and 50 images/s: the faster is 25, 25 and 100 % faster, either way round."""
    rows = rows_of(grid={"seed": "0-2"})
    speeds = {0: (100.0, 80.0), 1: (80.0, 100.0), 2: (100.0, 50.0)}
    places = zip(rows["seed"], rows["replicate"], strict=True)
    rows["samples_per_second"] = [speeds[seed][replicate] for seed, replicate in places]
    said = "Noise floor: the faster of two identical trials is 25.0% faster than the slower in the median, and 92.5%"
    for here in (rows, rows.assign(replicate=1 - rows["replicate"])):
        (floor,) = (s for s in throughput.answer(here).sentences if s.startswith("Noise floor"))
        assert floor.startswith(f"{said} at the 95th percentile (3 pairs)")


def test_the_table_the_sentence_and_the_advice_give_one_break_even():
    """A search of 0.5 s over what the table says is saved: the steps of the sentence, which the advice repeats."""
    truth = Truth(inert=False, benchmark_ratio=1.10, speed_sd=0.003, benchmark_search_seconds=0.5)
    found = throughput.answer(rows_of(truth, grid={"seed": "0-4", "cudnn_benchmark": [False, True]}))
    overall = found.table[found.table["where"] == "all"].iloc[0]
    steps = math.ceil(overall["first_step_extra_seconds"] / overall["step_saved_seconds"])
    assert any(f"paid for itself after {steps:,} steps" in s for s in found.sentences)
    assert f"for jobs of over {steps:,} steps" in found.advice[0]
    assert any("near a ratio of 1 they may point the other way." in note for note in found.notes)
