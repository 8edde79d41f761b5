"""What to do after tuning, what it does not show, and how its numbers were made.

What this does *not* do: compute (`analysis.rows.rates` and `analysis.rows.gains` do).
"""

from collections.abc import Sequence

from analysis.page.wording import count, listed
from analysis.rows.gains import Gain
from analysis.rows.rates import Curve
from analysis.statistics.verdicts import WORSE
from analysis.tuning_gains_words import GAINS
from analysis.tuning_words import names_of
from lrbench.own_rate import PEAK
from lrbench.tuning import Tune

CHOICE = (
    "Chosen for each scheduler: fewest failed trials, then the best mean over the selection seeds, then the lowest "
    "validation loss. The mean of what was chosen is the best of several and so a little too high: what it is worth "
    "is seen on the seeds of the comparison."
)
CURVES = (
    "Means over seeds of the validation images; where arguments were tuned too, each rate stands with those that did "
    "best there. A rate is good if its mean is no more than one seed SD (the scheduler's own, the median over its "
    "rates) below that of the best, if no more of its trials failed, and if all between them are good; the factor is "
    "of the rates tried, ≥ where they end before it does."
)


def advice(found: list[Curve], tune: Tune, bought: Sequence[Gain] = ()) -> list[str]:
    """Return what to do next, in the imperative."""
    names, said = names_of(found), []
    for curve in found:
        name, where = names[curve.key], f" at {curve.label}" if curve.label else ""
        if curve.nothing_completed:
            lost = f"all {curve.num_trials:,} of its trials failed" if curve.num_trials > 1 else "its one trial failed"
            said.append(f"Try lower rates for {name}{where}: {lost}{', and nothing was chosen' * curve.chosen}.")
            continue
        untried = [rate for rate in tune.base_lr if _beyond(curve, rate)]
        if curve.boundary and untried and curve.of == "base_lr":
            said.append(f"Raise tune.budget: {name}{where} was not tried at {listed([f'{r:g}' for r in untried])}.")
        elif curve.boundary:
            way, edge = ("beyond", 2) if curve.boundary == "highest" else ("below", 0.5)
            rate = curve.best.rate
            first = ", before you choose a scheduler or run more seeds" if curve.chosen else ""
            said.append(f"Extend {curve.of} {way} {rate:g} for {name}{where} ({edge * rate:g}, say){first}.")
        if curve.best.num_failed:
            said.append(f"Try lower rates for {name}{where}: at its best one {_lost(curve)} failed.")
        if curve.of == PEAK and len(curve.points) < 2:
            said.append(
                f"Tune {PEAK} of {name}: it writes its own rate over base_lr (list rates as tune.base_lr, or under "
                f"[tune.arguments.{name.partition('(')[0]}])."
            )
    said += _again(bought, names, tune)
    if not found[0].chosen and len(names) > 1:
        said += _shared(found, names)
    return list(dict.fromkeys(said))


def _again(bought: Sequence[Gain], names: dict, tune: Tune) -> list[str]:
    """Say what to do where what was chosen is worse than the default on fresh seeds."""
    worse = [gain for gain in bought if not gain.unchanged and gain.judgement.verdict == WORSE]
    if not worse:
        return []
    some = listed(dict.fromkeys(names[gain.choice.scheduler, gain.choice.interval] for gain in worse))
    seeds = count(len(tune.seeds), "selection seed")
    return [f"Stay with the default for {some}, or choose again on more than {seeds}: what was chosen is worse."]


def _beyond(curve: Curve, rate: float) -> bool:
    return rate > curve.points[-1].rate if curve.boundary == "highest" else rate < curve.points[0].rate


def _lost(curve: Curve) -> str:
    return f"{curve.best.num_failed} of {count(curve.best.num_trials, 'trial')}"


def _shared(found: list[Curve], names: dict) -> list[str]:
    """Say, of a grid in which base_lr varies, whether one rate does for all; for each setting that has several arms."""
    said = []
    for label in dict.fromkeys(curve.label for curve in found):
        part = [curve for curve in found if curve.label == label]
        if len(part) < 2 or any(curve.width != curve.width for curve in part):
            continue
        shared = set.intersection(*({point.rate for point in curve.good} for curve in part))
        where = f" at {label}" if label else ""
        if shared:
            rates = listed([f"{rate:g}" for rate in sorted(shared)], "or")
            said.append(f"Compare the schedulers at base_lr {rates}{where}: good for all of them.")
        else:
            said.append(
                f"Give each scheduler its own rate before you compare them{where}: no rate tried is good for "
                "all; add [tune] to the study."
            )
    return said


def caveats(found: list[Curve], tune: Tune) -> list[str]:
    """Return what these rates do not show."""
    names, said = names_of(found), []
    if found[0].chosen and len(tune.seeds) == 1:
        said.append("Each rate was chosen on a single seed: another seed may choose another.")
    spent = {curve.num_trials for curve in found}
    if found[0].chosen and len(spent) > 1:
        said.append(f"Not as much was spent on each scheduler: {min(spent):,} to {max(spent):,} selection trials.")
    if found[0].chosen:
        own = [PEAK] if any(curve.of == PEAK and len(curve.points) > 1 for curve in found) else []
        tuned = dict.fromkeys([*own, *sorted({name for table in tune.arguments.values() for name in table})])
        what = listed(["base_lr", *tuned])
        said.append(f"Only {what} {'were' if tuned else 'was'} tuned: all else stayed as the study has it.")
    fixed = [names[curve.key] for curve in found if curve.of == PEAK and len(curve.points) < 2]
    if fixed:
        said.append(f"base_lr changes nothing for {listed(dict.fromkeys(fixed))}: its rate was not tuned.")
    return said


def notes(found: list[Curve], bought: list[Gain]) -> list[str]:
    """Return how the numbers were made."""
    return [*([CHOICE] if found[0].chosen else []), CURVES, *([GAINS] if bought else [])]
