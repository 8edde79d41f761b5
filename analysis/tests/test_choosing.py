"""What to use is said in one line: with its failures, with the machine's load, and with what its first step costs."""

import re

import numpy as np
import pandas as pd
import pytest

from analysis import compared
from analysis.going_on import command, more_seeds
from analysis.tests.simulate import Truth, simulate, study_of
from lrbench.questions import Compare

CONSTANT, STEP = {"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": "30%"}
LOSS = Compare(factor="scheduler", metric="final_loss")
SPEED = Compare(factor="cudnn_benchmark", metric="samples_per_second", margin="2%")


def lost(better: str, diverged: str) -> pd.DataFrame:
    """One of two schedulers has the lower loss on each of ten seeds; one of them diverged on seeds 1 and 4."""
    grid = {"seed": "0-9", "scheduler": [CONSTANT, STEP]}
    rows = simulate(study_of(grid=grid, replicates=1), Truth(identical=False, run_sd=0.004))
    low = rows["scheduler_name"] == better
    rows["final_loss"] = np.where(low, 0.5, 2.2) + 0.01 * np.sin(7.0 * np.arange(len(rows)))
    gone = (rows["scheduler_name"] == diverged) & rows["seed"].isin([1, 4])
    rows["status"] = rows["status"].astype(str).where(~gone, "diverged")
    rows.loc[gone, ["final_loss", "final_accuracy", "samples_per_second"]] = np.nan
    return rows


def test_an_arm_that_is_better_and_diverges_has_one_line():
    """Not "use it" beside "do not rely on it": what to lower first, on how many seeds it diverged, what it gains."""
    found = compared.answer(lost("StepLR", "StepLR"), LOSS)
    assert found.verdict == "better"
    (line,) = [text for text in found.advice if "StepLR" in text]
    assert re.fullmatch(
        r"Lower the base_lr for StepLR and run it again before you use it: it diverged on 2 of 10 seeds, and is better "
        r"all the same \(−1\.\d+ nats of final loss against ConstantLR where it completed\)\.",
        line,
    )


def test_a_baseline_that_wins_and_diverges_has_one_line():
    """The same where all others are worse than a baseline that is not to be relied on as it is."""
    found = compared.answer(lost("ConstantLR", "ConstantLR"), LOSS)
    assert found.verdict == "worse"
    (line,) = [text for text in found.advice if "diverged" in text]
    assert line == (
        "Stay with ConstantLR, but lower the base_lr: no other is better in final loss, and it diverged itself on 2 of "
        "10 seeds."
    )
    assert not any(text.startswith("Do not rely") for text in found.advice)


def test_another_arm_that_diverges_keeps_its_own_line():
    """An arm that is not the one to use is said not to be relied on."""
    found = compared.answer(lost("ConstantLR", "StepLR"), LOSS)
    assert "Do not rely on StepLR before its base_lr is lower: it diverged on 2 of 10 seeds." in found.advice


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (0.5, r" for jobs of over 1,\d{3} steps; not for this one of 80: \S+% faster once its search is over\."),
        (0.0, r": \S+% faster\."),
    ],
)
def test_a_question_on_speed_counts_the_first_step(search, said):
    """A [[compare]] on cudnn_benchmark advises it for the jobs in which its search is paid for, as the flags' part."""
    truth = Truth(inert=False, benchmark_ratio=1.10, speed_sd=0.003, benchmark_search_seconds=search)
    rows = simulate(study_of(grid={"seed": "0-4", "cudnn_benchmark": [False, True]}), truth)
    assert re.fullmatch(f"Set cudnn_benchmark = True{said}", compared.answer(rows, SPEED).advice[0])


def test_a_question_on_speed_is_asked_again_on_a_loaded_machine():
    """Others on the machine in most trials: nothing is advised by speed, and no seeds are asked for; accuracy is."""
    truth = Truth(inert=False, benchmark_ratio=1.10, speed_sd=0.003, effects={"StepLR": 0.02})
    rows = simulate(
        study_of(grid={"seed": "0-4", "cudnn_benchmark": [False, True], "scheduler": [CONSTANT, STEP]}), truth
    )
    rows["load_average"] = 3.5  # on two cores
    assert compared.answer(rows, SPEED).advice == (
        "Time cudnn_benchmark again on a machine that nobody else uses before you choose by speed.",
    )
    assert not any("Time " in text for text in compared.answer(rows, Compare(factor="scheduler")).advice)


def test_the_command_is_the_one_of_the_folder():
    """What the study ran with stands in the advised command, and the device that the machine would not choose."""
    rows = simulate(study_of(grid={"seed": "0-4", "scheduler": [CONSTANT, STEP]}))
    record = {"study": {"fixed": {}, "grid": {}}, "places": [{"gpus": ["one"]}], "again": "lrbench run x --out here"}
    assert command(rows.assign(device="cuda"), record) == "lrbench run x --out here"
    assert command(rows.assign(device="cpu"), record) == "lrbench run x --out here --device cpu"
    words = more_seeds(rows.assign(device="cuda"), range(5), 8, per_block=False, record=record)
    assert words == ("3 more seeds (12 trials)", ": lrbench run x --out here --set seed=0-7")
    assert command(rows) == "lrbench run simulated"


def test_advised_seeds_chose_no_rate():
    """Seeds 5 and 6 chose the rates: to 8 seeds 7, 8 and 9 are run, and neither of them; a gap stays a gap."""
    rows = simulate(study_of(grid={"seed": "0-4", "scheduler": [CONSTANT, STEP]}))
    record = {"study": {"fixed": {}, "grid": {}, "tune": {"seeds": [5, 6, 11]}}, "again": "lrbench run x"}
    words = more_seeds(rows, range(5), 8, per_block=False, record=record)
    assert words[1].endswith(" --set seed=0-4,7-9")
    assert more_seeds(rows, [0, 1, 8], 7, per_block=False, record=record)[1].endswith(" --set seed=0-1,8-10,12-13")
