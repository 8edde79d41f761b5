"""[[compare]]: what a study asks beforehand, and every mistake in it."""

import json

import pytest

from lrbench.errors import InputError
from lrbench.questions import Compare, Margin, margin_of
from lrbench.study import Study, parse_study

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
GRID = {
    "seed": "0-2",
    "cudnn_benchmark": [False, True],
    "epochs": [3],
    "scheduler": [CONSTANT, "StepLR(2)", "StepLR(3)", "CosineAnnealingLR"],
    "optimizer": ["SGD(momentum=0.9)", "Adam"],
    "warmup": ["off", {"kind": "linear", "fraction": 0.1}],
}
DOCUMENT = {"question": "?", "fixed": {"workload": "digits-cnn"}, "grid": GRID}


def study(*compare: dict, **changes) -> Study:
    return parse_study({**DOCUMENT, "compare": [*compare], **changes}, "s", source="s.toml")


def problems_of(*compare, **changes) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        study(*compare, **changes)
    return tuple(problem.removeprefix("s.toml: ") for problem in caught.value.problems)


def test_a_question_has_its_defaults():
    """A factor alone asks of the final accuracy, by one SD over seeds, in the main family; the reference is open."""
    (compare,) = study({"factor": "scheduler"}).compare
    assert compare == Compare(
        factor="scheduler", baseline=None, metric="final_accuracy", margin="1 seed SD", family="main"
    )
    (cost,) = study({"factor": "cudnn_benchmark", "metric": "samples_per_second"}).compare
    assert cost.margin == "2%"
    assert study().compare == ()


@pytest.mark.parametrize(
    ("factor", "baseline", "in_row"),
    [
        ("scheduler", "ConstantLR", "ConstantLR(factor=1.0)"),
        ("scheduler", CONSTANT, "ConstantLR(factor=1.0)"),
        ("scheduler", "StepLR(step_size=3)", "StepLR(step_size=3)"),
        ("scheduler", "StepLR(3)", "StepLR(step_size=3)"),
        ("optimizer", "Adam", "Adam()"),
        ("cudnn_benchmark", True, True),
        ("warmup", "off", "off"),
        ("warmup", {"kind": "linear", "fraction": 0.1}, '{"fraction": 0.1, "kind": "linear"}'),
    ],
)
def test_a_baseline_is_a_level_or_a_class(factor, baseline, in_row):
    """A baseline is given as a level, in the words of a row or as the only one of its class; it is kept as in a row."""
    (compare,) = study({"factor": factor, "baseline": baseline}).compare
    assert compare.baseline == in_row
    assert type(compare.baseline) is type(in_row)


@pytest.mark.parametrize(
    ("compare", "place", "said"),
    [
        ({}, "compare[0].factor", "is missing"),
        ({"factor": 3}, "compare[0].factor", "found 3"),
        ({"factor": "schedular"}, "compare[0].factor", "Did you mean 'scheduler'?"),
        ({"factor": "lr"}, "compare[0].factor", "it is called base_lr here"),
        ({"factor": "epochs"}, "compare[0].factor", "has one level"),
        ({"factor": "precision"}, "compare[0].factor", "does not vary: list its levels under [grid]"),
        ({"factor": "seed"}, "compare[0].factor", "levels are compared seed by seed"),
        ({"factor": "scheduler", "baselin": "x"}, "compare[0].baselin", "Did you mean 'baseline'?"),
        ({"factor": "scheduler", "baseline": "ConstantLr"}, "compare[0].baseline", "Did you mean 'ConstantLR'?"),
        ({"factor": "scheduler", "baseline": "StepLR"}, "compare[0].baseline", "of which there are 2: write one whole"),
        ({"factor": "scheduler", "baseline": "StepLR(4)"}, "compare[0].baseline", "no level of scheduler"),
        ({"factor": "cudnn_benchmark", "baseline": "on"}, "compare[0].baseline", "allowed: False, True"),
        ({"factor": "cudnn_benchmark", "baseline": 1}, "compare[0].baseline", "no level of cudnn_benchmark"),
        ({"factor": "scheduler", "metric": "accuracy"}, "compare[0].metric", "Did you mean 'final_accuracy'?"),
        ({"factor": "scheduler", "metric": 3}, "compare[0].metric", "found '3'"),
        ({"factor": "scheduler", "margin": "2%"}, "compare[0].margin", "compared by differences"),
        ({"factor": "scheduler", "margin": 1}, "compare[0].margin", "a fraction above 0 and below 1"),
        ({"factor": "scheduler", "margin": 0}, "compare[0].margin", "found 0"),
        ({"factor": "scheduler", "margin": True}, "compare[0].margin", "found True"),
        ({"factor": "scheduler", "margin": float("nan")}, "compare[0].margin", "found nan"),
        ({"factor": "scheduler", "margin": "0 seed SD"}, "compare[0].margin", "found '0 seed SD'"),
        ({"factor": "scheduler", "metric": "train_seconds", "margin": 2}, "compare[0].margin", "compared by ratios"),
        ({"factor": "scheduler", "metric": "train_seconds", "margin": "1 seed SD"}, "compare[0].margin", '"2%"'),
        ({"factor": "scheduler", "metric": "train_seconds", "margin": "0%"}, "compare[0].margin", "above 0%"),
        ({"factor": "scheduler", "family": ""}, "compare[0].family", "found ''"),
    ],
)
def test_a_mistake_in_a_question_has_its_place(compare, place, said):
    """Each mistake is told where it stands, with what was found and what is allowed or meant."""
    (problem,) = problems_of(compare)
    assert problem.startswith(f"{place} ")
    assert said in problem


def test_all_mistakes_are_told_at_once():
    """Mistakes of several questions, and of the levels beside them, stand in one error."""
    found = problems_of(
        {"factor": "nothing", "metric": "x", "margin": 3, "to": 1}, {"factor": "epochs"}, fixed={"workload": "no"}
    )
    assert [problem.split()[0] for problem in found] == [
        "fixed.workload",
        "compare[0].to",
        "compare[0].factor",
        "compare[0].metric",
        "compare[1].factor",
    ]


def test_a_margin_of_no_metric_is_told_beside_a_wrong_metric():
    """Which margins a metric has is not known where there is no such metric; -1 is a margin of none."""
    found = problems_of({"factor": "sheduler", "metric": "accuracy", "margin": "-1"})
    assert [problem.split()[0] for problem in found] == ["compare[0].factor", "compare[0].metric", "compare[0].margin"]


def test_a_wrong_level_is_no_second_mistake():
    """A factor whose levels are wrong is told of there, and not again because it cannot be compared."""
    (problem,) = problems_of(
        {"factor": "scheduler", "baseline": "StepLR"}, grid={"scheduler": ["StepLr(3)", "StepLR(1)"]}
    )
    assert problem.startswith("grid.scheduler[0]")


def test_a_question_is_asked_once():
    """The same factor, baseline and metric a second time is a slip; another metric or baseline is another question."""
    (problem,) = problems_of({"factor": "scheduler"}, {"factor": "optimizer"}, {"factor": "scheduler", "margin": 0.01})
    assert problem.startswith("compare[2] asks what compare[0] asks")
    assert len(study({"factor": "scheduler"}, {"factor": "scheduler", "baseline": "ConstantLR"}).compare) == 2


@pytest.mark.parametrize("compare", [{"factor": "scheduler"}, "scheduler", ["scheduler"]])
def test_a_question_is_a_table_of_its_own(compare):
    """[compare] in place of [[compare]], or a name, is told with what to write."""
    with pytest.raises(InputError, match=r"each begun with \[\[compare\]\]"):
        parse_study({**DOCUMENT, "compare": compare}, "s", source="s.toml")


@pytest.mark.parametrize(
    ("metric", "margin", "expected"),
    [
        ("final_accuracy", "2 seed SDs", Margin(kind="seed_sd", size=2.0)),
        ("final_accuracy", "0.5 seed SD", Margin(kind="seed_sd", size=0.5)),
        ("final_accuracy", 0.005, Margin(kind="amount", size=0.005)),
        ("final_loss", 2, Margin(kind="amount", size=2.0)),
        ("energy_joules", "2.5 %", Margin(kind="share", size=0.025)),
    ],
)
def test_a_margin_says_how_much_matters(metric, margin, expected):
    """A margin is a number of SDs over seeds, an amount in the metric's unit, or a share of a cost."""
    (compare,) = study({"factor": "scheduler", "metric": metric, "margin": margin}).compare
    assert margin_of(compare) == expected


def test_questions_outlive_the_file():
    """study.json holds the questions, reads back to the same ones, and other levels of other factors keep them."""
    asked = study({"factor": "scheduler", "baseline": "ConstantLR", "margin": 0.01}, {"factor": "cudnn_benchmark"})
    assert Study(**json.loads(json.dumps(asked.model_dump(mode="json")))).compare == asked.compare
    assert asked.with_levels(epochs=1).compare == asked.compare


def test_a_level_taken_away_takes_its_question_along():
    """--set that fixes the factor of a question is refused by name: a question is never dropped in silence."""
    asked = study({"factor": "scheduler", "baseline": "CosineAnnealingLR"})
    with pytest.raises(InputError, match=r"compare\[0\].factor found 'scheduler', which does not vary"):
        asked.with_levels(scheduler="StepLR(3)")
    with pytest.raises(InputError, match=r"compare\[0\].baseline found 'CosineAnnealingLR\(T_max=100%\)'"):
        asked.with_levels(scheduler=["StepLR(3)", "StepLR(4)"])
