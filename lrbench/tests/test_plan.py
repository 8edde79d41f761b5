"""The order of a study's trials: random blocks, the same on every machine."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from lrbench.factors import Trial
from lrbench.study import blocks, parse_study, trials

DOCUMENT = {
    "question": "In which order?",
    "replicates": 2,
    "fixed": {"workload": "digits-cnn"},
    "grid": {
        "seed": [3, 1, 2],
        "cudnn_benchmark": [False, True],
        "scheduler": ["ConstantLR(factor=1.0)", "ExponentialLR(gamma=0.9)", "CosineAnnealingLR"],
    },
}


@pytest.fixture(scope="module")
def study():
    return parse_study(DOCUMENT, "order", source="order")


def test_a_block_holds_every_condition_once(study):
    """Each of the 6 blocks holds the 6 conditions once, at one seed and replicate."""
    for _, block in blocks(study):
        assert len({trial.condition_id for trial in block}) == len(block) == 6
        assert len({(trial.seed, trial.replicate) for trial in block}) == 1
    assert [number for number, _ in blocks(study)] == [0, 1, 2, 3, 4, 5]


def test_blocks_run_seed_by_seed_with_replicates_together(study):
    """A run that is cut off leaves whole pairs of replicates: the seeds stand in the study's order, each with both."""
    order = [(block[0].seed, block[0].replicate) for _, block in blocks(study)]
    assert order == [(3, 0), (3, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_the_order_within_blocks_is_shuffled(study):
    """No condition always comes first: the 6 blocks have several orders, none of them the grid's in all."""
    orders = {tuple(trial.condition_id for trial in block) for _, block in blocks(study)}
    assert len(orders) > 3
    assert len({block[0].condition_id for _, block in blocks(study)}) > 1


def test_the_order_does_not_depend_on_how_the_grid_is_written(study):
    """Levels and factors in another order make the same blocks: the shuffle starts from the trials' names."""
    grid = {"scheduler": DOCUMENT["grid"]["scheduler"][::-1], "cudnn_benchmark": [True, False], "seed": [3, 1, 2]}
    again = parse_study({**DOCUMENT, "grid": grid}, "order", source="order")
    assert [t.trial_id for t in trials(again)] == [t.trial_id for t in trials(study)]


def test_the_order_is_the_same_in_another_process(study):
    """Neither hash randomisation nor the process decides the order."""
    code = (
        "import json, sys; from lrbench.study import parse_study, trials\n"
        "study = parse_study(json.loads(sys.argv[1]), 'order', source='order')\n"
        "print(*(trial.trial_id for trial in trials(study)))"
    )
    for hash_seed in "1", "2":
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(DOCUMENT)], env=environment, capture_output=True, check=True
        )
        assert done.stdout.decode().split() == [trial.trial_id for trial in trials(study)]


def test_another_seed_added_leaves_the_blocks_of_the_others_alone(study):
    """A study that grows keeps the trials, and the order inside each block, that it had."""
    grown = study.with_levels(seed=[3, 1, 2, 9])
    assert [t.trial_id for t in trials(grown)][: len(trials(study))] == [t.trial_id for t in trials(study)]
    assert len(trials(grown)) == len(trials(study)) + 12


def test_streams_vary_by_themselves():
    """A stream under [grid] is crossed with the seeds, and the streams that are not named follow the seed."""
    grid = {"seed": [1, 2], "seed_order": [7, 8]}
    study = parse_study({**DOCUMENT, "replicates": 1, "grid": grid}, "streams", source="streams")
    found = [(t.seed, t.seed_init, t.seed_order, t.seed_augmentation, t.seed_dropout) for t in trials(study)]
    assert found == [(1, 1, 7, 1, 1), (1, 1, 8, 1, 1), (2, 2, 7, 2, 2), (2, 2, 8, 2, 2)]


def test_a_stream_that_is_fixed_stays_while_the_seed_varies():
    """seed_init under [fixed] holds for every seed."""
    fixed = {"workload": "digits-cnn", "seed_init": 5}
    study = parse_study({**DOCUMENT, "fixed": fixed, "grid": {"seed": [1, 2]}}, "s", source="s")
    assert {(t.seed, t.seed_init, t.seed_order) for t in trials(study)} == {(1, 5, 1), (2, 5, 2)}


def test_the_device_of_the_run_stands_in_for_auto_only(study):
    """device = "auto" becomes the run's device; a device that the study names stays."""
    assert {t.device for t in trials(study, "cuda:1")} == {"cuda:1"}
    mixed = study.with_levels(device=["auto", "cpu"])
    assert Counter(t.device for t in trials(mixed, "cuda")) == {"cuda": 36, "cpu": 36}


def test_planned_trials_are_the_trials_that_their_factors_describe(study):
    """A trial made by the plan has the name that the same factors written out have: resuming finds it by that name."""
    for trial in trials(study, "cpu"):
        written_out = Trial(
            workload="digits-cnn",
            seed=trial.seed,
            replicate=trial.replicate,
            scheduler=trial.scheduler,
            cudnn_benchmark=trial.cudnn_benchmark,
            device="cpu",
        )
        assert written_out.trial_id == trial.trial_id
        assert written_out.condition_id == trial.condition_id
