"""torch's classes by name: what a typed call is read as, and what is refused."""

import inspect
import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from lrbench.calls import SCHEDULER_DEFAULTS, arguments_model, class_names, format_call, parse_call, torch_version_file
from lrbench.errors import InputError
from lrbench.factors import Problems, check_level
from lrbench.tests.helpers.calls import EVERY_ARGUMENT

HOMES = {"scheduler": torch.optim.lr_scheduler, "optimizer": torch.optim}
CLASSES = [(kind, name) for kind in HOMES for name in class_names(kind)]
# what torch fills in itself, or what lrbench gives: the optimizer and its rate
NOT_ASKED = {"self", "optimizer", "params", "lr"}


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("StepLR(step_size=30, gamma=0.1)", {"name": "StepLR", "step_size": 30, "gamma": 0.1}),
        ("StepLR(30, 0.1)", {"name": "StepLR", "step_size": 30, "gamma": 0.1}),
        ("  StepLR(\n  30,\n)  ", {"name": "StepLR", "step_size": 30}),
        ("torch.optim.lr_scheduler.StepLR(optimizer, 30)", {"name": "StepLR", "step_size": 30}),
        ("StepLR(self.optimizer, step_size=30)", {"name": "StepLR", "step_size": 30}),
        ("StepLR(step_size=30, optimizer=opt)", {"name": "StepLR", "step_size": 30}),
        ("CosineAnnealingLR", {"name": "CosineAnnealingLR"}),
        ("CosineAnnealingLR()", {"name": "CosineAnnealingLR"}),
        ("StepLR(30%)", {"name": "StepLR", "step_size": "30%"}),
        ("StepLR('30%')", {"name": "StepLR", "step_size": "30%"}),
        ("MultiStepLR([12.5%, 8], gamma=-1e-3)", {"name": "MultiStepLR", "milestones": ["12.5%", 8], "gamma": -0.001}),
        ("MultiStepLR((2, 8))", {"name": "MultiStepLR", "milestones": [2, 8]}),
        ("LambdaLR(my.schedules:decay)", {"name": "LambdaLR", "lr_lambda": "my.schedules:decay"}),
        ('LambdaLR(["a:b", c:d.e])', {"name": "LambdaLR", "lr_lambda": ["a:b", "c:d.e"]}),
        ("ReduceLROnPlateau(optimizer, 'min')", {"name": "ReduceLROnPlateau", "mode": "min"}),
        ("CyclicLR(0.1, 1, step_size_down=None)", {"name": "CyclicLR", "base_lr": 0.1, "max_lr": 1}),
        (
            "SequentialLR(optimizer, [ConstantLR(optimizer, factor=0.1), ExponentialLR(gamma=0.9)], milestones=[20])",
            {
                "name": "SequentialLR",
                "schedulers": [{"name": "ConstantLR", "factor": 0.1}, {"name": "ExponentialLR", "gamma": 0.9}],
                "milestones": [20],
            },
        ),
        (
            "SequentialLR([my:Mine(k=2),StepLR(2)],[3])",
            {
                "name": "SequentialLR",
                "schedulers": [{"name": "my:Mine", "k": 2}, {"name": "StepLR", "step_size": 2}],
                "milestones": [3],
            },
        ),
        (
            "ProductLR([ProductLR([a.b:C.make( optimizer , f=c:d, g='30%')]), a:b])",
            {
                "name": "ProductLR",
                "schedulers": [
                    {"name": "ProductLR", "schedulers": [{"name": "a.b:C.make", "f": "c:d", "g": "30%"}]},
                    "a:b",
                ],
            },
        ),
        ("my:decay", {"name": "my:decay"}),
        ("my.own:Decay.slow", {"name": "my.own:Decay.slow"}),
    ],
)
def test_a_call_is_read_in_torchs_own_words(text, table):
    """Positions, module paths, the optimizer, None, shares and nested calls mean what they mean in torch."""
    assert parse_call(text, "scheduler") == table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__import__('pathlib').Path('run').touch()", "is not a call of a named class"),
        ("StepLR(step_size=__import__('pathlib').Path('run').touch())", "is not a call of a named class"),
        ("StepLR(optimizer=open('run', 'w'))", "is no class of torch.optim.lr_scheduler"),
        ("open('run', 'w')", "is no class of torch.optim.lr_scheduler"),
        ("(lambda: open('run', 'w'))()", "is not a call of a named class"),
        ("LambdaLR(lr_lambda=lambda epoch: 0.9)", 'put it into a file, and name it "module:attr"'),
        ("StepLR(step_size=[open('run', 'w') for _ in range(1)])", "calls are read, never run"),
        ("StepLR(step_size=f'{open(1)}')", "calls are read, never run"),
        ("StepLR(15 + 15)", "calls are read, never run"),
        ("StepLR(config.step_size)", "calls are read, never run"),
        ("StepLR(*arguments)", "calls are read, never run"),
        ("StepLR(**arguments)", "write the arguments out"),
        ("StepLR(30, 0.1, -1, 5)", "'5' is one argument too many for StepLR"),
        ("StepLR(30, step_size=20)", "'20' gives step_size a second time"),
        ("SteppLR(30)", "Did you mean 'StepLR'?"),
        ("StepLR(30", "'(' was never closed at column 7"),
        ("StepLR(30); 1", "is not a call: invalid syntax"),
        ("ProductLR([my:Mine(2)])", "'2' has no name: arguments of your own code are given by name"),
        ("ProductLR([my:Mine(k=1 + 1)])", "'1 + 1' is not a number, a text or a list"),
        ("my:Mine(k=1))", "unmatched ')' at column 13"),
        ("my:Mine.f(k=1).g()", "is not a call of a named class"),
        ("30", "'30' is not a call"),
        ("", "'' is not a call"),
        ("StepLR(\0)", "null bytes"),
        ("-" * 100_000 + "1", "it nests too deeply"),
    ],
)
def test_anything_but_a_call_is_refused(text, said, tmp_path, monkeypatch):
    """A call is read and never run: code of any shape is an InputError that says so, and nothing has happened."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        parse_call(text, "scheduler")
    assert said in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", EVERY_ARGUMENT.values(), ids=EVERY_ARGUMENT)
def test_what_is_written_is_read_back(text):
    """format_call writes what parse_call reads: a label of a table or figure can be typed again."""
    table = parse_call(text, "scheduler")
    assert format_call(table) == text
    checked = check_level("scheduler", text)
    assert check_level("scheduler", format_call(checked)) == checked


def test_a_text_that_is_no_word_is_quoted():
    """A text with blanks, or one that Python reads as something else, keeps its quotes."""
    table = {"name": "StepLR", "a": "two words", "b": "None", "c": "30%", "d": "m:f", "e": "min"}
    assert format_call(table) == "StepLR(a='two words', b='None', c=30%, d=m:f, e=min)"
    assert parse_call(format_call(table), "scheduler") == table


def test_code_of_ones_own_is_read_back_at_any_depth():
    """The label of a composition that holds the user's own class, with its arguments, can be typed again."""
    own = {"name": "my.own:Mine", "k": 2, "f": "m:f"}
    table = {"name": "SequenceLR", "schedulers": [{"name": "ProductLR", "schedulers": [own]}, own], "milestones": [3]}
    assert parse_call(format_call(table), "scheduler") == table


@pytest.mark.parametrize("kind", HOMES)
def test_every_class_of_torch_is_known(kind):
    """class_names lists what torch itself exports: all concrete schedulers, or all optimizers, and nothing else."""
    home = HOMES[kind]
    base = torch.optim.lr_scheduler.LRScheduler if kind == "scheduler" else torch.optim.Optimizer
    exported = {name for name in home.__all__ if inspect.isclass(getattr(home, name))}
    concrete = {name for name in exported if issubclass(getattr(home, name), base) and getattr(home, name) is not base}
    assert set(class_names(kind)) == concrete


@pytest.mark.parametrize(("kind", "name"), CLASSES)
def test_every_argument_of_torch_is_known(kind, name):
    """The model of a class has torch's arguments in torch's order; those without a default there are required."""
    real = inspect.signature(getattr(HOMES[kind], name).__init__).parameters
    expected = {
        key: parameter.default is inspect.Parameter.empty and key not in SCHEDULER_DEFAULTS.get(name, {})
        for key, parameter in real.items()
        if key not in NOT_ASKED
    }
    fields = arguments_model(kind, name).model_fields
    assert list(fields) == list(expected)
    assert {key: field.is_required() for key, field in fields.items()} == expected


def test_the_calls_of_these_tests_give_every_argument():
    """EVERY_ARGUMENT leaves out nothing but what two arguments would say twice."""
    twice = {"OneCycleLR": {"epochs", "steps_per_epoch"}}
    for name in class_names("scheduler"):
        given = parse_call(EVERY_ARGUMENT[name], "scheduler").keys() - {"name"}
        assert given == arguments_model("scheduler", name).model_fields.keys() - twice.get(name, set())


@pytest.mark.parametrize("share", ["0%", "5%", "12.5%", "99.99%", "100%", "100.0%"])
def test_a_share_of_the_budget_may_stand_for_a_count(share):
    """Shares from 0% to 100% are taken for arguments that count scheduler steps."""
    arguments_model("scheduler", "StepLR").model_validate({"step_size": share})


@pytest.mark.parametrize("value", ["101%", "100.5%", "-5%", "30 %", "%", "30", "1e1%", 0, -1, 2.5, True, None])
def test_what_is_no_count_is_refused(value):
    """step_size is a whole number from 1 on, or a share up to 100%; nothing is coerced."""
    with pytest.raises(ValidationError):
        arguments_model("scheduler", "StepLR").model_validate({"step_size": value})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("StepLR", "step_size is missing and has no default; StepLR's arguments: step_size, gamma, last_epoch"),
        (
            "StepLR(3, gama=0.1)",
            "gama is unknown; StepLR's arguments: step_size, gamma, last_epoch. Did you mean 'gamma'?",
        ),
        ("StepLR(3, gamma=1e999)", "gamma found inf; allowed: a finite number"),
        ("StepLR(3, gamma=high)", "gamma found 'high'; allowed: a number"),
        ("StepLR(3, last_epoch=-2)", "last_epoch found -2; allowed: at least -1"),
        ("LambdaLR(decay)", "lr_lambda found 'decay'; allowed: a name such as \"module:attr\" or a list"),
        ("CyclicLR(0.1, 1.0, mode=square)", "mode found 'square'; allowed: 'triangular', 'triangular2' or 'exp_range'"),
        ("MultiStepLR([3, 2.5])", "milestones[1] found 2.5; allowed: a whole number or a share of the budget such as"),
        ("SequentialLR([StepLR(0)], [])", "schedulers[0].step_size found 0; allowed: at least 1"),
    ],
)
def test_a_wrong_argument_is_told_with_its_place(text, said):
    """A typed call goes through the same check as a study's table: place, what was found, what is allowed."""
    with pytest.raises(Problems) as error:
        check_level("scheduler", text)
    places = ["".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place) for place, _ in error.value.found]
    assert said in f"{places[0]} {error.value.found[0][1]}".removeprefix(".")


def test_the_versions_are_torchs_own():
    """The version and CUDA read from torch's source are those that torch tells when it is imported."""
    assert torch_version_file() == {"version": str(torch.__version__), "cuda": torch.version.cuda}


def test_signatures_are_read_without_importing_torch():
    """Reading every class and argument loads no torch: a study file is checked in a fraction of a second."""
    code = """
import sys
from lrbench.calls import arguments_model, class_names
for kind in ("scheduler", "optimizer"):
    for name in class_names(kind):
        arguments_model(kind, name)
print("torch" in sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
