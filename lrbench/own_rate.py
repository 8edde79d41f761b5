"""Schedulers that set the optimizer's rate themselves, whatever base_lr is: what is their rate, and how to give it.

torch's OneCycleLR and CyclicLR write a rate of their own over what they find. To try one at a rate is to give it as
max_lr, the peak (Smith, https://arxiv.org/abs/1506.01186 and 1708.07120): at several base_lr alone it would train the
same bits again and again. What this does *not* do: say which rates are tried (`lrbench.tuning`). No torch here.
"""

from lrbench.calls import parse_call
from lrbench.closed_forms import PRODUCTS, parts

OWN_RATE = ("OneCycleLR", "CyclicLR")
PEAK = "max_lr"  # the argument that is their rate
RATE_ARGUMENTS = (PEAK, "base_lr", "schedulers")  # where one is tuned by name, it says itself which rates are tried
_MOVED = {"OneCycleLR": (PEAK,), "CyclicLR": ("base_lr", PEAK)}


def sets_own_rate(table: dict) -> bool:
    """Return whether a scheduler, or one inside it, writes a rate of its own over base_lr.

    >>> sets_own_rate({"name": "SequenceLR", "schedulers": [{"name": "OneCycleLR", "max_lr": 0.1}], "milestones": []})
    True
    """
    return any(part["name"] in OWN_RATE for part in parts(table))


def follows_base_lr(table: dict) -> bool:
    """Return whether another base_lr gives other rates: not where a scheduler writes its own over all of it.

    Of a sequence some steps do; in a product a single own rate takes the place of base_lr.

    >>> cycle = {"name": "OneCycleLR", "max_lr": 0.1}
    >>> follows_base_lr(cycle), follows_base_lr({"name": "StepLR", "step_size": 3})
    (False, True)
    >>> [follows_base_lr({"name": name, "schedulers": [cycle, {"name": "StepLR", "step_size": 3}]})
    ...  for name in ("ProductLR", "PerGroupLR")]
    [False, True]
    """
    children = table.get("schedulers")
    if children is None:
        return table["name"] not in OWN_RATE
    following = [follows_base_lr(child) for child in children]
    return all(following) if table["name"] in PRODUCTS else any(following)


def at_rate(table: dict, rate: float) -> dict:
    """Return the scheduler with this rate as the peak of all in it that set their own; any other as it is.

    All rates of one move together, as written: CyclicLR's base_lr with its max_lr, those of parameter groups with the
    largest.

    >>> at_rate({"name": "CyclicLR", "base_lr": 0.01, "max_lr": [0.1, 0.05]}, 0.2)
    {'name': 'CyclicLR', 'base_lr': 0.02, 'max_lr': [0.2, 0.1]}
    """
    if "schedulers" in table:
        return {**table, "schedulers": [at_rate(child, rate) for child in table["schedulers"]]}
    if table["name"] not in OWN_RATE or not (peak := _largest(table)):
        return table
    moved = {key: _scaled(table[key], rate, peak) for key in _MOVED[table["name"]] if key in table}
    return {**table, **moved}


def rate_of(call: str, base_lr: float) -> float:
    """Return what a trial's rate is called by: base_lr, or the largest max_lr of a scheduler that does not follow it.

    `call` is the scheduler's as it stands in a row.

    >>> rate_of("OneCycleLR(max_lr=0.4, total_steps=100%)", 0.1), rate_of("StepLR(step_size=3)", 0.1)
    (0.4, 0.1)
    """
    if name_of_rate(call) == PEAK:
        peaks = [_largest(part) for part in parts(parse_call(call, "scheduler")) if part["name"] in OWN_RATE]
        if peak := max(peaks, default=0.0):
            return peak
    return float(base_lr)


def name_of_rate(call: str) -> str:
    """Return what the rate of a scheduler's call is: "base_lr", or "max_lr" where that does nothing.

    >>> name_of_rate("CyclicLR(base_lr=0.01, max_lr=0.1)"), name_of_rate("StepLR(step_size=3)")
    ('max_lr', 'base_lr')
    """
    mentioned = any(name in call for name in OWN_RATE)  # to parse every call is slow where there are many rows
    return PEAK if mentioned and not follows_base_lr(parse_call(call, "scheduler")) else "base_lr"


def differ_in_rate_alone(call: str, other: str) -> bool:
    """Return whether one call is the other at another rate of its own, or the same call.

    >>> differ_in_rate_alone("CyclicLR(base_lr=0.01, max_lr=0.1)", "CyclicLR(base_lr=0.02, max_lr=0.2)")
    True
    >>> differ_in_rate_alone("StepLR(step_size=3)", "StepLR(step_size=4)")
    False
    """
    if call == other or not any(name in call and name in other for name in OWN_RATE):
        return call == other
    one, two = (at_rate(parse_call(text, "scheduler"), 1.0) for text in (call, other))
    return one == two


def _largest(table: dict) -> float:
    peak = table.get(PEAK, 0.0)
    return float(max(peak) if isinstance(peak, list | tuple) else peak)


def _scaled(value, rate: float, peak: float):
    if isinstance(value, list | tuple):
        return [_scaled(each, rate, peak) for each in value]
    return float(f"{value * rate / peak:.12g}")  # 0.01 of 0.1 at 0.2 is 0.02, and no digit more
