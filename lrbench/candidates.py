"""What a scheduler is tried at under [tune]: every rate with every argument, none twice, within the budget. No torch.

What this does *not* do: read the table (`lrbench.tune_table`), or choose among the candidates (`lrbench.tuning`).
"""

import json
import random

from lrbench.factors import check_level
from lrbench.grid import as_in_row
from lrbench.own_rate import RATE_ARGUMENTS, at_rate, follows_base_lr, sets_own_rate
from lrbench.tuning import Arm, Candidate, Tune


def candidates(tune: Tune, own_rates: list[float], table: dict) -> list[tuple[float, dict]]:
    """Return what one scheduler of the grid is tried at, [(base_lr, table)]: the study's own rates and arguments first.

    Every rate goes with every argument. A scheduler that sets its own rate has it as max_lr (`lrbench.own_rate`), and
    base_lr where that does something; one whose own rates are listed under [tune.arguments] has those. Where that is
    more than the budget pays for, as many as it does are drawn, the study's own among them; the draw is seeded by what
    is drawn from, so that schedulers with the same choices draw the same. Raises Problems where arguments that are
    right one by one do not go together.
    """
    options = tune.arguments.get(table["name"], {})
    own = [(rate, table) for rate in (own_rates if follows_base_lr(table) else own_rates[:1])]
    rest = [setting for setting in _crossed(tune, own_rates, table, options) if setting not in own]
    room = tune.budget // len(tune.seeds) - len(own) if tune.budget else len(rest)
    if room < len(rest):
        drawn_from = json.dumps([_rates(tune, own_rates), options, tune.seeds, tune.budget], sort_keys=True)
        rest = [rest[i] for i in sorted(random.Random(drawn_from).sample(range(len(rest)), max(0, room)))]
    return [*own, *rest]


def _rates(tune: Tune, own_rates: list[float]) -> list[float]:
    return list(dict.fromkeys([*own_rates, *sorted(tune.base_lr)]))


def _crossed(tune: Tune, own_rates: list[float], table: dict, options: dict[str, list]) -> list[tuple[float, dict]]:
    """Return every rate with every argument, [(base_lr, table)], none of them twice: they would train the same bits."""
    tables = [table]
    for name, values in sorted(options.items()):
        given = [value for value in values if name not in table or value != table[name]]
        tables += [check_level("scheduler", {**before, name: value}) for before in tables for value in given]
    follows = follows_base_lr(table)
    if not sets_own_rate(table) or not {*RATE_ARGUMENTS}.isdisjoint(options):
        rates = _rates(tune, own_rates) if follows else own_rates[:1]
        return [(rate, each) for each in tables for rate in rates]
    found = []
    for each in tables:
        found += [(rate, each) for rate in (own_rates if follows else own_rates[:1])]
        for rate in sorted(tune.base_lr):
            moved = check_level("scheduler", at_rate(each, rate))
            found += [(base_lr, moved) for base_lr in ([rate] if follows else own_rates[:1])]
    return [setting for index, setting in enumerate(found) if setting not in found[:index]]


def arm_of(tune: Tune, own_rates: list[float], table: dict) -> Arm:
    """Return a scheduler of the grid with what it is tried at, in words as rows have them."""
    tried = candidates(tune, own_rates, table)
    return Arm(
        scheduler=as_in_row("scheduler", table),
        interval=table["interval"],
        candidates=tuple(Candidate(base_lr=rate, scheduler=as_in_row("scheduler", each)) for rate, each in tried),
    )
