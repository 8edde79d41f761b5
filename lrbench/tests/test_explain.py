"""Every scheduler is explained: its arguments, its example, its curve, and what the command prints."""

import subprocess
import sys

import pytest
import torch
from torch.optim.lr_scheduler import (
    ReduceLROnPlateau,
)

from lrbench import schedulers as ours
from lrbench.calls import class_names
from lrbench.errors import InputError
from lrbench.explain import _plans, explain_command
from lrbench.explanation import _texts, explanation, names, signature
from lrbench.preview import by_formula, compute
from lrbench.preview_plans import read_plans
from lrbench.tests.helpers.commands import lrbench
from lrbench.tests.helpers.explain_parts import rate, sgd

TORCHS = [name for name in class_names("scheduler") if hasattr(torch.optim.lr_scheduler, name)]


OWN = [name for name in ours.__all__ if name != "Factory"]


# What users have asked of torch's tracker about schedulers, and find answered here.
ASKED = [162591, 196243, 2545, 119763, 20086, 152081, 49885, 31871, 44511, 68978, 168044, 125531]


def explain(capsys, *arguments) -> str:
    explain_command(*arguments or (None,))
    return capsys.readouterr().out


def test_every_class_is_explained():
    """torch's concrete classes, as many as are installed, then lrbench's own; no other."""
    assert sorted(names()) == sorted(TORCHS + OWN)
    assert len(TORCHS) >= 15


@pytest.mark.parametrize("name", names())
def test_every_argument_is_explained(name):
    """What is told of is what the installed class takes, in its order; nothing is told of what it does not take."""
    told = explanation(name)
    cls = getattr(torch.optim.lr_scheduler, name, None) or getattr(ours, name)
    code = cls.__init__.__code__
    taken = list(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
    assert [argument.name for argument in told.arguments] == taken
    assert all(argument.says for argument in told.arguments)
    assert set(_texts()["scheduler"][name]["arguments"]) <= set(taken)


@pytest.mark.parametrize("name", names())
def test_the_defaults_are_those_of_the_installed_class(name):
    """Each default, read from the source, is the one that Python gives; arguments without one must be given."""
    cls = getattr(torch.optim.lr_scheduler, name, None) or getattr(ours, name)
    init = cls.__init__
    values = dict(zip(reversed(list(signature(name))), reversed(init.__defaults__ or ()), strict=False))
    values = init.__kwdefaults__ or {} if init.__kwdefaults__ else values
    shown = {argument: eval(text) for argument, text in signature(name).items() if text}
    assert shown == values


@pytest.mark.parametrize("name", names())
def test_an_example_can_stand_in_a_study_and_a_brief_fits_a_line(name):
    """What is to be typed is read without a word of complaint, and the list has one line of 80 columns for each."""
    told = explanation(name)
    assert len(told.brief) <= 80 - 2 - max(map(len, names()))
    read_plans([told.example], lr=None, epochs=None, steps_per_epoch=1, interval="epoch", warmup=None)


@pytest.mark.parametrize("name", names())
def test_the_curve_of_an_example_is_torchs(name):
    """What is drawn by formula, without torch, is what torch's own scheduler gives, with the same warnings."""
    told = explanation(name)
    (plan,), _ = _plans(told.example, told.warmup)
    (torchs,), drawn = compute([plan]), by_formula(plan)
    for found, expected in ((drawn.lr, torchs.lr), (drawn.best_case, torchs.best_case)):
        assert found == [pytest.approx(rates, rel=1e-9, abs=1e-12) for rates in expected]
    assert (drawn.warnings, drawn.label) == (torchs.warnings, torchs.label)


def test_an_explanation_loads_no_torch():
    """A name is explained in a fraction of a second; torch alone takes longer to import."""
    code = """
import sys
from lrbench.explain import explain_command
from lrbench.explanation import names
for name in (None, *names()):
    explain_command(name)
print([name for name in ("torch", "numpy", "pandas", "matplotlib") if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


def test_what_is_given_by_name_only_is_said(capsys):
    """WarmupLR's numbers are keyword-only; what Python takes by position too has no such word."""
    shown = {argument.name: argument.by_name_only for argument in explanation("WarmupLR").arguments}
    assert shown == {"scheduler": False, "kind": False, "num_steps": True, "factor": True, "beta2": True}
    assert not any(argument.by_name_only for argument in explanation("StepLR").arguments)
    assert "the multiplier of the constant kind (by its name only)" in explain(capsys, "WarmupLR")


def test_a_warm_up_is_told_for_a_study_a_preview_and_a_loop(capsys):
    """Each place has its line, and the one for a loop of one's own builds what it says."""
    out = explain(capsys, "WarmupLR").splitlines()
    at = out.index("  # in a study file")
    assert out[at + 2] == '  warmup = {kind = "linear", fraction = 0.1}'
    assert out[at + 3] == "  # for a preview"
    assert out[at + 5] == "  # in a training loop of your own"
    made: dict = {"optimizer": sgd(0.5)}
    exec(explanation("WarmupLR").import_line, {"ReduceLROnPlateau": ReduceLROnPlateau}, made)
    assert rate(made["scheduler"]) == 0.5 / 1000


def test_the_issues_that_users_opened_are_answered():
    """Each request about schedulers that torch's tracker holds is named beside a trap."""
    named = {issue for trap in _texts()["trap"].values() for issue in trap["issues"]}
    assert {f"pytorch#{number}" for number in ASKED} <= named


def test_alone_it_lists_every_class_in_a_line_each(capsys, monkeypatch):
    """Names and briefs, in 80 columns, and where to go on."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = explain(capsys).splitlines()
    assert [line.split()[0] for line in lines if line and line[0].isupper()] == names()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "lrbench explain StepLR tells more; lrbench preview --gallery DIR draws all"


def test_a_name_tells_words_formula_curve_arguments_traps_and_what_to_type(capsys, monkeypatch):
    """The parts of an explanation stand in this order."""
    monkeypatch.setenv("COLUMNS", "100")
    out = explain(capsys, "ReduceLROnPlateau")
    parts = [
        "ReduceLROnPlateau (torch.optim.lr_scheduler)",
        "Multiplies the rate by factor when a metric has stopped improving.",
        "max(lr · factor, min_lr)",
        "█████",
        "metric always improves",
        "patience = 10 ",
        "patience = 2 cuts at call 4. (pytorch#2545,",
        'scheduler = "ReduceLROnPlateau(',
        'lrbench preview "ReduceLROnPlateau(',
        "from torch.optim.lr_scheduler import ReduceLROnPlateau",
    ]
    assert [out.find(part) for part in parts] == sorted(out.find(part) for part in parts)
    assert out.find(parts[0]) == 0
    assert max(map(len, out.splitlines())) <= 100


def test_a_call_shows_its_own_values_and_curve(capsys):
    """Arguments that are given stand in place of the defaults, and what is to be typed is the call."""
    out = explain(capsys, "torch.optim.lr_scheduler.StepLR(optimizer, 50, gamma=0.5)")
    assert "step_size = 50 " in out
    assert "gamma = 0.5 " in out
    assert "█" * 30 + "▅" * 30 in out
    assert 'scheduler = "StepLR(step_size=50, gamma=0.5)"' in out


def test_what_a_study_does_otherwise_is_said(capsys):
    """T_max may be left out in a study, and momentum stays where it is there."""
    assert "the whole budget, as a rule (in a study 100% unless given)" in " ".join(
        explain(capsys, "CosineAnnealingLR").split()
    )
    assert "(in a study False unless given)" in " ".join(explain(capsys, "OneCycleLR").split())


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("Steplr", "Did you mean 'StepLR'?"),
        ("CosineAnnealing", "Did you mean 'CosineAnnealingLR'?"),
        ("WarmupStableDecay", "Did you mean 'WarmupStableDecayLR'?"),
        ("StepLR(step_sise=3)", "step_sise"),
        ("StepLR(", "is not a call"),
    ],
)
def test_what_is_unknown_is_told_with_what_was_meant(word, said):
    """A name that nobody knows, a wrong argument and half a call are InputErrors with the part at fault."""
    with pytest.raises(InputError) as error:
        explain_command(word)
    assert said in str(error.value)


def test_the_command_exits_with_2_for_an_unknown_scheduler(tmp_path):
    """On the command line it is one line on standard error, and exit code 2."""
    ended = lrbench("explain", "REX", folder=tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "Did you mean 'REXLR'?" in ended.err
