"""[tune]: every mistake in it, what each scheduler is tried at, and what is chosen, with choices worked out by hand."""

import dataclasses
import json
import math
import random

import pandas as pd
import pytest

from analysis.rows.conditions import MACHINE_FACTORS
from lrbench import tuning
from lrbench.errors import InputError
from lrbench.factors import FACTORS, SEEDS
from lrbench.study import Study, parse_study
from lrbench.tuning import MACHINE, TRAINING, Arm, Tried, Tune, choose

STEP = {"name": "StepLR", "step_size": 2, "gamma": 0.1}
GRID = {"seed": "0-2", "scheduler": ["ConstantLR(factor=1.0)", STEP]}
TUNE = {"seeds": "10-11", "base_lr": [0.2, 0.05]}


def parse(tune: dict, **changes) -> Study:
    document = {"question": "?", "fixed": {"workload": "digits-cnn"}, "grid": GRID, "tune": tune, **changes}
    return parse_study(document, "s", source="s.toml")


def problems_of(tune, **changes) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        parse(tune, **changes)
    return tuple(problem.removeprefix("s.toml: ") for problem in caught.value.problems)


def tried(study: Study) -> dict[str, list[tuple[float, str]]]:
    return {arm.scheduler: [(c.base_lr, c.scheduler) for c in arm.candidates] for arm in study.tune.arms}


# ------------------------------------------------------------------------------------------------------ the candidates


def test_the_studys_own_rate_is_always_tried():
    """The rate of the study, here its workload's 0.1, comes first where it is not among the candidates."""
    for rates in ([0.2, 0.05], [0.05, 0.1, 0.2]):
        found = tried(parse({**TUNE, "base_lr": rates}))
        assert [rate for rate, _ in found["ConstantLR(factor=1.0)"]] == [0.1, 0.05, 0.2]
        assert [rate for rate, _ in found["StepLR(step_size=2, gamma=0.1)"]] == [0.1, 0.05, 0.2]


def test_arguments_are_crossed_with_rates():
    """Each value of an argument goes with each rate; the scheduler's own value is one of them, and counted once."""
    found = tried(parse({**TUNE, "base_lr": [0.2], "arguments": {"StepLR": {"gamma": [0.1, 0.5]}}}))
    assert found["StepLR(step_size=2, gamma=0.1)"] == [
        (0.1, "StepLR(step_size=2, gamma=0.1)"),
        (0.2, "StepLR(step_size=2, gamma=0.1)"),
        (0.1, "StepLR(step_size=2, gamma=0.5)"),
        (0.2, "StepLR(step_size=2, gamma=0.5)"),
    ]
    assert len(found["ConstantLR(factor=1.0)"]) == 2


def test_arguments_alone_can_be_tuned():
    """Without rates to choose from, the study's own goes with each argument."""
    found = tried(parse({"seeds": [10], "arguments": {"StepLR": {"gamma": [0.5], "step_size": [3]}}}))
    assert [call for _, call in found["StepLR(step_size=2, gamma=0.1)"]] == [
        f"StepLR(step_size={size}, gamma={gamma})" for size, gamma in ((2, 0.1), (2, 0.5), (3, 0.1), (3, 0.5))
    ]


def test_a_budget_draws_the_same_for_all_and_keeps_the_studys_own():
    """8 trials on 2 seeds are 4 candidates: the study's own and 3 drawn, the same where the choices are the same."""
    rates = [0.01, 0.02, 0.05, 0.2, 0.5, 1.0]
    found = tried(parse({"seeds": "10-11", "base_lr": rates, "budget": 8}))
    drawn = [[rate for rate, _ in candidates] for candidates in found.values()]
    assert drawn[0] == drawn[1]
    assert drawn[0][0] == 0.1
    assert len(set(drawn[0])) == 4
    assert tried(parse({"seeds": "10-11", "base_lr": rates, "budget": 8})) == found
    others = [tried(parse({"seeds": f"{n}-{n + 1}", "base_lr": rates, "budget": 8})) for n in range(20, 30)]
    assert any(other != found for other in others)
    assert tried(parse({"seeds": "10-11", "base_lr": rates, "budget": 99})) == tried(
        parse({"seeds": "10-11", "base_lr": rates})
    )


@pytest.mark.parametrize(
    ("tune", "place", "said"),
    [
        ({"base_lr": [0.2]}, "tune.seeds", "is missing"),
        ({**TUNE, "seeds": "0-1"}, "tune.seeds", "found 0, 1, which the comparison uses too"),
        ({**TUNE, "seeds": []}, "tune.seeds", "empty list"),
        ({**TUNE, "seeds": "five"}, "tune.seeds", "found 'five'"),
        ({**TUNE, "seeds": [10, 10]}, "tune.seeds[1]", "repeats 10"),
        ({**TUNE, "seeds": [10, -1]}, "tune.seeds[1]", "at least 0"),
        ({"seeds": "10-11"}, "tune.base_lr", "is missing: write rates to choose from"),
        ({**TUNE, "base_lr": [0.1]}, "tune.base_lr", "the study's own rate is no other"),
        ({**TUNE, "base_lr": 0.2}, "tune.base_lr", "allowed: a list"),
        ({**TUNE, "base_lr": [0.2, -1.0]}, "tune.base_lr[1]", "found -1.0"),
        ({**TUNE, "base_lr": [0.2, 0.2]}, "tune.base_lr[1]", "repeats 0.2"),
        ({**TUNE, "budget": 3}, "tune.budget", "at least 4: 2 seeds"),
        ({**TUNE, "budget": 2.5}, "tune.budget", "found 2.5"),
        ({**TUNE, "metric": "final_accuracy"}, "tune.metric", "which is of the test images"),
        ({**TUNE, "metric": "train_seconds"}, "tune.metric", "which is a cost"),
        ({**TUNE, "metric": "val_loss"}, "tune.metric", "Did you mean 'final_val_loss'?"),
        ({**TUNE, "seed": 3}, "tune.seed", "Did you mean 'seeds'?"),
        ({**TUNE, "gamma": [0.1]}, "tune.gamma", "[tune.arguments.StepLR]"),
        ({**TUNE, "arguments": {"StepLr": {"gamma": [0.1]}}}, "tune.arguments.StepLr", "Did you mean 'StepLR'?"),
        ({**TUNE, "arguments": {"StepLR": {"gama": [0.1]}}}, "tune.arguments.StepLR.gama", "Did you mean 'gamma'?"),
        ({**TUNE, "arguments": {"StepLR": {"gamma": 0.1}}}, "tune.arguments.StepLR.gamma", "allowed: a list"),
        ({**TUNE, "arguments": {"StepLR": {"gamma": [0.1, "x"]}}}, "tune.arguments.StepLR.gamma[1]", "found 'x'"),
        ({**TUNE, "arguments": {"StepLR": {"gamma": [0.3, 0.3]}}}, "tune.arguments.StepLR.gamma[1]", "repeats 0.3"),
        ({**TUNE, "arguments": {"StepLR": {"interval": ["step"]}}}, "tune.arguments.StepLR.interval", "grid.scheduler"),
        ({**TUNE, "arguments": [1]}, "tune.arguments", "allowed: tables"),
        (7, "tune", "allowed: a table"),
    ],
)
def test_a_mistake_in_tune_has_its_place(tune, place, said):
    """Each mistake is told where it stands, with what was found and what is allowed or meant."""
    (problem,) = problems_of(tune)
    assert problem.startswith(f"{place} ")
    assert said in problem


def test_a_rate_is_either_varied_or_tuned():
    """A grid over base_lr beside [tune] asks two things at once, and is refused."""
    (problem,) = problems_of(TUNE, grid={**GRID, "base_lr": [0.1, 0.2]})
    assert problem.startswith("grid.base_lr varies, and [tune] chooses it")


@pytest.mark.parametrize("fixed", [{}, {"seed": 0}])
def test_selection_seeds_are_apart_from_a_fixed_seed_too(fixed):
    """Seed 0 is the comparison's where the grid has no seeds, written out or not."""
    (problem,) = problems_of(
        {**TUNE, "seeds": [0, 10]},
        fixed={"workload": "digits-cnn", **fixed},
        grid={"scheduler": GRID["scheduler"]},
    )
    assert problem.startswith("tune.seeds found 0, which the comparison uses too")


def test_all_mistakes_are_told_at_once():
    """Mistakes in [tune], in a question and in the levels stand in one error."""
    found = problems_of({"metric": "x", "budget": -1}, compare=[{"factor": "x"}], fixed={"workload": "no"})
    assert [problem.split()[0] for problem in found] == [
        "fixed.workload",
        "compare[0].factor",
        "tune.seeds",
        "tune.budget",
        "tune.metric",
    ]


def test_tune_outlives_the_file():
    """study.json holds [tune] with its candidates, and a study with other levels tries its own rate anew."""
    study = parse({**TUNE, "arguments": {"StepLR": {"gamma": [0.5]}}})
    assert Study(**json.loads(json.dumps(study.model_dump(mode="json")))).tune == study.tune
    assert study.with_levels(epochs=1).tune == study.tune
    moved = study.with_levels(base_lr=0.3)
    assert tried(moved)["ConstantLR(factor=1.0)"] == [(r, "ConstantLR(factor=1.0)") for r in (0.3, 0.05, 0.2)]


def test_every_factor_is_of_the_machine_of_training_or_chosen():
    """The factors fall apart into seeds, what is chosen, what trains and what the machine does: none is forgotten."""
    assert sorted([*SEEDS, "scheduler", "base_lr", *TRAINING, *MACHINE]) == sorted(FACTORS)
    assert set(MACHINE) == {*MACHINE_FACTORS, "poke_ulps"}


# ---------------------------------------------------------------------------------------------------------- the choice


def rows(*trials: tuple) -> pd.DataFrame:
    """Rows of selection trials: (scheduler, base_lr, seed, accuracy or None where it failed[, loss])."""
    return pd.DataFrame(
        {
            "tuning": "selection",
            "scheduler": scheduler,
            "scheduler_interval": "epoch",
            "base_lr": rate,
            "seed": seed,
            "status": "diverged" if accuracy is None else "completed",
            "final_val_accuracy": accuracy,
            "final_val_loss": loss[0] if loss else 1.0,
            "epochs": 3,
        }
        for scheduler, rate, seed, accuracy, *loss in trials
    )


TWO = Tune(seeds=[10, 11], base_lr=[])


@pytest.mark.parametrize(
    ("trials", "base_lr", "boundary"),
    [
        # the best mean: (0.8 + 0.6) / 2 = 0.7 against 0.65 and 0.6
        ([(0.1, 0.8), (0.1, 0.6), (0.2, 0.65), (0.2, 0.65), (0.4, 0.6), (0.4, 0.6)], 0.1, "lowest"),
        ([(0.1, 0.5), (0.1, 0.5), (0.2, 0.7), (0.2, 0.7), (0.4, 0.6), (0.4, 0.6)], 0.2, ""),
        ([(0.1, 0.5), (0.1, 0.5), (0.2, 0.7), (0.2, 0.7)], 0.2, "highest"),
        # a failed trial loses against any candidate without one, however good its other was
        ([(0.1, 0.2), (0.1, 0.2), (0.2, 0.9), (0.2, None)], 0.1, "lowest"),
        # where all have failures, the fewest
        ([(0.1, None), (0.1, None), (0.2, None), (0.2, 0.3)], 0.2, "highest"),
        # equal means: the lower mean of the loss, 0.25 against 0.5
        ([(0.1, 0.5, 0.5), (0.1, 0.5, 0.5), (0.2, 0.4, 0.25), (0.2, 0.6, 0.25)], 0.2, "highest"),
        # equal in all: the smaller rate
        ([(0.2, 0.5), (0.2, 0.5), (0.1, 0.5), (0.1, 0.5)], 0.1, "lowest"),
        # nothing completed: the first candidate stays, which is no choice, and so at no edge
        ([(0.2, None), (0.2, None), (0.1, None), (0.1, None)], 0.1, ""),
        # a single rate has no edge
        ([(0.1, 0.5), (0.1, 0.6)], 0.1, ""),
    ],
)
def test_the_choice_follows_its_rules(trials, base_lr, boundary):
    """Fewest failures, best mean, lowest loss, smaller rate, in this order; the edges of the rates are flagged."""
    (choice,) = choose(rows(*(("S()", rate, seed % 2, *rest) for seed, (rate, *rest) in enumerate(trials))), TWO)
    assert (choice.base_lr, choice.boundary) == (base_lr, boundary)
    assert choice.num_trials == len(trials)


def test_a_loss_is_better_where_it_is_lower():
    """By final_val_loss the candidate with the lowest mean is chosen, whatever its accuracy."""
    trials = [("S()", 0.1, 0, 0.9, 2.0), ("S()", 0.2, 0, 0.1, 1.5), ("S()", 0.3, 0, 0.8, 1.75)]
    (choice,) = choose(rows(*trials), TWO.model_copy(update={"metric": "final_val_loss"}))
    assert choice.base_lr == 0.2


def test_a_loss_that_is_no_number_counts_as_failed():
    """A trial that completed with an infinite loss has no mean to add to: it is told among the failed ones."""
    (choice,) = choose(rows(("S()", 0.1, 0, 0.9, float("inf")), ("S()", 0.2, 0, 0.1, 1.5)), TWO)
    assert (choice.base_lr, [c.num_failed for c in choice.candidates]) == (0.2, [1, 0])


def test_a_choice_shows_what_it_was_made_from():
    """Mean, seeds and failures of each candidate, and a sentence that says the edge and what failed."""
    (choice,) = choose(
        rows(("S()", 0.1, 0, 0.5), ("S()", 0.1, 1, 0.6), ("S()", 0.2, 0, 0.9), ("S()", 0.2, 1, None)), TWO
    )
    table = choice.table
    assert table["base_lr"].tolist() == [0.1, 0.2]
    assert table["mean"].tolist() == pytest.approx([0.55, 0.9])
    assert table["num_seeds"].tolist() == [2, 1]
    assert table["num_failed"].tolist() == [0, 1]
    said = (
        "S(): base_lr 0.1 (of 0.1 … 0.2: the lowest: a smaller one may be better); 1 of its 4 selection trials failed"
    )
    assert str(choice) == said


@pytest.mark.parametrize(
    ("first", "second", "base_lr", "decided_by"),
    [
        ((0.5, 0.25), (0.5, 0.5), 0.1, "the lower validation loss"),
        ((0.5, 0.5), (0.5, 0.25), 0.2, "the lower validation loss"),
        ((0.5, 0.5), (0.5, 0.5), 0.1, "the smaller rate"),
        ((0.6, 0.5), (0.5, 0.25), 0.1, ""),
        ((None, 0.5), (None, 0.5), 0.1, ""),
    ],
)
def test_a_tie_is_told_with_what_decided_it(first, second, base_lr, decided_by):
    """Equal means: the other is named with the rule that decided; of unequal means and of failures nothing is said."""
    (choice,) = choose(rows(("S()", 0.1, 0, *first), ("S()", 0.2, 0, *second)), TWO)
    other = 0.3 - base_lr
    assert choice.base_lr == base_lr
    assert choice.decided_by == decided_by
    assert [c.base_lr for c in choice.tied] == ([pytest.approx(other)] if decided_by else [])
    assert (f"; a tie with {other:g}, decided by {decided_by}" in str(choice)) is bool(decided_by)
    assert ("tie" in str(choice)) is bool(decided_by)


def test_means_that_differ_in_the_last_place_alone_are_a_tie():
    """0.1, 0.2 and 0.3 have the mean of 0.2 three times, but not to the last place: the loss decides."""
    shares = (0.1, 0.2, 0.3)
    assert math.fsum(shares) / 3 != math.fsum([0.2] * 3) / 3
    trials = [("S()", 0.1, n, a, 2.0) for n, a in enumerate(shares)] + [("S()", 0.2, n, 0.2, 1.0) for n in range(3)]
    for better in (1.0, 3.0):
        (choice,) = choose(rows(*trials[:3], *((*t[:4], better) for t in trials[3:])), TWO)
        assert (choice.base_lr, len(choice.tied)) == (0.2 if better == 1.0 else 0.1, 1)


def test_arguments_tie_too():
    """Equal means at two values of an argument: the call that lost is named."""
    study = parse({"seeds": [10], "arguments": {"StepLR": {"gamma": [0.5]}}})
    calls = [f"StepLR(step_size=2, gamma={gamma})" for gamma in (0.1, 0.5)]
    (choice,) = choose(rows(*((call, 0.1, 10, 0.5) for call in calls)), study.tune)
    assert choice.chosen_scheduler == calls[0]
    assert str(choice).endswith(f"; a tie with 0.1 as {calls[1]}, decided by the order of the candidates")


def test_the_choice_does_not_depend_on_the_order_of_the_rows():
    """Means are exact sums: shuffled rows choose the same, where sums in floating point would not be equal.

    0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in the last place, and would break a tie by chance.
    """
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    trials = [("S()", rate, seed, (0.1, 0.2, 0.3)[seed]) for rate in (0.2, 0.1) for seed in range(3)]
    for number in range(20):
        shuffled = random.Random(number).sample(trials, len(trials))
        (choice,) = choose(rows(*shuffled), TWO)
        assert choice.base_lr == 0.1


def test_arguments_belong_to_their_scheduler():
    """A call with a tuned argument is a candidate of the arm that it was made from, and is chosen under its name."""
    study = parse({"seeds": [10], "base_lr": [0.2], "arguments": {"StepLR": {"gamma": [0.5]}}})
    calls = [f"StepLR(step_size=2, gamma={gamma})" for gamma in (0.1, 0.5)]
    trials = [
        (call, rate, 10, 0.5 + 0.1 * (rate == 0.2) + 0.2 * (call == calls[1])) for call in calls for rate in (0.1, 0.2)
    ]
    (choice,) = choose(rows(*trials), study.tune)
    assert (choice.scheduler, choice.chosen_scheduler, choice.base_lr) == (calls[0], calls[1], 0.2)
    assert str(choice).endswith(f", as {calls[1]}")


def test_each_setting_of_the_other_factors_chooses_for_itself():
    """Where epochs vary, each number of epochs has its own best rate; the optimizer, which does not, is left out."""
    some = rows(("S()", 0.1, 0, 0.9), ("S()", 0.2, 0, 0.1)), rows(("S()", 0.1, 0, 0.1), ("S()", 0.2, 0, 0.9))
    both = pd.concat([some[0].assign(epochs=1), some[1].assign(epochs=2)]).assign(optimizer="SGD()")
    found = [(choice.factors, choice.base_lr) for choice in choose(both, TWO)]
    assert found == [({"epochs": 1}, 0.1), ({"epochs": 2}, 0.2)]


def test_rows_of_the_comparison_choose_nothing():
    """What is compared does not choose: rows that are no selection trials are left out; without any there is none."""
    some = rows(("S()", 0.1, 0, 0.5), ("S()", 0.2, 0, 0.6))
    compared = rows(*(("S()", 0.1, seed, 1.0) for seed in range(1, 9)))
    for part in ("default", "tuned", None):
        (choice,) = choose(pd.concat([some, compared.assign(tuning=part)], ignore_index=True), TWO)
        assert (choice.base_lr, choice.num_trials) == (0.2, 2)
    assert choose(compared.assign(tuning=None), TWO) == []


def test_where_every_selection_trial_failed_nothing_is_chosen():
    """The study's own setting stays, no edge is told, and the line says that nothing could be chosen."""
    own = Tried(base_lr=0.3, scheduler="S()", mean=math.nan, mean_val_loss=math.nan, num_seeds=0, num_failed=2)
    lower = dataclasses.replace(own, base_lr=0.1)
    arm = Arm(scheduler="S()", interval="epoch", candidates=())
    found = tuning._chosen(arm, (own, lower), "final_val_accuracy", {})
    assert (found.base_lr, found.boundary, found.nothing_completed) == (0.3, "", True)
    assert str(found) == (
        "S(): nothing could be chosen, all 4 selection trials failed; the study's own base_lr 0.3 stays"
    )


def test_an_empty_list_of_rates_is_told_beside_other_mistakes():
    """Neither hides the other: a wrong level elsewhere, a wrong metric, and no rate to choose from."""
    found = problems_of({**TUNE, "base_lr": [], "metric": "x"}, fixed={"workload": "digits-cnn", "epochs": -1})
    assert [problem.split()[0] for problem in found] == ["fixed.epochs", "tune.metric", "tune.base_lr"]
