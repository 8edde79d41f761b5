"""What is said of tuning: which rates were chosen, whether they lie at an edge, what they bought, what to do next.

What this does *not* do: compute (`analysis.rows.rates` and `analysis.rows.gains` do).
"""

from collections.abc import Sequence

from analysis.page.wording import after_colon, count, known, listed, number
from analysis.rows.conditions import short_names
from analysis.rows.gains import METRIC, Gain, Orders
from analysis.rows.rates import PEAK, Curve
from analysis.sizes import bare, plain, signed
from analysis.statistics.verdicts import BETTER, EQUIVALENT, WORSE
from lrbench.metrics import find_metric
from lrbench.tuning import Tune

_MOST_NAMED = 6
_MOST_SETTINGS = 2  # that the headline tells of
BEYOND = {"lowest": "smaller", "highest": "larger"}
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
GAINS = (
    "What was bought: final accuracy of the tuned trials less that of the default ones, paired by seed on seeds that "
    "chose nothing (mean over replicates and machine factors), Student's 95% interval, p of the paired t-test, "
    "Holm-corrected over the schedulers; equivalent: the 90% interval lies within the margin, one seed SD of the "
    "default trials. Kendall's tau compares the order of the means; its interval is a bootstrap "
    "over seeds, from 6 on."
)


def names_of(found: Sequence[Curve]) -> dict[tuple[str, str], str]:
    """Return each arm as sentences call it, by its key: a class where that is enough."""
    short = short_names(curve.arm for curve in found)
    intervals: dict[str, set[str]] = {}
    for curve in found:
        intervals.setdefault(curve.arm, set()).add(curve.interval)
    return {
        curve.key: short[curve.arm] + (f" per {curve.interval}" if len(intervals[curve.arm]) > 1 else "")
        for curve in found
    }


def rate_of(curve: Curve) -> str:
    """Return the best rate in words, with the arguments that were chosen besides: "0.2 (gamma=0.3)"."""
    best = curve.best
    text = f"{PEAK} {best.rate:g}" if curve.of == PEAK else f"{best.rate:g}"
    if best.call == curve.arm:
        return text
    _, chosen = short_names([curve.arm, best.call]).values()
    inside = chosen.partition("(")[2].rpartition(")")[0].removesuffix("…").rstrip(", ")
    changed = [part for part in inside.split(", ") if not part.startswith(f"{PEAK}=")]
    return f"{text} ({', '.join(changed)})" if changed and changed != [""] else text


# ---------------------------------------------------------------------------------------------------------- sentences


def sentences(found: list[Curve], bought: list[Gain], both: list[Orders], tune: Tune) -> list[str]:
    """Return what there is to say, setting by setting; the first of each setting is its answer."""
    said = [_of_setting(*part, tune) for part in _settings(found, bought, both)]
    return [sentence for part in said for sentence in part]


def headline(found: list[Curve], bought: list[Gain], both: list[Orders], tune: Tune) -> list[str]:
    """Return the first sentence on each of the first settings."""
    parts = _settings(found, bought, both)
    more = len(parts) - _MOST_SETTINGS
    rest = [f"{count(more, 'more setting')} of the other factors: see the part on tuning below."] if more > 0 else []
    return [*(_of_setting(*part, tune)[0] for part in parts[:_MOST_SETTINGS]), *rest]


def _settings(found: list[Curve], bought: list[Gain], both: list[Orders]) -> list[tuple]:
    labels = list(dict.fromkeys(curve.label for curve in found))
    return [
        (
            label,
            [curve for curve in found if curve.label == label],
            [gain for gain in bought if str(gain.choice.factors) == _factors(found, label)],
            [order for order in both if order.label == label],
        )
        for label in labels
    ]


def _factors(found: list[Curve], label: str) -> str:
    return str(next(curve.factors for curve in found if curve.label == label))


def _of_setting(label: str, found: list[Curve], bought: list[Gain], both: list[Orders], tune: Tune) -> list[str]:
    names = names_of(found)
    known = [curve for curve in found if any(len(point.values) for point in curve.points)]
    lost = [names[curve.key] for curve in found if not any(len(point.values) for point in curve.points)]
    nothing = f"Nothing can be said of the best rate of {listed(lost)}: no trial that was to tell it completed."
    said = [nothing] if lost else []
    said += [_best(known, names, tune), *_ties(known, names)] if known else []
    said += _bought(bought, names)
    said += [text for order in both for text in _order(order, {arm: name for (arm, _), name in names.items()})]
    said += [*_good(found, names), *_failed(found, names)]
    return [f"{label}: {after_colon(text)}" for text in said] if label else said


def _best(found: list[Curve], names: dict, tune: Tune) -> str:
    """Say which rate is best for each scheduler, and whether that is certain as far as its edge goes."""
    metric, rates = found[0].metric.label, sorted({point.rate for curve in found for point in curve.points})
    each = listed([f"{names[curve.key]} {rate_of(curve)}" for curve in found])
    how = f"by {metric} among {len(rates)} rates from {rates[0]:g} to {rates[-1]:g}"
    if found[0].chosen:
        spent = sorted({curve.num_trials for curve in found})
        trials = f"{spent[0]:,}" if len(spent) == 1 else f"{spent[0]:,} to {spent[-1]:,}"
        who = "each" if len(found) > 1 else "in all"
        how = f"chosen {how} on {count(len(tune.seeds), 'selection seed')}, {trials} trials {who}"
    edges = [curve for curve in found if curve.boundary]
    if edges:
        told = [f"{names[curve.key]} ({_edge(curve)})" for curve in edges[:_MOST_NAMED]]
        told += [count(len(edges) - _MOST_NAMED, "other")] if len(edges) > _MOST_NAMED else []
        return f"Not certain for {listed(told)}. Best {how}: {each}."
    if len(found) == 1:
        return f"As far as was tried, the best rate of {each}, {how}."
    return f"As far as was tried, these are the best rates of the {len(found)} schedulers: {each} ({how})."


def _edge(curve: Curve) -> str:
    won = f"won a tie with {tied_with(curve)}, by {curve.decided_by}" if curve.tied else "won"
    return f"the {curve.boundary} rate tried {won}: a {BEYOND[curve.boundary]} one may be better"


def tied_with(curve: Curve) -> str:
    """Return what did as well as the best rate: "0.1", "0.1 with other arguments"; "none" where nothing did."""
    best = curve.best
    return listed([f"{rate:g}" + (" with other arguments" if call != best.call else "") for rate, call in curve.tied])


def _ties(found: list[Curve], names: dict) -> list[str]:
    """Say where a best rate inside those tried won by no more than a rule; at an edge it stands beside the edge."""
    tied = [curve for curve in found if curve.tied and not curve.boundary][:_MOST_NAMED]
    each = [f"{names[c.key]} did as well at {tied_with(c)} ({c.decided_by} decided)" for c in tied]
    return [f"A tie: {listed(each)}."] if each else []


def _bought(bought: list[Gain], names: dict) -> list[str]:
    metric, said = find_metric(METRIC), []
    called = {id(gain): names[gain.choice.scheduler, gain.choice.interval] for gain in bought}
    unchanged = [called[id(gain)] for gain in bought if gain.unchanged and not gain.choice.nothing_completed]
    changed = [gain for gain in bought if not gain.unchanged]
    for word, verb in ((BETTER, "bought"), (WORSE, "cost")):
        for gain in (gain for gain in changed if gain.judgement.verdict == word):
            e = gain.judgement.estimate
            change = signed(metric, e.value) if word == BETTER else plain(metric, abs(e.value))
            size = f"{change} of {metric.label} on fresh seeds"
            why = ": what was chosen does not hold on fresh seeds" if word == WORSE else ""
            interval = (
                f"95% interval {bare(metric, e.low)} to {bare(metric, e.high)}"
                if e.bounded
                else "the same on every seed"
            )
            said.append(
                f"Tuning {verb} {called[id(gain)]} {size} ({interval}; {count(e.n, 'seed')}; Holm-corrected p "
                f"{_p(gain.corrected_p)}){why}."
            )
    same = [gain for gain in changed if gain.judgement.verdict == EQUIVALENT]
    if same:
        some = [f"{called[id(gain)]} ({_same(gain)})" for gain in same[:_MOST_NAMED]]
        more = [count(len(same) - _MOST_NAMED, "other")] if len(same) > _MOST_NAMED else []
        said.append(f"Tuned and default are equivalent within the margin, one seed SD, for {listed([*some, *more])}.")
    rest = [gain for gain in changed if gain.judgement.verdict not in (BETTER, WORSE, EQUIVALENT)]
    if rest:
        some = [f"{called[id(gain)]} ({_untold(gain)})" for gain in rest[:_MOST_NAMED]]
        more = [count(len(rest) - _MOST_NAMED, "other")] if len(rest) > _MOST_NAMED else []
        said.append(f"What tuning bought cannot be told from none for {listed([*some, *more])}.")
    if unchanged:
        said.append(f"For {listed(unchanged[:_MOST_NAMED])} the study's own setting was the best of those tried.")
    for gain in bought:
        if any(gain.failed):
            default, tuned = gain.failed
            said.append(f"Of {called[id(gain)]}'s trials {default} failed at the default, {tuned} tuned.")
    return said


def _same(gain: Gain) -> str:
    metric, e, margin = find_metric(METRIC), gain.interval_90, gain.judgement.margin
    ends = f"90% interval {bare(metric, e.low)} to {bare(metric, e.high)}" if e.bounded else "the same on every seed"
    return f"{signed(metric, e.value)}, {ends}; margin {plain(metric, margin)}; {count(e.n, 'seed')}"


def _untold(gain: Gain) -> str:
    metric, judgement = find_metric(METRIC), gain.judgement
    if judgement.n < 2 or not judgement.estimate.bounded:
        return f"{signed(metric, judgement.estimate.value)} from {count(judgement.n, 'seed')}" if judgement.n else "–"
    e = judgement.estimate
    seen = f"{count(e.n, 'seed')} would have found {plain(metric, judgement.detectable)}"
    return f"{signed(metric, e.value)}, 95% interval {bare(metric, e.low)} to {bare(metric, e.high)}; {seen}"


def _order(order: Orders, names: dict) -> list[str]:
    first, last = order.order(order.default), order.order(order.tuned)
    tau = f"Kendall's tau {number(order.tau.value, 2)}" if known(order.tau.value) else "a tie of all"
    seeds = count(order.tau.n, "seed")
    if order.is_sure:
        tau = f"{tau}, 95% interval {number(order.tau.low, 2)} to {number(order.tau.high, 2)}, {seeds}"
    else:
        tau = f"{tau}; {seeds} are too few for an interval"
    if order.same:
        return [f"Tuning left the order of the schedulers as it was ({tau})."]
    lead = f"{names[first[0]]} leads both ways"
    if first[0] != last[0]:
        lead = f"at the default {names[first[0]]} leads, tuned {names[last[0]]} does"
    sure = [names[arm] for arm in order.moved]
    beyond = f"beyond the noise for {listed(sure)}" if sure else "for no scheduler beyond the noise"
    return [f"The order of the means changed by tuning ({tau}): {lead}{f'; {beyond}' if order.is_sure else ''}."]


def _good(found: list[Curve], names: dict) -> list[str]:
    """Say for whom the rate matters least and most."""
    told = [curve for curve in found if known(curve.width) and len(curve.points) > 1]
    if not told:
        return []
    told.sort(key=lambda curve: -curve.width)
    widest, narrowest = told[0], told[-1]
    if all(len(curve.good) == len(curve.points) for curve in told):
        return ["No rate tried is more than one seed SD below the best: here the rate hardly matters."]
    if len(told) == 1 or widest.width == narrowest.width:
        each = listed([f"{names[curve.key]} {_span(curve)}" for curve in told[:_MOST_NAMED]])
        return [f"Rates within one seed SD of the best: {each}."]
    within = f"within one seed SD of its best ({plain(widest.metric, widest.margin)})"
    least = f"{names[narrowest.key]} over the narrowest, {_span(narrowest)}"
    return [f"{names[widest.key]} is good over the widest span, {_span(widest)}, {within}; {least}."]


def _span(curve: Curve) -> str:
    low, high = curve.good[0].rate, curve.good[-1].rate
    if low == high:
        return f"at {low:g} alone"
    least = "at least " if curve.is_open else ""
    return f"from {low:g} to {high:g} ({least}a factor of {number(curve.width)})"


def _failed(found: list[Curve], names: dict) -> list[str]:
    lost = [curve for curve in found if curve.num_failed]
    each = []
    for curve in lost[:_MOST_NAMED]:
        where = [f"{p.num_failed} of {p.num_trials} at {p.rate:g}" for p in curve.points if p.num_failed]
        each.append(f"{names[curve.key]} {listed(where[:4])}")
    return [f"Trials that did not complete: {'; '.join(each)}."] if each else []


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


# --------------------------------------------------------------------------------------- what to do, and what to mind


def advice(found: list[Curve], tune: Tune) -> list[str]:
    """Return what to do next, in the imperative."""
    names, said = names_of(found), []
    for curve in found:
        name, where = names[curve.key], f" at {curve.label}" if curve.label else ""
        untried = [rate for rate in tune.base_lr if _beyond(curve, rate)]
        if curve.boundary and untried and curve.of == "base_lr":
            said.append(f"Raise tune.budget: {name}{where} was not tried at {listed([f'{r:g}' for r in untried])}.")
        elif curve.boundary:
            way, edge = ("beyond", 2) if curve.boundary == "highest" else ("below", 0.5)
            rate = curve.best.rate
            said.append(f"Extend {curve.of} {way} {rate:g} for {name}{where} ({edge * rate:g}, say).")
        if curve.best.num_failed:
            said.append(f"Try lower rates for {name}{where}: at its best one {_lost(curve)} failed.")
        if curve.of == PEAK and len(curve.points) < 2:
            said.append(
                f"Tune {PEAK} of {name}: it writes its own rate over base_lr (list rates under "
                f"[tune.arguments.{name.partition('(')[0]}])."
            )
    if not found[0].chosen and len(names) > 1:
        said += _shared(found, names)
    return list(dict.fromkeys(said))


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
        also = sorted({name for table in tune.arguments.values() for name in table})
        what = listed(["base_lr", *also])
        said.append(f"Only {what} {'were' if also else 'was'} tuned: all else stayed as the study has it.")
    fixed = [names[curve.key] for curve in found if curve.of == PEAK and len(curve.points) < 2]
    if fixed:
        said.append(f"base_lr changes nothing for {listed(dict.fromkeys(fixed))}: its rate was not tuned.")
    return said


def notes(found: list[Curve], bought: list[Gain]) -> list[str]:
    """Return how the numbers were made."""
    return [*([CHOICE] if found[0].chosen else []), CURVES, *([GAINS] if bought else [])]
