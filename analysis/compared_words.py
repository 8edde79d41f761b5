"""The sentences on one setting of a comparison: each a verdict with its size, its interval and the number of seeds.

"Inconclusive" is never "no effect": the smallest difference that so many seeds could have seen stands beside it. What
this does *not* do: compare (`analysis.comparisons`), or choose what stands first (`analysis.compared`).
"""

from analysis import sizes
from analysis.compared_alike import about_alike, why_all_equal
from analysis.compared_looks import EARLY, all_settled_words, not_borne_out, p_words, settled_briefly, settled_words
from analysis.compared_lost import about_lost, unit_of, who_diverged, withheld
from analysis.comparisons import Comparison, Setting
from analysis.page.wording import after_colon, all_others, count, known, listed
from analysis.rows.arms import called
from analysis.sizes import bare, plain, signed
from analysis.statistics.power import SHOWN
from analysis.statistics.verdicts import BETTER, EQUIVALENT, INCONCLUSIVE, NOT_TESTABLE, WORSE
from lrbench.questions import Compare

_MOST_NAMED = 6
_MOST_TOLD = 3  # arms that have a sentence each; more are told in groups


def names_of(setting: Setting) -> dict[str, str]:
    """Return each arm as sentences call it, those that completed nothing among them."""
    return called(setting.question.factor, [*setting.arms, *(o.arm for o in setting.silent)])


def leading(setting: Setting) -> Comparison | None:
    """Return the comparison that stands for a setting: of the best arm, of one that is told, or the largest."""
    if not setting.against:
        return setting.pairs.get((setting.arms[0], setting.arms[-1]))
    best, found = setting.arms[0], setting.planned or list(setting.against.values())
    told = [c for c in found if c.verdict in (BETTER, WORSE)]
    if best in setting.against and setting.against[best] in told:
        return setting.against[best]
    return max(told or found, key=_size)


def _size(c: Comparison) -> float:
    return abs(c.estimate.value) if known(c.estimate.value) else -1.0


def plural(question: Compare) -> str:
    return "schedulers" if question.factor == "scheduler" else f"levels of {question.factor}"


def sentences(setting: Setting) -> list[str]:
    best, *others = setting.arms
    names, metric, mean = names_of(setting), setting.metric, _mean(setting)
    lost = about_lost(setting, names)
    if not others:
        how = f"list several under [grid]: {setting.question.factor} = [ … ]"
        if setting.question.factor == "scheduler":
            how = 'list several under [grid], with { name = "ConstantLR", factor = 1.0 } as the baseline'
        did = "was run" if not setting.silent else "completed any trial"
        only = f"Only {names[best]} {did}, with a {metric.label} of {mean}"
        return [f"{only}; to compare {plural(setting.question)}, {how}." if not setting.silent else f"{only}.", *lost]
    if setting.num_seeds < 2:
        value = sizes.value(metric, setting.scores[best].mean())
        first = f"{names[best]} came first with {value}, but the spread over seeds is unknown"
        one = "scheduler" if setting.question.factor == "scheduler" else f"level of {setting.question.factor}"
        planned = any(c.is_early for c in setting.pairs.values())  # the study adds seeds by itself
        more = "." if planned else '. Add seed = "0-9" under [grid].'
        return [f"With one seed no {one} can be told from another: {first}{more}", *lost]
    if setting.all_equal:
        value = sizes.value(metric, setting.scores[best].mean())
        text = f"On every {unit_of(setting)} all {plural(setting.question)} ended at exactly the same {metric.label}"
        return [f"{text}, {value} on average: {why_all_equal(setting)}.", *about_alike(setting, names), *lost]
    verdicts = [*_about_verdicts(setting, names), *about_alike(setting, names)]
    return [*verdicts, *lost, *_about_ties(setting, names), *_about_power(setting, names)]


def in_short(setting: Setting) -> list[str]:
    """The first of the sentences, then who else is told from the baseline, and what all seeds do not bear out."""
    first = sentences(setting)[0]
    if len(setting.arms) < 2 or setting.num_seeds < 2 or all(c.verdict == EQUIVALENT for c in setting.planned):
        return [first]
    names, leads = names_of(setting), leading(setting)
    rest = [setting.against[arm] for arm in setting.arms if arm in setting.against and arm != leads.a]
    lasting = [c for c in rest if not c.disputed]
    told = [_in_a_group(setting, word, lasting, names, leads.verdict) for word in (BETTER, WORSE)]
    return [first, *filter(None, told), *(not_borne_out(setting, c, names) for c in rest if c.disputed)]


def _mean(setting: Setting) -> str:
    """The best arm's mean in words, with its seeds and their spread."""
    best = setting.arms[0]
    scores, lost = setting.scores[best].dropna(), setting.outcomes[best].num_diverged
    metric, seeds = setting.metric, f"{count(len(scores), unit_of(setting))}{', completed trials only' if lost else ''}"
    spread = ""
    if len(scores) > 1 and metric.scale == "difference":
        spread = f", SD over seeds {plain(metric, float(scores.std()))}"
    return f"{sizes.value(metric, scores.mean())} ({seeds}{spread})"


def seeds_of(setting: Setting, comparisons) -> str:
    """Return on how many seeds the comparisons rest, in words: "10 seeds", "7 to 10 seeds"."""
    amounts = sorted({len(c.differences) for c in comparisons})
    return f"{f'{amounts[0]:,} to ' if len(amounts) > 1 else ''}{count(amounts[-1], unit_of(setting))}"


def _about_verdicts(setting: Setting, names: dict) -> list[str]:
    """The first sentence speaks for the setting; of few arms each has its own, of many they are told in groups."""
    first = leading(setting)
    if not setting.baseline:
        c = first
        best = f"{names[c.a]} has the best mean {setting.metric.label}, {_mean(setting)}"
        told = f"{best}; {after_colon(_told(setting, c, names))}"
        gone = names.get(setting.lost_baseline, setting.lost_baseline)
        lost = f"The question cannot be answered: {gone}, which the others were to be held against, completed no trial."
        return [lost, told] if gone else [told]
    against = [setting.against[arm] for arm in setting.arms if arm in setting.against]
    rest = [c for c in against if c.a != first.a and not c.is_one]
    if first.verdict in (BETTER, WORSE) or not rest:
        opening = _told(setting, first, names)
    elif all(c.verdict == EQUIVALENT for c in setting.planned):
        who = all_others(len(setting.planned))
        text = f"{who} are equivalent to {names[setting.baseline]} within {margin(setting)}"
        text += all_settled_words(setting, setting.planned, names)
        return [f"{text}; the largest difference is {_difference(setting, first, names)}."]
    else:
        return [*_about_none(setting, names), *_about_rest(setting, first, rest, names)]
    return [opening, *_about_rest(setting, first, rest, names)]


def _about_none(setting: Setting, names: dict) -> list[str]:
    """Say that no arm is told from the baseline: first those on which divergence has the last word, then the others."""
    withdrawn = [c for c in setting.planned if c.withdrawn]
    said = [withheld(setting, c, names) for c in withdrawn]
    left = [c for c in setting.planned if not c.withdrawn]
    if not left:
        return said
    of = "scheduler" if setting.question.factor == "scheduler" else f"level of {setting.question.factor}"
    first = max(left, key=_size)
    what = f"No {'other ' if said else ''}{of}"
    if first.is_early:
        what = f"{EARLY[0].upper()}{EARLY[1:]}, so {after_colon(what)}"
    text = f"{what} can be told from {names[setting.baseline]} with {seeds_of(setting, left)}"
    matters = f"; what would matter is {margin(setting)}" if known(setting.margin) else ""
    return [*said, f"{text}; the largest difference is {_difference(setting, first, names)}{matters}."]


def _about_rest(setting: Setting, first: Comparison, rest: list[Comparison], names: dict) -> list[str]:
    told = first.verdict in (BETTER, WORSE)
    if told and len(rest) <= _MOST_TOLD:
        return [_told(setting, c, names) for c in rest]
    found = []
    for word in (BETTER, WORSE, EQUIVALENT, INCONCLUSIVE, NOT_TESTABLE):
        if word != INCONCLUSIVE or told:
            found.append(_in_a_group(setting, word, rest, names, first.verdict))
    return [text for text in found if text]


def _in_a_group(setting: Setting, word: str, rest: list[Comparison], names: dict, said: str) -> str:
    """Name those of the comparisons that have this verdict; "" where there is none. `said`: the verdict told first."""
    group = [c for c in rest if c.verdict == word]
    if not group:
        return ""
    some = [f"{names[c.a]} ({_bare(setting, c)})" for c in group[:_MOST_NAMED]]
    if len(group) > _MOST_NAMED:
        some.append(count(len(group) - _MOST_NAMED, "other"))
    baseline = names[setting.baseline]
    which = f"{word} than {baseline}" if word in (BETTER, WORSE) else f"{word}, against {baseline}"
    if word == EQUIVALENT:
        which = f"equivalent to {baseline} within {margin(setting)}"
    text = f"{'Also ' if word == said else ''}{which}: {listed(some)}."
    return text[0].upper() + text[1:]


def _bare(setting: Setting, c: Comparison) -> str:
    if not known(c.estimate.value):
        return "no seed in common"
    of = " of the completed trials" if c.any_diverged else ""
    return "; ".join(filter(None, [f"{signed(setting.metric, c.estimate.value)}{of}", settled_briefly(c)]))


def _told(setting: Setting, c: Comparison, names: dict) -> str:
    """One comparison in a sentence: verdict, size, interval, n."""
    metric, a, b = setting.metric, names[c.a], names[c.b]
    label = "" if metric.name == "final_accuracy" else f" in {metric.label}"
    word, settled = c.verdict, settled_words(setting, c)
    if word in (BETTER, WORSE):
        small = f", and shown to be less than {margin(setting)}" if c.judgement.negligible else ""
        return f"{a} is {word} than {b}{label}{settled}: {_size_words(setting, c)}{small}."
    if word == EQUIVALENT:
        return f"{a} and {b} are equivalent{label} within {margin(setting)}{settled}: {_size_words(setting, c)}."
    if c.is_noise and c.estimate.bounded:
        flag = f"{setting.question.factor} does nothing on a CPU"
        return f"{a} against {b} is not testable here{label}, for {flag}: noise of {_size_words(setting, c)}."
    if word == NOT_TESTABLE or not c.estimate.bounded:
        return f"{a} against {b} is not testable here{label}: {_untestable(setting, c)}."
    why = f", for {who_diverged(setting, c, names)}" if c.withdrawn else f", for {EARLY}" if c.is_early else ""
    size = f"{_size_words(setting, c)}{_settled_by(setting, c)}"
    return f"{a} against {b} is inconclusive{label}{why}: {size}."


def _untestable(setting: Setting, c: Comparison) -> str:
    unit, n = unit_of(setting), c.estimate.n
    if n == 0:
        return f"they completed on no {unit} in common"
    value = signed(setting.metric, c.estimate.value)
    if n == 1:
        return f"{value} from one {unit}"
    return f"exactly equal on all {n} {unit}s" if not c.differences.any() else f"{value}, the same on all {n} {unit}s"


def _size_words(setting: Setting, c: Comparison) -> str:
    """Size, interval, seeds, wins and p: "+1.04 points (95% interval … to …; 12 seeds, better on 11 of 12; Holm …)"."""
    metric, e = setting.metric, c.estimate
    if not e.bounded:
        return _untestable(setting, c)
    wins = int(((c.differences > 0) if metric.higher_is_better else (c.differences < 0)).sum())
    interval = f"95% interval {bare(metric, e.low)} to {bare(metric, e.high)}"
    seeds = f"{count(e.n, unit_of(setting))}, better on {wins} of {e.n}"
    size = f"{'of the completed trials ' if c.any_diverged else ''}{signed(metric, e.value)}"
    if c.verdict == EQUIVALENT or c.is_noise or not known(c.shown_p):
        return f"{size} ({interval}; {seeds})"
    return f"{size} ({interval}; {seeds}; Holm-corrected p {p_words(c.shown_p)})"


def _settled_by(setting: Setting, c: Comparison) -> str:
    detectable, needed = c.judgement.detectable, c.judgement.seeds_to_settle
    matters = f"; what would matter is {margin(setting)}" if known(setting.margin) else ""
    if c.any_diverged or not known(detectable):
        return matters
    units = f"{unit_of(setting)}s"
    look = ""
    if c.has_looks:
        look = f" at the level that this look leaves to {'each' if c.family_size > 1 else 'it'}"
        look += f" ({100 * c.told_level:.2g}%)"
    text = f"{matters}; {c.judgement.n} {units} would have found {plain(setting.metric, detectable)} four times in five"
    text += look
    if needed <= c.judgement.n:
        return text
    end = "show them equivalent" if c.judgement.settled_as == SHOWN else "tell them apart"
    return f"{text}, and {needed:,} in all would so often {end}, were the truth what was seen"


def margin(setting: Setting) -> str:
    """The difference that matters, in words: "1 seed SD (0.90 points)", "2%"."""
    wanted, size = setting.question.margin, plain(setting.metric, setting.margin)
    if isinstance(wanted, str) and wanted.endswith("SD"):
        return f"{wanted} ({size})"
    return size


def _difference(setting: Setting, c: Comparison, names: dict) -> str:
    return f"{names[c.a]} {_size_words(setting, c)}"


def _about_ties(setting: Setting, names: dict) -> list[str]:
    best, *others = setting.arms
    if len(others) < 2:
        return []
    others = [arm for arm in others if not setting.pairs[best, arm].is_one]  # a schedule does not vie with itself
    apart = [arm for arm in others if setting.pairs[best, arm].told_apart]
    tied = [arm for arm in others if arm not in apart]
    if not tied:
        if not setting.baseline:
            return [f"{names[best]} can be told from every other, the number of comparisons taken into account."]
        text = f"{names[best]} can be told from every other; comparisons with {names[setting.baseline]}"
        return [f"{text} and those among the rest are corrected apart, at 5% each."]
    some = [names[arm] for arm in tied[:_MOST_NAMED]]
    if len(tied) > _MOST_NAMED:
        some.append(count(len(tied) - _MOST_NAMED, "other"))
    text = f"The first place is not certain: {names[best]} is not told from {listed(some)}"
    others = "the other one" if len(apart) == 1 else f"the other {len(apart):,}"
    return [f"{text}; from {others} it is." if apart else f"{text}."]


def _about_power(setting: Setting, names: dict) -> list[str]:
    """Say what the planned comparisons could have seen: those with the baseline, or all pairs where there is none."""
    # on the seeds that an arm completed its differences scatter less than over all
    planned = [c for c in setting.planned if known(c.detectable) and not c.any_diverged]
    if len(setting.planned) < 2 or not planned:
        return []  # a single comparison says it itself
    found = sorted((c.detectable, index) for index, c in enumerate(planned))
    (low, easiest), (high, hardest) = ((size, _other(setting, planned[i], names)) for size, i in (found[0], found[-1]))
    text, least = plain(setting.metric, high), plain(setting.metric, low)
    if least != text:
        text = f"{least.removesuffix(' points')} ({easiest}) to {text} ({hardest})"
    whose = f"a comparison with {names[setting.baseline]}" if setting.baseline else "a comparison of two"
    seeds, size = seeds_of(setting, planned), planned[0].family_size
    among = f", one of {size} that share the 5%," if size > 1 else ""
    look = ""
    if planned[0].has_looks:  # looks before may have found it too: that chance is left out
        look = f" at the level that this look leaves to it ({100 * planned[0].told_level:.2g}%)"
    found = f"finds a true difference of {text} four times in five{look}"
    return [f"With {seeds} {whose}{among} {found}; smaller ones may be unseen."]


def _other(setting: Setting, c: Comparison, names: dict) -> str:
    return names[c.a] if c.b == setting.baseline else f"{names[c.a]} against {names[c.b]}"
