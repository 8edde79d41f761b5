"""Study files: what is read, and every mistake at once."""

import copy

import pytest

from lrbench.errors import InputError
from lrbench.study import parse_study, read_study, studies_folder, trials

GOOD = {
    "question": "Does it read?",
    "replicates": 2,
    "fixed": {"workload": "digits-cnn", "epochs": 3},
    "grid": {"seed": "0-2", "scheduler": [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": 2}]},
}

# Every kind of mistake, in one file.
BAD = """
question = "  "
replicates = 0
epochs = 3
titel = "a slip"

[fixed]
workload = "digit-cnn"
lr = 0.1
epoch = 3
batch_size = 64.0
base_lr = nan
optimizer = { name = "SDG" }
warmup = { kind = "linear", fraction = 2.0, sstep = 3 }
clip_grad_norm = 0
precision = "fp8"
deterministic_algorithms = true
device = "gpu"
num_threads = 0
seed = "0-3"

[grid]
seed = [0, 0]
clip_grad_value = []
cudnn_benchmark = true
cudnn_deterministic = ["yes", false]
momentum = [0.9]
scheduler = [
  { name = "StepLr", step_size = 3 },
  { name = "StepLR", step_siez = 3 },
  { name = "StepLR", step_size = 0 },
  { name = "StepLR", step_size = "130%" },
  { name = "CosineAnnealingLR", T_max = "x" },
  { name = "ReduceLROnPlateau", monitor = "val_acuracy", interval = "epochs" },
  { name = "ReduceLROnPlateau", monitor = "val_accuracy" },
  { name = "ReduceLROnPlateau", interval = "step" },
  { name = "LambdaLR", lr_lambda = "lambda epoch: 0.95 ** epoch" },
  { name = "SequentialLR", schedulers = ["ConstantLR()", "StepLR()"], milestones = [3] },
  "StepLR(30, step_size=3)",
  "StepLR(step_size=10 * 3)",
  { step_size = 3 },
  7,
]
"""


@pytest.mark.parametrize(
    ("factor", "levels"),
    [
        ("scheduler", ["StepLR(step_size=3)", "StepLR(step_size=3, gamma=0.1)"]),
        ("scheduler", ["SequentialLR([StepLR(9)], [])", "SequentialLR([StepLR(9, gamma=0.1)], [])"]),
        ("scheduler", ["ExponentialLR(gamma=1)", "ExponentialLR(gamma=1.0)"]),
        ("optimizer", ["SGD", "SGD(nesterov=False, momentum=0)"]),
        ("optimizer", ["Adam", {"name": "Adam", "betas": [0.9, 0.999]}]),
    ],
)
def test_one_level_written_twice_is_refused(factor, levels):
    """A default of torch's that is written out makes no second arm; what differs from the default does."""
    study = read_study("quickstart")
    with pytest.raises(InputError, match=rf"grid\.{factor}\[1\] (means the same as|repeats) \[0\]"):
        study.with_levels(**{factor: levels})
    other = {"scheduler": "StepLR(step_size=3, gamma=0.2)", "optimizer": "SGD(momentum=0.5)"}[factor]
    assert len(study.with_levels(**{factor: [levels[0], other]}).grid[factor]) == 2


# (place, what was found, what is allowed or meant)
MISTAKES = [
    ("question", "'  '", "write the question that the study answers"),
    ("replicates", "found 0", "a whole number from 1 on"),
    ("epochs", "unknown at the top", "did you mean it under [fixed] or [grid]?"),
    ("titel", "unknown at the top", "question, replicates"),
    ("fixed.workload", "'digit-cnn'", "Did you mean 'digits-cnn'?"),
    ("fixed.lr", "no factor", "it is called base_lr here"),
    ("fixed.epoch", "no factor", "Did you mean 'epochs'?"),
    ("fixed.batch_size", "found 64.0", "a whole number"),
    ("fixed.base_lr", "found nan", "a finite number"),
    ("fixed.optimizer.name", "'SDG'", "Did you mean 'SGD'?"),
    ("fixed.warmup.fraction", "found 2.0", "at most 1"),
    ("fixed.warmup.sstep", "unknown", "Did you mean 'steps'?"),
    ("fixed.clip_grad_norm", "found 0", "'off' or greater than 0"),
    ("fixed.precision", "'fp8'", "'fp32', 'bf16' or 'fp16'"),
    ("fixed.deterministic_algorithms", "found True", "'off', 'warn' or 'strict'"),
    ("fixed.device", "'gpu'", "auto, cpu, cuda or cuda:N"),
    ("fixed.num_threads", "found 0", "at least 1"),
    ("fixed.seed", "'0-3'", "a whole number"),
    ("grid.seed", "under [fixed] too", "keep one of the two"),
    ("grid.seed[1]", "repeats [0]", "raise replicates"),
    ("grid.clip_grad_value", "empty list", "at least one level"),
    ("grid.cudnn_benchmark", "found True", "a list of levels"),
    ("grid.cudnn_deterministic[0]", "'yes'", "true or false"),
    ("grid.momentum", "no factor", "an argument inside optimizer"),
    ("grid.scheduler[0].name", "'StepLr'", "Did you mean 'StepLR'?"),
    ("grid.scheduler[1].step_siez", "unknown", "Did you mean 'step_size'?"),
    ("grid.scheduler[1].step_size", "missing", "no default"),
    ("grid.scheduler[2].step_size", "found 0", 'at least 1 or a share of the budget such as "30%"'),
    ("grid.scheduler[3].step_size", "'130%'", 'a whole number or a share of the budget such as "30%"'),
    ("grid.scheduler[4].T_max", "'x'", 'a whole number or a share of the budget such as "30%"'),
    ("grid.scheduler[5].monitor", "'val_acuracy'", "Did you mean 'val_accuracy'?"),
    ("grid.scheduler[5].interval", "'epochs'", "'epoch', 'step'"),
    ("grid.scheduler[6].mode", "would fall on progress", 'mode = "max"'),
    ("grid.scheduler[7].monitor", "'val_loss'", 'only watch "train_loss"'),
    ("grid.scheduler[8].lr_lambda", "'lambda epoch", 'a name such as "module:attr"'),
    ("grid.scheduler[9].schedulers[1].step_size", "missing", "no default"),
    ("grid.scheduler[10]", "'3'", "gives step_size a second time"),
    ("grid.scheduler[11]", "'10 * 3'", "calls are read, never run"),
    ("grid.scheduler[12]", "{'step_size': 3}", "a table with a name"),
    ("grid.scheduler[13]", "found 7", "a table with a name"),
]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory) -> tuple[str, ...]:
    path = tmp_path_factory.mktemp("bad") / "bad.toml"
    path.write_text(BAD, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_study(path)
    return tuple(problem.removeprefix(f"{path}: ") for problem in caught.value.problems)


@pytest.mark.parametrize(("place", "found", "allowed"), MISTAKES, ids=[place for place, *_ in MISTAKES])
def test_a_mistake_is_reported_with_its_place_what_was_found_and_what_is_allowed(complaints, place, found, allowed):
    """Each mistake of a bad file has a line that begins with its place and says what was found and what is allowed."""
    about = [line for line in complaints if line.startswith(f"{place} ")]
    assert len(about) == 1, complaints
    assert found in about[0]
    assert allowed in about[0]


def test_a_bad_file_is_reported_whole_and_nothing_twice(complaints):
    """All mistakes of a file are reported at once, one line each, and nothing but mistakes."""
    assert {line.split(" ")[0] for line in complaints} == {place for place, *_ in MISTAKES}
    assert len(complaints) == len(MISTAKES)


def problems_of(document: dict) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        parse_study(document, "s", source="s.toml")
    return caught.value.problems


@pytest.mark.parametrize(
    ("levels", "expected"),
    [("0-2", [0, 1, 2]), ("7", [7]), ("0-1, 5, 8-9", [0, 1, 5, 8, 9]), ([3, 1], [3, 1])],
)
def test_levels_are_a_list_or_a_range(levels, expected):
    """A range holds both its ends, ranges can be joined by commas, and a list stays in its order."""
    assert parse_study({**GOOD, "grid": {"seed": levels}}, "s", source="s").grid == {"seed": expected}


@pytest.mark.parametrize("levels", ["-3", "0--3", "0-", "a-b", "1.5-2", "", 3, True, {"a": 1}])
def test_what_is_no_range_is_refused(levels):
    """A text that is no range of whole numbers, or a bare value, is refused with its place under [grid]."""
    (problem,) = problems_of({**GOOD, "grid": {"seed": levels}})
    assert problem.startswith("s.toml: grid.seed ")
    assert repr(levels) in problem


def test_a_range_that_runs_backwards_says_so():
    """ "9-0" is refused for what it is, with the range that was meant."""
    (problem,) = problems_of({**GOOD, "grid": {"seed": "9-0"}})
    assert '"0-9"' in problem


def test_a_range_too_long_to_run_is_refused_before_it_fills_the_memory():
    """A slip such as "0-9999999999" is an error at once, not a list of ten thousand million numbers."""
    (problem,) = problems_of({**GOOD, "grid": {"seed": "0-9999999999"}})
    assert "grid.seed" in problem
    assert "10,000,000,000" in problem


def test_a_grid_too_large_to_run_is_refused():
    """Levels multiply: a study of more than a million trials is refused with its number, before anything is planned."""
    grid = {"seed": "0-999", "seed_order": "0-999", "seed_init": "0-1"}
    (problem,) = problems_of({**GOOD, "replicates": 1, "grid": grid})
    assert "2,000,000 trials" in problem


@pytest.mark.parametrize("factor", ["seed", "seed_init", "seed_order", "seed_augmentation", "seed_dropout"])
def test_a_seed_that_no_file_can_hold_is_refused(factor):
    """Seeds are signed 64-bit numbers in parquet: 2**63 is refused when the study is read, 2**63 - 1 is not."""
    (problem,) = problems_of({**GOOD, "fixed": {"workload": "digits-cnn", factor: 2**63}, "grid": {}})
    assert f"fixed.{factor}" in problem
    study = parse_study({**GOOD, "fixed": {"workload": "digits-cnn", factor: 2**63 - 1}, "grid": {}}, "s", source="s")
    assert getattr(trials(study)[0], factor) == 2**63 - 1


@pytest.mark.parametrize("factor", ["epochs", "batch_size", "num_threads"])
def test_a_count_that_no_file_can_hold_is_refused(factor):
    """Counts are 32-bit numbers in parquet: 2**31 is refused when the study is read."""
    (problem,) = problems_of({**GOOD, "fixed": {"workload": "digits-cnn", factor: 2**31}, "grid": {}})
    assert f"fixed.{factor}" in problem
    assert "at most 2147483647" in problem


def test_a_date_among_the_arguments_of_a_model_is_refused():
    """TOML knows dates, JSON does not: a date in model_args is a mistake with a place, not a traceback."""
    import datetime

    workload = {"base": "digits-cnn", "model_args": {"born": datetime.date(1979, 5, 27)}}
    (problem,) = problems_of({**GOOD, "fixed": {"workload": workload}})
    assert problem.startswith("s.toml: fixed.workload.model_args")


@pytest.mark.parametrize("factor", ["epochs", "batch_size", "base_lr", "optimizer"])
def test_a_workload_without_a_recipe_needs_the_factor(factor):
    """Where neither study nor workload gives a needed factor, the error shows the line to write."""
    workload = {"model": "a:b", "data": "digits"}
    rest = {"epochs": 1, "batch_size": 8, "base_lr": 0.1, "optimizer": "SGD"}
    del rest[factor]
    (problem,) = problems_of({"question": "?", "fixed": {"workload": workload, **rest}})
    assert problem.startswith(f"s.toml: fixed.{factor} is missing")
    assert f"write {factor} = " in problem


def test_a_study_without_a_workload_is_told_that_alone():
    """The workload brings a recipe for the rest: nothing else is asked for before it is there."""
    (problem,) = problems_of({"question": "q"})
    assert problem.startswith("s.toml: fixed.workload is missing: write workload = ")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("mynet:nope", "no 'nope' in"),
        ("mynet:workloat", "Did you mean 'workload'?"),
        ("absent_module:workload", "no module 'absent_module'"),
        ("mynet:workload", None),
        ("mynet:made", None),
        ("mynet:imported", None),
    ],
)
def test_a_workload_that_is_not_in_its_file_is_told_before_its_recipe(tmp_path, monkeypatch, reference, said):
    """A slip in a workload's name is one error about the name; where the name is right, the recipe is asked for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text("from json import dumps as imported\nworkload = {}\ndef made(): 1 / 0\n1 / 0\n")
    problems = problems_of({"question": "q", "fixed": {"workload": reference}})
    if said:
        (problem,) = problems
        assert problem.startswith(f"s.toml: fixed.workload found {reference!r}; ")
        assert said in problem
    else:
        assert [problem.split()[1] for problem in problems] == [
            f"fixed.{key}" for key in ("base_lr", "batch_size", "epochs", "optimizer")
        ]


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ({"model": "a:b"}, "data"),
        ({"model": "a.b", "data": "digits"}, "model"),
        ({"model": "a:b", "data": "digit"}, "data"),
        ({"base": "digits-cn"}, "base"),
        ({"base": "digits-cnn", "flip": 1}, "flip"),
        ({"base": "digits-cnn", "train_limit": -1}, "train_limit"),
        ({"base": "digits-cnn", "crop": 4}, "crop"),
        ({"base": "digits-cnn", "recipe": {"epochs": 0}}, "recipe.epochs"),
        ({"base": "digits-cnn", "recipe": {"lr": 0.1}}, "recipe.lr"),
        ({"base": "digits-cnn", "recipe": {"optimizer": "SDG"}}, "recipe.optimizer"),
    ],
)
def test_a_mistake_inside_a_workload_has_its_place(table, place):
    """Each key of a workload's table is checked where it stands, those of its recipe too."""
    (problem,) = problems_of({**GOOD, "fixed": {"workload": table}})
    assert problem.startswith(f"s.toml: fixed.workload.{place} ")


def test_levels_that_do_not_go_together_are_refused():
    """Levels that are right one by one and wrong together are told when the study is read: LBFGS with a GradScaler."""
    (problem,) = problems_of({**GOOD, "grid": {"precision": ["bf16", "fp16"], "optimizer": ["SGD()", "LBFGS()"]}})
    assert "LBFGS" in problem
    assert "fp16" in problem


def test_reading_leaves_the_document_alone():
    """Validation is pure: the table that was passed in is the same afterwards, nested schedulers and all."""
    document = copy.deepcopy(GOOD)
    document["fixed"]["scheduler"] = {
        "name": "SequentialLR",
        "schedulers": ["ConstantLR(factor=0.5)", {"name": "ExponentialLR", "gamma": 0.5}],
        "milestones": ["50%"],
    }
    del document["grid"]["scheduler"]
    before = copy.deepcopy(document)
    parse_study(document, "s", source="s")
    assert document == before


def test_a_factor_moves_between_fixed_and_grid_without_changing_its_trials():
    """One level under [grid] is the same trial as that level under [fixed]."""
    fixed = parse_study({**GOOD, "fixed": {**GOOD["fixed"], "cudnn_benchmark": True}}, "s", source="s")
    varied = parse_study({**GOOD, "grid": {**GOOD["grid"], "cudnn_benchmark": [True]}}, "s", source="s")
    assert [t.trial_id for t in trials(fixed)] == [t.trial_id for t in trials(varied)]


@pytest.mark.parametrize(
    ("levels", "epochs", "seeds", "replicates"),
    [
        ({"epochs": 5}, {5}, {0, 1, 2}, {0, 1}),
        ({"epochs": [5, 6]}, {5, 6}, {0, 1, 2}, {0, 1}),
        ({"seed": 7}, {3}, {7}, {0, 1}),
        ({"seed": "4-5"}, {3}, {4, 5}, {0, 1}),
        ({"replicates": 3}, {3}, {0, 1, 2}, {0, 1, 2}),
    ],
)
def test_with_levels_fixes_or_varies_a_factor(levels, epochs, seeds, replicates):
    """One level fixes a factor wherever it stood before, a list or a range varies it, and the rest stays."""
    changed = trials(parse_study(GOOD, "s", source="s").with_levels(**levels))
    assert {t.epochs for t in changed} == epochs
    assert {t.seed for t in changed} == seeds
    assert {t.replicate for t in changed} == replicates
    assert {t.scheduler["name"] for t in changed} == {"ConstantLR", "StepLR"}


def test_with_levels_is_validated_like_a_file():
    """What --set gives is checked like a study file, all mistakes at once."""
    with pytest.raises(InputError) as caught:
        parse_study(GOOD, "s", source="s").with_levels(epochs=0, presicion="fp16")
    assert len(caught.value.problems) == 2
    assert all(problem.startswith("s with other levels: fixed.") for problem in caught.value.problems)


@pytest.mark.parametrize("name", sorted(path.stem for path in studies_folder().glob("*.toml")))
def test_every_study_that_comes_with_lrbench_reads(name):
    """A built-in study is read by its name, is valid, and repeats its trials: noise cannot be told otherwise."""
    study = read_study(name)
    assert study.name == name
    assert study.question.strip().endswith("?")
    assert len(trials(study)) == len({t.trial_id for t in trials(study)})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("quickstrat", "Did you mean 'quickstart'?"),
        ("quickstart.tml", "does not exist"),
        (".", "is a folder"),
        ("torn.toml", "is not TOML"),
        ("binary.toml", "is not TOML"),
    ],
)
def test_a_study_that_cannot_be_read_is_one_clear_error(tmp_path, monkeypatch, source, said):
    """A wrong name, a folder, torn TOML and bytes that are no text are each one problem that names the source."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn.toml").write_text('question = "')
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError) as caught:
        read_study(source)
    (problem,) = caught.value.problems
    assert source in problem
    assert said in problem


@pytest.mark.parametrize(
    ("document", "places"),
    [
        ({}, ["question", "fixed.workload"]),
        ({"fixed": {"epochs": -1}}, ["question", "fixed.epochs", "fixed.workload"]),
        ({"fixed": {"workload": "no"}}, ["question", "fixed.workload"]),  # it is there, and wrong
        ({"fixed": {"worklod": "digits-cnn"}}, ["question", "fixed.worklod"]),  # it is there, misspelled
        ({"workload": "digits-cnn"}, ["workload", "question"]),  # it is there, too far up
        ({"fixed": 3}, ["question", "fixed"]),
    ],
)
def test_what_is_missing_is_told_beside_what_is_wrong(document, places):
    """An empty file lacks its question and its workload; what stands there under another name is not missing."""
    with pytest.raises(InputError) as caught:
        parse_study(document, "s", source="s")
    assert [problem.split()[1] for problem in caught.value.problems] == places
