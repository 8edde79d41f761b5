"""The stages of a study from made-up rows: what selection runs, what follows from it, when looks end. No training."""

from collections import Counter

import pandas as pd
import pytest

from lrbench.continuing import Course
from lrbench.factors import Trial
from lrbench.record import NAMES, trial_columns
from lrbench.stages import Stages, possible
from lrbench.study import Study, parse_study, trials

CONSTANT, STEP = "ConstantLR(factor=1.0)", "StepLR(step_size=2, gamma=0.1)"
GRID = {"seed": "0-3", "scheduler": [CONSTANT, STEP]}
TUNE = {"seeds": "10-11", "base_lr": [0.2, 0.05]}


def parse(**tables) -> Study:
    document = {"question": "?", "fixed": {"workload": "digits-cnn"}, "grid": GRID, **tables}
    return parse_study(document, "s", source="s.toml")


class Folder:
    """Rows of trials that were never run: `accuracy(trial)` says how each ended."""

    def __init__(self, accuracy):
        self._accuracy = accuracy
        self._rows: list[dict] = []

    def run(self, trials: list[Trial]) -> None:
        for trial in trials:
            accuracy = self._accuracy(trial)
            row = {**dict.fromkeys(NAMES), **trial_columns(trial), "status": "completed", "total_seconds": 60.0}
            row |= {"final_val_accuracy": accuracy, "final_accuracy": accuracy, "final_val_loss": 1 - accuracy}
            self._rows.append(row)

    @property
    def done(self) -> set[str]:
        return {row["trial_id"] for row in self._rows}

    def rows(self) -> pd.DataFrame:
        return pd.DataFrame(self._rows, columns=NAMES)


def peaked(best: dict[str, float]):
    """Accuracy that falls with the distance of the rate from each scheduler's best."""

    def accuracy(trial: Trial) -> float:
        return 0.9 - abs(trial.base_lr - best[trial.scheduler["name"]])

    return accuracy


def run_to_the_end(study: Study, folder: Folder) -> Stages:
    stages = Stages(study, "cpu", folder.rows)
    while True:
        while stages.advance(folder.done):
            pass
        left = [trial for _, trial in stages.plan if trial.trial_id not in folder.done]
        if not left:
            return stages
        folder.run(left)


def test_a_study_without_either_has_one_stage():
    """Its plan is the grid in its blocks, nothing more may come, and its rows are never asked for."""
    study = parse()
    stages = Stages(study, "cpu", None)
    assert [t.trial_id for _, t in stages.plan] == [t.trial_id for t in trials(study, "cpu")]
    assert (stages.several, stages.num_more_at_most, stages.columns(), stages.now) == (False, 0, {}, "")
    assert stages.advance({t.trial_id for t in stages.certain}) == []
    assert stages.ended


def test_selection_tries_each_candidate_on_each_selection_seed():
    """2 schedulers x 3 rates x 2 seeds, in a shuffled block for each seed, and nothing of the comparison."""
    stages = Stages(parse(tune=TUNE), "cpu", None)
    blocks = Counter((number, trial.seed) for number, trial in stages.plan)
    assert blocks == {(0, 10): 6, (1, 11): 6}
    settings = Counter((t.scheduler["name"], t.base_lr) for _, t in stages.plan)
    assert settings == {(name, rate): 2 for name in ("ConstantLR", "StepLR") for rate in (0.05, 0.1, 0.2)}
    orders = [[(t.scheduler["name"], t.base_lr) for n, t in stages.plan if n == number] for number in (0, 1)]
    assert orders[0] != orders[1]
    assert {column["tuning"] for column in stages.columns().values()} == {"selection"}
    assert (len(stages.certain), stages.num_more_at_most) == (12 + 8, 8)
    assert stages.now == (
        "selection: 12 trials, 6 for each scheduler; then the comparison, 8 trials, at most 8 more tuned"
    )


def test_selection_runs_at_the_reference_level_of_the_machine_alone():
    """cuDNN flags and other cost factors are not tuned for: the default where it is a level, else the first."""
    grid = {**GRID, "cudnn_benchmark": [True, False], "num_threads": [2, 4], "epochs": [1, 2]}
    stages = Stages(parse(grid=grid, tune=TUNE), "cpu", None)
    assert {(t.cudnn_benchmark, t.num_threads, t.replicate) for _, t in stages.plan} == {(False, 2, 0)}
    assert Counter(t.epochs for _, t in stages.plan) == {1: 12, 2: 12}


def test_the_comparison_holds_the_default_beside_the_tuned():
    """Each scheduler at its own best rate and as written, on the grid's seeds; one trial where both agree."""
    folder = Folder(peaked({"ConstantLR": 0.1, "StepLR": 0.2}))
    stages = run_to_the_end(parse(tune=TUNE), folder)
    columns = stages.columns()
    found = Counter(
        (t.scheduler["name"], t.base_lr, columns[t.trial_id]["tuning"]) for _, t in stages.plan if t.seed < 10
    )
    assert found == {
        ("ConstantLR", 0.1, "default and tuned"): 4,
        ("StepLR", 0.1, "default"): 4,
        ("StepLR", 0.2, "tuned"): 4,
    }
    assert stages.ended
    assert (len(stages.certain), stages.num_more_at_most) == (12 + 12, 0)
    numbers = [number for number, _ in stages.plan]
    assert numbers == [0] * 6 + [1] * 6 + [2] * 3 + [3] * 3 + [4] * 3 + [5] * 3
    record = stages.record()["choices"]
    assert [(c["scheduler"], c["base_lr"], c["boundary"]) for c in record] == [
        (CONSTANT, 0.1, ""),
        (STEP, 0.2, "highest"),
    ]


def test_what_is_chosen_holds_at_every_level_of_the_machine():
    """The tuned rate is compared at both levels of a flag, though it was chosen at one."""
    folder = Folder(peaked({"ConstantLR": 0.05, "StepLR": 0.2}))
    stages = run_to_the_end(parse(tune=TUNE, grid={**GRID, "cudnn_benchmark": [False, True]}), folder)
    columns = stages.columns()
    tuned = Counter((t.base_lr, t.cudnn_benchmark) for _, t in stages.plan if columns[t.trial_id]["tuning"] == "tuned")
    assert tuned == {(0.05, False): 4, (0.05, True): 4, (0.2, False): 4, (0.2, True): 4}


def test_each_setting_of_training_has_its_own_choice():
    """Where epochs, clipping and optimizer vary, each setting is compared at the rate that was chosen for it."""

    def accuracy(trial: Trial) -> float:
        best = 0.05 if trial.epochs == 1 else 0.2 if trial.clip_grad_norm == "off" else 0.1
        return 0.9 - abs(trial.base_lr - best)

    grid = {**GRID, "epochs": [1, 2], "clip_grad_norm": ["off", 1.0], "optimizer": ["SGD", "SGD(momentum=0.9)"]}
    stages = run_to_the_end(parse(tune=TUNE, grid=grid), Folder(accuracy))
    columns = stages.columns()
    chosen = {
        (t.epochs, t.clip_grad_norm): t.base_lr
        for _, t in stages.plan
        if columns[t.trial_id]["tuning"] in ("tuned", "default and tuned")
    }
    assert chosen == {(1, "off"): 0.05, (1, 1.0): 0.05, (2, "off"): 0.2, (2, 1.0): 0.1}
    assert len(stages.choices) == 2 * 8


def test_a_tuned_argument_is_compared():
    """An argument that was chosen stands in the trial's scheduler; the arm keeps its own beside it."""
    tune = {"seeds": [10], "arguments": {"StepLR": {"gamma": [0.5]}}}
    folder = Folder(lambda trial: trial.scheduler.get("gamma", 0.4))
    stages = run_to_the_end(parse(tune=tune), folder)
    columns = stages.columns()
    gammas = {
        (t.scheduler["gamma"], columns[t.trial_id]["tuning"])
        for _, t in stages.plan
        if t.seed < 10 and t.scheduler["name"] == "StepLR"
    }
    assert gammas == {(0.1, "default"), (0.5, "tuned")}


def test_a_schedulers_interval_keeps_arms_apart():
    """One call stepped per epoch and one per step are two arms, each with a choice of its own."""
    step = {"name": "ExponentialLR", "gamma": 0.9}
    grid = {"seed": "0-1", "scheduler": [step, {**step, "interval": "step"}]}
    folder = Folder(lambda trial: 0.9 - abs(trial.base_lr - (0.2 if trial.scheduler["interval"] == "step" else 0.05)))
    stages = run_to_the_end(parse(tune=TUNE, grid=grid), folder)
    assert {(choice.interval, choice.base_lr) for choice in stages.choices} == {("epoch", 0.05), ("step", 0.2)}


def test_the_same_rows_lead_to_the_same_stages():
    """Read back from study.json with its keys sorted, and from rows in another order, nothing comes out differently."""
    study = parse(tune={**TUNE, "arguments": {"StepLR": {"gamma": [0.5], "step_size": [3]}}, "budget": 8})
    folder = Folder(peaked({"ConstantLR": 0.05, "StepLR": 0.2}))
    stages = run_to_the_end(study, folder)

    def ordered(value):
        if isinstance(value, dict):
            return {key: ordered(value[key]) for key in sorted(value)}
        return [ordered(item) for item in value] if isinstance(value, list) else value

    again = Stages(Study(**ordered(study.model_dump(mode="json"))), "cpu", lambda: folder.rows()[::-1])
    while again.advance(folder.done):
        pass
    assert [t.trial_id for _, t in again.plan] == [t.trial_id for _, t in stages.plan]
    assert again.columns() == stages.columns()


def test_rows_from_before_tuning_are_used_for_what_they_are():
    """Rows of the plain grid, whose column tuning is null, are the comparison as written once the study tunes."""
    folder = Folder(peaked({"ConstantLR": 0.05, "StepLR": 0.2}))
    folder.run(trials(parse(), "cpu"))
    stages = Stages(parse(tune=TUNE), "cpu", folder.rows)
    assert sum(trial.trial_id in folder.done for trial in stages.certain) == 8
    assert stages.advance(folder.done) == []


def test_what_later_stages_may_have_is_known_beforehand():
    """Before the choice any candidate may be compared: its trials are later ones, and after the choice none is left."""
    folder = Folder(peaked({"ConstantLR": 0.1, "StepLR": 0.2}))
    stages = Stages(parse(tune=TUNE), "cpu", folder.rows)
    before = stages.later()
    assert len(before) == 4 * 2 * 3  # seeds, schedulers, rates
    whole = run_to_the_end(parse(tune=TUNE), folder)
    compared = {trial.trial_id for stage in whole.comparison for trial in stage.trials}
    assert compared < before
    assert whole.later() == set()


def test_rows_that_may_yet_be_chosen_are_not_counted_as_others(tmp_path):
    """[tune] was changed: what was tuned to 0.2 is a candidate still, and counts as no row of another study; where 0.2
    is tried no more, its 4 trials of the comparison and 4 of the selection do."""
    folder = Folder(peaked({"ConstantLR": 0.1, "StepLR": 0.2}))
    run_to_the_end(parse(tune=TUNE), folder)
    seen = dict.fromkeys(folder.done, ("completed", 0))
    others = {}
    for rates in ([0.2, 0.05, 0.3], [0.05, 0.3]):
        stages = Stages(parse(tune={**TUNE, "base_lr": rates}), "cpu", folder.rows)
        course = Course(stages=stages, folder=tmp_path, record={}, retry=False, limit=None, seen=seen)
        course.go_on()
        assert not stages.comparison
        others[len(rates)] = course.num_others()
    assert others == {3: 0, 2: 8}


def test_the_seeds_of_later_looks_are_later_trials():
    """After the first look of three seeds those of the others may come; a study of one stage has no later ones."""
    study = parse(grid={**GRID, "seed": "0-7"}, until=LOOKS, compare=COMPARE)
    assert Stages(study, "cpu", None).later() == {trial.trial_id for trial in trials(study, "cpu")}
    assert Stages(parse(), "cpu", None).later() == set()


# ------------------------------------------------------------------------------------------------------------- looks


def clear(trial: Trial) -> float:
    """StepLR is better by far, by about the same on each seed."""
    if trial.scheduler["name"] == "ConstantLR":
        return 0.5 + 0.001 * (trial.seed * 7 % 5)
    return 0.8 + 0.001 * (trial.seed * 3 % 7)


def unclear(trial: Trial) -> float:
    """StepLR is better on one seed and worse on the next."""
    return 0.5 + 0.1 * ((trial.seed % 2) == (trial.scheduler["name"] == "StepLR"))


LOOKS = {"looks": [3, 6, 8], "spending": "pocock"}
COMPARE = [{"factor": "scheduler", "margin": 0.01}]


def until(accuracy, **tables) -> tuple[Stages, Folder]:
    folder = Folder(accuracy)
    grid = {**GRID, "seed": "0-7"}
    return run_to_the_end(parse(**{"grid": grid, "until": LOOKS, "compare": COMPARE, **tables}), folder), folder


def test_a_study_ends_when_its_questions_are_settled():
    """A clear difference is settled before the last look, and no trial of a later look is asked for."""
    stages, folder = until(clear)
    assert stages.looks[-1]["ended"] == "settled"
    assert len(stages.looks) < 3
    seeds = stages.looks[-1]["num_seeds"]
    assert len(folder.done) == 2 * seeds
    assert {row["look"] for row in stages.columns().values()} == set(range(1, len(stages.looks) + 1))
    assert (len(stages.certain), stages.num_more_at_most) == (2 * seeds, 0)


def test_a_study_that_stays_unclear_ends_with_its_last_look():
    """Seeds are added look by look in the grid's order, each row knows its look, and the last one ends it."""
    stages, _ = until(unclear)
    assert [(look["look"], look["num_seeds"], look["ended"]) for look in stages.looks] == [
        (1, 3, ""),
        (2, 6, ""),
        (3, 8, "last look"),
    ]
    columns = stages.columns()
    looks = {trial.seed: columns[trial.trial_id]["look"] for _, trial in stages.plan}
    assert looks == {0: 1, 1: 1, 2: 1, 3: 2, 4: 2, 5: 2, 6: 3, 7: 3}
    assert [n for n, _ in stages.plan] == [number for number in range(8) for _ in range(2)]
    assert all(look["sentences"] for look in stages.looks)


def test_no_look_begins_after_the_time_limit():
    """With rows of a minute each that say nothing of when they ran, 6 of them are over a limit of 5 minutes."""
    stages, _ = until(unclear, until={**LOOKS, "time_limit": "5m"})
    assert [look["ended"] for look in stages.looks] == ["time limit"]
    assert stages.looks[0]["run_seconds"] == 360
    assert "the time limit of 300 s is over" in stages.looks[0]["sentences"][-1]
    stages, _ = until(unclear, until={**LOOKS, "time_limit": "10m"})
    assert [look["ended"] for look in stages.looks] == ["", "time limit"]


def test_a_decision_is_made_from_the_rows_of_its_look_alone():
    """A folder that holds every seed already is looked at in the same steps, and ends where it would have ended."""
    stages, _ = until(clear)
    folder = Folder(clear)
    study = parse(grid={**GRID, "seed": "0-7"}, until=LOOKS, compare=COMPARE)
    folder.run(trials(study, "cpu"))
    again = run_to_the_end(study, folder)
    assert again.looks == stages.looks
    assert [t.trial_id for _, t in again.plan] == [t.trial_id for _, t in stages.plan]


def test_selection_comes_before_the_looks():
    """With both, the choice is made once, each look has the tuned beside the default, and selection has no look."""
    stages, _ = until(unclear, tune=TUNE)
    columns = stages.columns()
    assert {(c["tuning"], c["look"]) for c in columns.values()} >= {("selection", None), ("default", 1)}
    assert all((c["look"] is None) == (c["tuning"] == "selection") for c in columns.values())
    assert sorted(stages.record()) == ["choices", "looks"]


@pytest.mark.parametrize("tables", [{}, {"tune": TUNE}, {"until": LOOKS, "grid": {**GRID, "seed": "0-7"}}])
def test_a_study_knows_which_trials_are_its_own(tables):
    """Every trial that a study may come to have is its own: at every look, and what its rows have tuned."""
    study = parse(**tables)
    folder = Folder(peaked({"ConstantLR": 0.05, "StepLR": 0.2}))
    own = {trial.trial_id for trial in possible(study, "cpu", folder.rows())}
    run_to_the_end(study, folder)
    later = {trial.trial_id for trial in possible(study, "cpu", folder.rows())}
    assert folder.done <= later
    assert {trial.trial_id for trial in trials(study, "cpu")} <= own <= later
    assert (own == later) is ("tune" not in tables)
