"""What is said of what tuning bought: tuned against default on fresh seeds, and whether the order changed.

What this does *not* do: compute (`analysis.rows.gains` does).
"""

from analysis.page.wording import count, equals_p, known, listed, number
from analysis.rows.gains import METRIC, Gain, Orders
from analysis.sizes import bare, plain, signed
from analysis.statistics.verdicts import BETTER, EQUIVALENT, WORSE
from lrbench.metrics import find_metric

_MOST_NAMED = 6
GAINS = (
    "What was bought: final accuracy of the tuned trials less that of the default ones, paired by seed on seeds that "
    "chose nothing (mean over replicates and machine factors), Student's 95% interval, p of the paired t-test (where a "
    "seed lies far outside of the others both are those of sign flips), Holm-corrected over the schedulers; "
    "equivalent: the 90% interval lies within the margin, one seed SD of the default trials. What would have been "
    "found is what is found four times in five where that many schedulers share the 5%. Kendall's tau compares the "
    "order of the means; its interval is a bootstrap over seeds, from 6 on."
)


def about_gains(bought: list[Gain], names: dict) -> list[str]:
    """Say of each scheduler what its tuning bought: more, less, as much as nothing, or what cannot be told."""
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
                f"{equals_p(gain.corrected_p)}){why}."
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
            where = f"{default} failed at the default, {tuned} tuned"
            if gain.unchanged:  # the same trials
                where = f"{default} failed at the study's own setting"
            said.append(f"Of {called[id(gain)]}'s trials {where}.")
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


def about_order(order: Orders, names: dict) -> list[str]:
    """Say whether tuning changed the order of the schedulers; `names` go by arm."""
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
    beyond = f"{listed(sure)} changed place by more than noise" if sure else "that any changed its place is not certain"
    return [f"The order of the means changed by tuning ({tau}): {lead}{f'; {beyond}' if order.is_sure else ''}."]
