"""Every trap that an explanation tells of is one: torch does what it says."""

import math
import pickle

import pytest
import torch
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
from lrbench.explanation import _texts, names
from lrbench.tests.helpers.explain_parts import course, rate, said_by, same, sgd


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
