"""`lrbench explain`: every class and argument is explained, and every trap is shown to be one by running torch."""

import math
import pickle
import subprocess
import sys
import warnings

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from lrbench import schedulers as ours
from lrbench.calls import class_names
from lrbench.errors import InputError
from lrbench.explain import _plans, _texts, explain_command, explanation, names, signature
from lrbench.preview import by_formula, compute
from lrbench.preview_plans import read_plans
from lrbench.tests.helpers.commands import lrbench

TORCHS = [name for name in class_names("scheduler") if hasattr(torch.optim.lr_scheduler, name)]
OWN = [name for name in ours.__all__ if name != "Factory"]
# What users have asked of torch's tracker about schedulers, and find answered here.
ASKED = [162591, 196243, 2545, 119763, 20086, 152081, 49885, 31871, 44511, 68978, 168044, 125531]


def explain(capsys, *arguments) -> str:
    explain_command(*arguments or (None,))
    return capsys.readouterr().out


# --------------------------------------------------------------------------------------------------------- completeness


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
from lrbench.explain import explain_command, names
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


# ---------------------------------------------------------------------------------------------------------- the command


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


# ------------------------------------------------------------------------------------------------------------ the traps


def sgd(lr: float = 1.0, **named) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, **named)


def rate(scheduler) -> float:
    return scheduler.optimizer.param_groups[0]["lr"]


def course(scheduler, num_steps: int, metrics=()) -> list[float]:
    """The rates applied at so many optimizer steps, each followed by one of the scheduler."""
    applied = []
    for step in range(num_steps):
        applied.append(rate(scheduler))
        scheduler.optimizer.step()
        scheduler.step(*metrics[step : step + 1])
    return applied


def same(found: list[float], expected: list[float]) -> bool:
    return found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def said_by(action) -> str:
    """What torch warns of while `action` runs, in one text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return " ".join(str(warning.message) for warning in caught)


def halves(step: int) -> float:
    return 0.5


class Halves:
    def __init__(self):
        self.seen = 3

    def __call__(self, step: int) -> float:
        return 0.5


def calls():
    epochs, steps = StepLR(sgd(), 2, 0.1), StepLR(sgd(), 2, 0.1)
    return same(course(epochs, 3), [1, 1, 0.1]) and same(course(steps, 6)[::2], [1, 0.1, 0.01])


def order():
    optimizer = sgd()
    scheduler = StepLR(optimizer, 1, 0.1)
    warned = said_by(scheduler.step)
    return "before `optimizer.step()`" in warned and same(course(scheduler, 2), [0.1, 0.01])  # and 1.0 never


def skipped_step():
    optimizer = sgd()
    scheduler, scaler = StepLR(optimizer, 1, 0.1), torch.amp.GradScaler("cpu")
    (parameter,) = optimizer.param_groups[0]["params"]
    parameter.grad = torch.tensor([math.inf])
    scaler.scale(torch.ones(1))
    scaler.step(optimizer)
    scaler.update()
    warned = said_by(scheduler.step)
    return parameter.item() == 0 and rate(scheduler) == 0.1 and "before `optimizer.step()`" in warned


def get_lr():
    scheduler = StepLR(sgd(), 2, 0.1)
    course(scheduler, 2)
    found = []
    warned = said_by(lambda: found.extend(scheduler.get_lr()))
    sequential = SequentialLR(optimizer := sgd(), [StepLR(optimizer, 2)], [])
    with pytest.raises(NotImplementedError):
        said_by(sequential.get_lr)
    return same(scheduler.get_last_lr(), [0.1]) and same(found, [0.01]) and "get_last_lr()" in warned


def last_epoch():
    with pytest.raises(KeyError, match="initial_lr"):
        StepLR(sgd(), 2, last_epoch=4)
    optimizer = sgd()
    optimizer.param_groups[0]["initial_lr"] = 1.0
    return rate(StepLR(optimizer, 2, 0.1, last_epoch=4)) == 1.0  # after 5 calls it would be 0.01


def load_last():
    optimizer = sgd()
    scheduler = ExponentialLR(optimizer, 0.5)
    course(scheduler, 2)
    state, own = optimizer.state_dict(), scheduler.state_dict()
    multiplied, put_back, right = sgd(), sgd(), sgd()
    for late in (multiplied, put_back):
        late.load_state_dict(state)
    LinearLR(multiplied, 0.1)
    LambdaLR(put_back, lambda step: 1.0)
    resumed = ExponentialLR(right, 0.5)
    resumed.load_state_dict(own)
    right.load_state_dict(state)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in (multiplied, put_back, right)]
    return same(rates, [0.025, 1.0, 0.25])


RECURSIVE = {
    "ConstantLR": lambda o: ConstantLR(o, 0.5, 3),
    "LinearLR": lambda o: LinearLR(o, 1.0, 0.1, 9),
    "PolynomialLR": lambda o: PolynomialLR(o, 9),
    "ExponentialLR": lambda o: ExponentialLR(o, 0.5),
    "StepLR": lambda o: StepLR(o, 2),
    "MultiStepLR": lambda o: MultiStepLR(o, [3]),
    "CosineAnnealingLR": lambda o: CosineAnnealingLR(o, 9),
    "MultiplicativeLR": lambda o: MultiplicativeLR(o, halves),
}
SETTING = {
    "LambdaLR": lambda o: LambdaLR(o, halves),
    "CosineAnnealingWarmRestarts": lambda o: CosineAnnealingWarmRestarts(o, 9),
    "CyclicLR": lambda o: CyclicLR(o, 0.1, 1.0, 9, cycle_momentum=False),
    "OneCycleLR": lambda o: OneCycleLR(o, 1.0, 9, cycle_momentum=False),
    "WarmupStableDecayLR": lambda o: ours.WarmupStableDecayLR(o, 9, 9),
    "InverseSqrtLR": ours.InverseSqrtLR,
    "CosineDecayLR": lambda o: ours.CosineDecayLR(o, 9),
    "LinearDecayLR": lambda o: ours.LinearDecayLR(o, 9),
    "REXLR": lambda o: ours.REXLR(o, 9),
    "TanhDecayLR": lambda o: ours.TanhDecayLR(o, 9),
    "SequenceLR": lambda o: ours.SequenceLR(o, [lambda o: StepLR(o, 1)], []),
    "ProductLR": lambda o: ours.ProductLR(o, [lambda o: StepLR(o, 1)]),
    "PerGroupLR": lambda o: ours.PerGroupLR(o, [lambda o: StepLR(o, 1)]),
}


def after_a_change_by_hand(build) -> float:
    """How the rate of step 4 is changed when the rate at step 2 is halved by hand."""
    left, changed = build(sgd()), build(sgd())
    course(left, 2)
    course(changed, 2)
    changed.optimizer.param_groups[0]["lr"] *= 0.5
    return course(changed, 3)[-1] / course(left, 3)[-1]


def recursive():
    drifted = StepLR(sgd(0.05), 1, 0.1)
    exact = all(found == 0.05 * 0.1**step for step, found in enumerate(course(drifted, 8)))
    return not exact and all(after_a_change_by_hand(b) == pytest.approx(0.5) for b in RECURSIVE.values())


def overwrites():
    return all(after_a_change_by_hand(build) == 1 for build in SETTING.values())


def whole_rate_again():
    return same(course(ConstantLR(sgd(), 0.1), 7), [0.1] * 5 + [1] * 2)


def zero_after():
    return same(course(PolynomialLR(sgd()), 7), [1, 0.8, 0.6, 0.4, 0.2, 0, 0])


def milestone_twice():
    return same(course(MultiStepLR(sgd(), [2, 2]), 4), [1, 1, 0.01, 0.01])


def climbs_back():
    return same(course(CosineAnnealingLR(sgd(), 2), 5), [1, 0.5, 0, 0.5, 1])


def cosine_formula():
    scheduler = CosineAnnealingLR(sgd(), 4)
    course(scheduler, 1)
    scheduler.optimizer.param_groups[0]["lr"] = 1.0  # in place of 0.8535…: the next is that much higher too
    return same(course(scheduler, 2), [1.0, 0.5 / 0.8535533905932737])


def ends_between_restarts():
    scheduler = CosineAnnealingWarmRestarts(sgd(), 2, 2)
    rates = course(scheduler, 30)
    return [step for step in range(1, 30) if rates[step] > rates[step - 1]] == [2, 6, 14]  # 2 · 1, 2 · 3, 2 · 7


def never_at_minimum():
    return min(course(CosineAnnealingWarmRestarts(sgd(), 4, eta_min=0.1), 40)) == pytest.approx(0.231801948)


def rate_of_its_own():
    cyclic = CyclicLR(sgd(123.0), 0.1, 1.0, cycle_momentum=False)
    one = OneCycleLR(sgd(123.0), 1.0, 9, cycle_momentum=False, div_factor=10)
    return same([rate(cyclic), rate(one)], [0.1, 0.1])


def momentum():
    one, cyclic = sgd(), sgd()
    OneCycleLR(one, 1.0, 9)
    CyclicLR(cyclic, 0.1, 1.0)
    return [o.param_groups[0]["momentum"] for o in (sgd(), one, cyclic)] == [0, 0.95, 0.9]


def raises_past_the_end():
    scheduler = OneCycleLR(sgd(), 1.0, 4, cycle_momentum=False)
    course(scheduler, 3)
    scheduler.optimizer.step()
    scheduler.step()  # the fourth call is the last that is let pass
    with pytest.raises(ValueError, match="The specified number of total steps is 4"):
        scheduler.step()
    return True


def lambda_not_saved():
    saved = [
        LambdaLR(sgd(), f).state_dict()["lr_lambdas"][0] or MultiplicativeLR(sgd(), f).state_dict()["lr_lambdas"][0]
        for f in (halves, Halves())
    ]
    cyclic = CyclicLR(sgd(), 0.1, 1.0, cycle_momentum=False, scale_fn=halves).state_dict()
    return saved == [None, {"seen": 3}] and halves not in cyclic.values() and bool(pickle.dumps(cyclic))


def lambda_multiplies():
    asked = []
    scheduler = MultiplicativeLR(sgd(), lambda step: asked.append(step) or 0.9)
    return same(course(scheduler, 4), [1, 0.9, 0.81, 0.729]) and asked == [1, 2, 3, 4]


def patience():
    return same(course(ReduceLROnPlateau(sgd(), patience=2), 5, [1.0] * 5), [1, 1, 1, 1, 0.1])


def plateau_alone():
    for compose in (lambda o, s: SequentialLR(o, s, [2]), lambda o, s: ChainedScheduler(s)):
        optimizer = sgd()
        with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
            compose(optimizer, [LinearLR(optimizer), ReduceLROnPlateau(optimizer)])
    ours.SequenceLR(sgd(), [LinearLR, ReduceLROnPlateau], [2])
    ours.WarmupLR(ReduceLROnPlateau(sgd()), "linear", num_steps=3)
    return True


def relative_threshold():
    near_zero = course(ReduceLROnPlateau(sgd(), patience=0, threshold=0.1), 4, [1e-9, 0.8e-9, 0.6e-9, 0.4e-9])
    worse = course(ReduceLROnPlateau(sgd(), patience=0, threshold=0.1), 4, [-1.0, -0.95, -0.9, -0.85])
    return same(near_zero, [1] * 4) and same(worse, [1] * 4)


def not_a_number():
    return same(course(ReduceLROnPlateau(sgd(), patience=0), 4, [1.0, math.nan, 0.5, 0.4]), [1, 1, 0.1, 0.1])


def smallest_cut():
    return same(course(ReduceLROnPlateau(sgd(1e-8), patience=0), 4, [1.0] * 4), [1e-8] * 4)


def verbose():
    with pytest.raises(TypeError, match="verbose"):
        ReduceLROnPlateau(sgd(), verbose=True)
    return True


def sequential(optimizer, **named):
    return SequentialLR(optimizer, [ConstantLR(optimizer, 0.1, 9), ExponentialLR(optimizer, 0.5)], [2], **named)


def sequence(optimizer, **named):
    parts = [lambda o: ConstantLR(o, 0.1, 9), lambda o: ExponentialLR(o, 0.5)]
    return ours.SequenceLR(optimizer, parts, [2], **named)


def sequential_last_epoch():
    whole = course(sequential(sgd()), 6)
    optimizer = sgd()
    optimizer.param_groups[0]["initial_lr"] = 1.0
    right = sequence(optimizer, last_epoch=3)  # four calls have been made: where the whole course has 0.25
    torchs = sequential(sgd(), last_epoch=3)
    return same([*whole, rate(torchs), rate(right)], [0.1, 0.1, 1, 0.5, 0.25, 0.125, 0.1, 0.25])


def sequential_nested():
    flat = course(sequential(sgd()), 5)
    found = []

    def nest():  # torch makes the call too many before any optimizer step, and warns of its own order
        for inner in (sequential, lambda o: ChainedScheduler([ExponentialLR(o, 0.5)])):
            optimizer = sgd()
            found.append(course(SequentialLR(optimizer, [inner(optimizer)], []), 5))

    warned = said_by(nest)
    right = course(ours.SequenceLR(sgd(), [sequence], []), 5)
    ahead = same(found[0], [*flat[1:], 0.125]) and same(found[1], [0.5, 0.25, 0.125, 0.0625, 0.03125])
    return same(right, flat) and ahead and "before `optimizer.step()`" in warned


def chained_overwritten():
    for setting in (SETTING[name] for name in ("LambdaLR", "CyclicLR", "OneCycleLR", "CosineAnnealingWarmRestarts")):
        optimizer = sgd()
        both = ChainedScheduler([ExponentialLR(optimizer, 0.5), setting(optimizer)])
        alone = course(setting(sgd()), 4)
        if course(both, 4)[1:] != alone[1:]:
            return False
    product = ours.ProductLR(sgd(), [lambda o: ExponentialLR(o, 0.5), SETTING["LambdaLR"]])
    return same(course(product, 3), [0.5, 0.25, 0.125])


def chained_cosine():
    optimizer = sgd()
    chained = ChainedScheduler([ExponentialLR(optimizer, 0.5), CosineAnnealingLR(optimizer, 2)])
    return same(course(chained, 5), [1, 0.25, 0, 0.5, 0.5])


def holds_past_the_end():
    built = [ours.WarmupStableDecayLR(sgd(), 4, 2, min_factor=0.1)]
    built += [cls(sgd(), 4, min_factor=0.1) for cls in (ours.CosineDecayLR, ours.LinearDecayLR, ours.REXLR)]
    held = all(same(course(scheduler, 9)[4:], [0.1] * 5) for scheduler in built)
    return held and len(set(course(ours.TanhDecayLR(sgd(), 4), 9)[4:])) == 1


def factories():
    optimizer = sgd()
    with pytest.raises(TypeError, match="write lambda o"):
        ours.ProductLR(optimizer, [StepLR(optimizer, 2)])
    return True


def two_clocks():
    warmup = ours.WarmupLR(StepLR(sgd(), 1, 0.5), "linear", num_steps=4)
    applied = []
    for _ in range(3):
        for _ in range(2):
            applied.append(rate(warmup))
            warmup.optimizer.step()
            warmup.step()
        warmup.step_scheduler()
    return same(applied, [0.25, 0.5, 0.375, 0.5, 0.25, 0.25])


@pytest.mark.parametrize("trap", _texts()["trap"])
def test_every_trap_is_one(trap):
    """What is claimed of torch, or of lrbench's own classes, is what the installed version does."""
    assert globals()[trap]() is True


def test_a_class_has_the_trap_of_its_kind():
    """A class multiplies the rate that it finds or sets it: each is told of the one that was seen of it."""
    for kind, found in (("recursive", RECURSIVE), ("overwrites", SETTING)):
        assert sorted(name for name in names() if kind in _texts()["scheduler"][name]["traps"]) == sorted(found)


def test_every_trap_is_told_of_somewhere():
    """No trap is written down for nobody, and none is named that is not there."""
    texts = _texts()
    told = {*texts["everywhere"], *texts["torchs_own"], *(t for s in texts["scheduler"].values() for t in s["traps"])}
    assert told == set(texts["trap"])
