"""What is said of the rates: which are best, whether one lies at an edge or won a tie, how wide it is good.

What this does *not* do: compute (`analysis.rows.rates` does), or say what tuning bought (`analysis.tuning_gains_words`)
and what to do next (`analysis.tuning_advice`).
"""

from collections.abc import Sequence

from analysis.page.wording import after_colon, count, known, listed, number
from analysis.rows.conditions import short_names
from analysis.rows.gains import Gain, Orders
from analysis.rows.rates import Curve
from analysis.rows.selection import Selection
from analysis.tuning_gains_words import about_gains, about_order
from lrbench.own_rate import PEAK, differ_in_rate_alone
from lrbench.tuning import Tune

_MOST_NAMED = 6
_MOST_SETTINGS = 2  # that the headline tells of
_MOST_SPANS = 3  # of rates that one sentence tells apart
BEYOND = {"lowest": "smaller", "highest": "larger"}


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
    if differ_in_rate_alone(best.call, curve.arm):
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
    """Return the first sentence on each of the first settings, with the next where the first is of what was lost."""
    parts = _settings(found, bought, both)
    more = len(parts) - _MOST_SETTINGS
    rest = [f"{count(more, 'more setting')} of the other factors: see the part on tuning below."] if more > 0 else []
    said = [_of_setting(*part, tune)[: _num_leading(part[1])] for part in parts[:_MOST_SETTINGS]]
    return [*(text for part in said for text in part), *rest]


def _num_leading(found: list[Curve]) -> int:
    return 2 if len({curve.nothing_completed for curve in found}) == 2 else 1


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
    known = [curve for curve in found if not curve.nothing_completed]
    lost = [names[curve.key] for curve in found if curve.nothing_completed]
    nothing = f"Nothing can be said of the best rate of {listed(lost)}: no trial that was to tell it completed."
    said = [nothing] if lost else []
    said += [_best(known, names, tune, bool(lost)), *_ties(known, names)] if known else []
    said += about_gains(bought, names)
    said += [text for order in both for text in about_order(order, {arm: name for (arm, _), name in names.items()})]
    said += [*_good(found, names), *_failed(found, names)]
    return [f"{label}: {after_colon(text)}" for text in said] if label else said


def _best(found: list[Curve], names: dict, tune: Tune, some_lost: bool) -> str:
    """Say which rate is best for each scheduler, and whether that is certain as far as its edge goes."""
    each = listed([f"{names[curve.key]} {rate_of(curve)}" for curve in found])
    how = f"by {found[0].metric.label} among {_among(found, names)}"
    if found[0].chosen:
        spent = sorted({curve.num_trials for curve in found})
        trials = f"{spent[0]:,}" if len(spent) == 1 else f"{spent[0]:,} to {spent[-1]:,}"
        who = "each" if len(found) > 1 else "in all"
        how = f"chosen {how} on {count(len(tune.seeds), 'selection seed')}, {trials} trials {who}"
    edges: dict[str, list[str]] = {}
    for curve in found:
        if curve.boundary or curve.ties_at_edge:
            edges.setdefault(_edge(curve), []).append(names[curve.key])
    if edges:
        told = [f"{listed(some[:_MOST_NAMED])}{_more(some)} ({edge})" for edge, some in edges.items()]
        return f"Not certain for {listed(told)}. Best {how}: {each}."
    if len(found) == 1:
        return f"The best rate of {each}, inside those tried: {how}."
    each_one = "each other scheduler" if some_lost else "each scheduler"
    return f"Best rate of {each_one}, none at an edge of those tried: {each} ({how})."


def _among(found: list[Curve], names: dict) -> str:
    """Say among how many rates each was chosen; by scheduler where they were not all tried at as many."""
    spans: dict[tuple[int, float, float], list[str]] = {}
    for curve in found:
        rates = [point.rate for point in curve.points]
        spans.setdefault((len(rates), rates[0], rates[-1]), []).append(names[curve.key])
    if len(spans) > _MOST_SPANS:
        num = [num for num, _, _ in spans]
        return f"{min(num)} to {max(num)} rates each" if min(num) < max(num) else f"{num[0]} rates each"
    texts = [f"{count(n, 'rate')} from {low:g} to {high:g}" if n > 1 else f"{low:g} alone" for n, low, high in spans]
    if len(spans) == 1:
        return texts[0]
    return ", ".join(
        f"{text} for {listed(some[:_MOST_NAMED])}{_more(some)}"
        for text, some in zip(texts, spans.values(), strict=True)
    )


def _more(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return f" and {count(more, 'other')}" if more > 0 else ""


def _edge(curve: Curve) -> str:
    if curve.ties_at_edge:
        ends = {curve.points[0].rate: "lowest", curve.points[-1].rate: "highest"}
        which = listed([f"the {ends[rate]}" for rate, _ in curve.tied if rate in ends])
        which = f"{which} tried{' among them' if len(curve.tied) > 1 else ''}"
        return f"it did as well at {tied_with(curve)}, {which}: {curve.decided_by} decided"
    won = f"won a tie with {tied_with(curve)}, by {curve.decided_by}" if curve.tied else "won"
    return f"the {curve.boundary} rate tried {won}: a {BEYOND[curve.boundary]} one may be better"


def tied_with(curve: Curve) -> str:
    """Return what did as well as the best rate: "0.1", "0.1 with other arguments"; "none" where nothing did."""
    best = curve.best
    return listed(
        [
            f"{rate:g}" + ("" if differ_in_rate_alone(call, best.call) else " with other arguments")
            for rate, call in curve.tied
        ]
    )


def _ties(found: list[Curve], names: dict) -> list[str]:
    """Say where a best rate inside those tried won by no more than a rule; at an edge, or over one, it stands beside
    that."""
    tied = [curve for curve in found if curve.tied and not curve.boundary and not curve.ties_at_edge][:_MOST_NAMED]
    each = [f"{names[c.key]} did as well at {tied_with(c)} ({c.decided_by} decided)" for c in tied]
    return [f"A tie: {listed(each)}."] if each else []


def _good(found: list[Curve], names: dict) -> list[str]:
    """Say over which rates each scheduler is good, the widest span first: there the rate matters least."""
    told = [curve for curve in found if known(curve.width) and len(curve.points) > 1]
    if not told:
        return []
    if all(len(curve.good) == len(curve.points) for curve in told):
        return ["No rate tried is more than one seed SD below the best: here the rate hardly matters."]
    spans: dict[str, list[str]] = {}
    for curve in sorted(told, key=lambda curve: -curve.width):
        spans.setdefault(_span(curve), []).append(names[curve.key])
    each = [f"{span} for {listed(some[:_MOST_NAMED])}{_more(some)}" for span, some in spans.items()]
    rest = f"; for {count(len(each) - _MOST_NAMED, 'other span')} see the table" if len(each) > _MOST_NAMED else ""
    return [f"Rates that lose no more than one seed SD: {'; '.join(each[:_MOST_NAMED])}{rest}."]


def _span(curve: Curve) -> str:
    low, high = curve.good[0].rate, curve.good[-1].rate
    if low == high:
        return f"{low:g} alone"
    least = "at least " if curve.is_open else ""
    return f"{low:g} to {high:g} ({least}a factor of {number(curve.width)})"


def _failed(found: list[Curve], names: dict) -> list[str]:
    lost = [curve for curve in found if curve.num_failed]
    each = []
    for curve in lost[:_MOST_NAMED]:
        where = [f"{p.num_failed} of {p.num_trials} at {p.rate:g}" for p in curve.points if p.num_failed]
        each.append(f"{names[curve.key]} {listed(where[:4])}")
    return [f"Trials that did not complete: {'; '.join(each)}."] if each else []


# ------------------------------------------------------------------------------------------------- before it is over


def unfinished(found: list[Curve], at: Selection) -> list[str]:
    """Return what there is to say of curves of which trials are still missing: none of them has chosen anything."""
    said, open_ = [], str(at)
    said.append(f"{open_[0].upper()}{open_[1:]}. The same lrbench run command again goes on where it stopped.")
    for label in dict.fromkeys(curve.label for curve in found):
        part = [curve for curve in found if curve.label == label and len(curve.best.values)]
        names = names_of(part)
        if each := [f"{names[curve.key]} {rate_of(curve)}" for curve in part]:
            text = f"so far, of the rates that have run, the best means are those of {listed(each)}"
            said.append(f"{f'{label}: {text}' if label else f'{text[0].upper()}{text[1:]}'}; the rest may change that.")
    return said
