"""The sentences on one setting of a comparison: each a verdict with its size, its interval and the number of seeds.

"Inconclusive" is never "no effect": the smallest difference that so many seeds could have seen stands beside it. What
this does *not* do: compare (`analysis.comparisons`), or choose what stands first (`analysis.compared`).
"""

from analysis import sizes
from analysis.comparisons import Comparison, Setting
from analysis.page.wording import after_colon, count, known, listed, percent
from analysis.rows.arms import called
from analysis.rows.outcomes import MISSING, Outcomes
from analysis.sizes import bare, plain, signed
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
    best = setting.arms[0]
    told = [c for c in setting.against.values() if c.verdict in (BETTER, WORSE)]
    if best in setting.against and (setting.against[best] in told or not told):
        first = setting.against[best]
        return first if told else max(setting.against.values(), key=_size)
    return max(told or setting.against.values(), key=_size)


def _size(c: Comparison) -> float:
    return abs(c.estimate.value) if known(c.estimate.value) else -1.0


def plural(question: Compare) -> str:
    return "schedulers" if question.factor == "scheduler" else f"levels of {question.factor}"


def sentences(setting: Setting) -> list[str]:
    best, *others = setting.arms
    names, metric, mean = names_of(setting), setting.metric, _mean(setting)
    lost = _about_lost(setting, names)
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
        return [f'With one seed no {one} can be told from another: {first}. Add seed = "0-9" under [grid].', *lost]
    if setting.all_equal:
        value = sizes.value(metric, setting.scores[best].mean())
        text = f"On every {_unit(setting)} all {plural(setting.question)} ended at exactly the same {metric.label}"
        return [f"{text}, {value} on average: this workload does not tell them apart.", *lost]
    return [*_about_verdicts(setting, names), *lost, *_about_ties(setting, names), *_about_power(setting, names)]


def _mean(setting: Setting) -> str:
    """The best arm's mean in words, with its seeds and their spread."""
    scores = setting.scores[setting.arms[0]].dropna()
    metric, seeds = setting.metric, count(len(scores), _unit(setting))
    spread = ""
    if len(scores) > 1 and metric.scale == "difference":
        spread = f", SD over seeds {plain(metric, float(scores.std()))}"
    return f"{sizes.value(metric, scores.mean())} ({seeds}{spread})"


def _unit(setting: Setting) -> str:
    return "block" if setting.metric.is_speed else "seed"


def _about_verdicts(setting: Setting, names: dict) -> list[str]:
    """The first sentence speaks for the setting; of few arms each has its own, of many they are told in groups."""
    first = leading(setting)
    if not setting.baseline:
        c = first
        best = f"{names[c.a]} has the best mean {setting.metric.label}, {_mean(setting)}"
        return [f"{best}; {after_colon(_told(setting, c, names))}"]
    rest = [setting.against[arm] for arm in setting.arms if arm in setting.against and arm != first.a]
    if first.verdict in (BETTER, WORSE) or not rest:
        opening = _told(setting, first, names)
    elif all(c.verdict == EQUIVALENT for c in setting.against.values()):
        text = f"All {len(setting.against)} others are equivalent to {names[setting.baseline]} within {margin(setting)}"
        return [f"{text}; the largest difference is {_difference(setting, first, names)}."]
    else:
        what = "No scheduler" if setting.question.factor == "scheduler" else f"No level of {setting.question.factor}"
        baseline, seeds = names[setting.baseline], count(setting.num_seeds, _unit(setting))
        largest = _difference(setting, first, names)
        opening = f"{what} can be told from {baseline} with {seeds}; the largest difference is {largest}."
    return [opening, *_about_rest(setting, first, rest, names)]


def _about_rest(setting: Setting, first: Comparison, rest: list[Comparison], names: dict) -> list[str]:
    told = first.verdict in (BETTER, WORSE)
    if told and len(rest) <= _MOST_TOLD:
        return [_told(setting, c, names) for c in rest]
    found = []
    for word in (BETTER, WORSE, EQUIVALENT, INCONCLUSIVE, NOT_TESTABLE):
        group = [c for c in rest if c.verdict == word]
        if not group or (word == INCONCLUSIVE and not told):
            continue
        some = [f"{names[c.a]} ({_bare(setting, c)})" for c in group[:_MOST_NAMED]]
        if len(group) > _MOST_NAMED:
            some.append(count(len(group) - _MOST_NAMED, "other"))
        also = "Also " if word == first.verdict else ""
        which = (
            f"{word} than {names[setting.baseline]}"
            if word in (BETTER, WORSE)
            else f"{word}, against {names[setting.baseline]}"
        )
        if word == EQUIVALENT:
            which = f"equivalent to {names[setting.baseline]} within {margin(setting)}"
        text = f"{also}{which}: {listed(some)}."
        found.append(text[0].upper() + text[1:])
    return found


def _bare(setting: Setting, c: Comparison) -> str:
    return signed(setting.metric, c.estimate.value) if known(c.estimate.value) else "no seed in common"


def _told(setting: Setting, c: Comparison, names: dict) -> str:
    """One comparison in a sentence: verdict, size, interval, n."""
    metric, a, b = setting.metric, names[c.a], names[c.b]
    label = "" if metric.name == "final_accuracy" else f" in {metric.label}"
    word = c.verdict
    if word in (BETTER, WORSE):
        small = f", and shown to be less than {margin(setting)}" if c.judgement.negligible else ""
        return f"{a} is {word} than {b}{label}: {_size_words(setting, c)}{small}."
    if word == EQUIVALENT:
        return f"{a} and {b} are equivalent{label} within {margin(setting)}: {_size_words(setting, c)}."
    if c.is_noise and c.estimate.bounded:
        flag = f"{setting.question.factor} does nothing on a CPU"
        return f"{a} against {b} is not testable here{label}, for {flag}: noise of {_size_words(setting, c)}."
    if word == NOT_TESTABLE or not c.estimate.bounded:
        return f"{a} against {b} is not testable here{label}: {_untestable(setting, c)}."
    why = f", for {_who_diverged(setting, c, names)}" if c.withdrawn else ""
    size = _size_words(setting, c)
    size = f"of the completed trials {size}" if c.withdrawn else f"{size}{_settled_by(setting, c)}"
    return f"{a} against {b} is inconclusive{label}{why}: {size}."


def _who_diverged(setting: Setting, c: Comparison, names: dict) -> str:
    found = [setting.outcomes[arm] for arm in (c.a, c.b) if setting.outcomes[arm].num_diverged]
    return listed([f"{names[o.arm]} diverged on {o.num_diverged_seeds} of {o.diverged_seeds.n} seeds" for o in found])


def _untestable(setting: Setting, c: Comparison) -> str:
    unit, n = _unit(setting), c.estimate.n
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
    seeds = f"{count(e.n, _unit(setting))}, better on {wins} of {e.n}"
    if c.verdict == EQUIVALENT or c.is_noise:
        return f"{signed(metric, e.value)} ({interval}; {seeds})"
    return f"{signed(metric, e.value)} ({interval}; {seeds}; Holm-corrected p {_p(c.corrected_p)})"


def _settled_by(setting: Setting, c: Comparison) -> str:
    detectable, needed = c.judgement.detectable, c.judgement.seeds_to_settle
    if c.withdrawn or not known(detectable):
        return ""
    units = f"{_unit(setting)}s"
    text = f"; {c.judgement.n} {units} would have found {plain(setting.metric, detectable)} four times in five"
    return f"{text}, and {needed:,} in all would settle it if it is as seen" if needed > c.judgement.n else text


def margin(setting: Setting) -> str:
    """The difference that matters, in words: "1 seed SD (0.90 points)", "2%"."""
    wanted, size = setting.question.margin, plain(setting.metric, setting.margin)
    if isinstance(wanted, str) and wanted.endswith("SD"):
        return f"{wanted} ({size})"
    return size


def _difference(setting: Setting, c: Comparison, names: dict) -> str:
    return f"{names[c.a]} {_size_words(setting, c)}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _about_ties(setting: Setting, names: dict) -> list[str]:
    best, *others = setting.arms
    if len(others) < 2:
        return []
    apart = [arm for arm in others if setting.pairs[best, arm].told_apart]
    tied = [arm for arm in others if arm not in apart]
    if not tied:
        return [f"{names[best]} can be told from every other, the number of comparisons taken into account."]
    some = [names[arm] for arm in tied[:_MOST_NAMED]]
    if len(tied) > _MOST_NAMED:
        some.append(count(len(tied) - _MOST_NAMED, "other"))
    text = f"The first place is not certain: {names[best]} is not told from {listed(some)}"
    others = "the other one" if len(apart) == 1 else f"the other {len(apart):,}"
    return [f"{text}; from {others} it is." if apart else f"{text}."]


def _about_power(setting: Setting, names: dict) -> list[str]:
    """Say what the planned comparisons could have seen: those with the baseline, or all pairs where there is none."""
    planned = [c for c in setting.planned if known(c.detectable)]
    if len(setting.planned) < 2 or not planned:
        return []  # a single comparison says it itself
    found = sorted((c.detectable, index) for index, c in enumerate(planned))
    (low, easiest), (high, hardest) = ((size, _other(setting, planned[i], names)) for size, i in (found[0], found[-1]))
    text, least = plain(setting.metric, high), plain(setting.metric, low)
    if least != text:
        text = f"{least.removesuffix(' points')} ({easiest}) to {text} ({hardest})"
    whose = f"a comparison with {names[setting.baseline]}" if setting.baseline else "a comparison of two"
    seeds, size = count(setting.num_seeds, _unit(setting)), planned[0].family_size
    among = f", one of {size} that share the 5%," if size > 1 else ""
    return [
        f"With {seeds} {whose}{among} finds a true difference of {text} four times in five; smaller ones may be unseen."
    ]


def _other(setting: Setting, c: Comparison, names: dict) -> str:
    return names[c.a] if c.b == setting.baseline else f"{names[c.a]} against {names[c.b]}"


# -------------------------------------------------------------------------------------------------------- failed trials


def _about_lost(setting: Setting, names: dict) -> list[str]:
    """Say what failed: divergence by seeds with exact bounds and what it does to the verdict, then what is missing."""
    sentences = [_about_diverged(setting, o, names) for o in setting.lost if o.num_diverged]
    missing = [
        f"{count(o.num_missing, 'trial')} of {names[o.arm]} ({_missing(o)})" for o in setting.lost if o.num_missing
    ]
    if missing:
        sentences.append(f"Missing from every comparison, for they say nothing of the training: {listed(missing)}.")
    return sentences


def _missing(o: Outcomes) -> str:
    lost = sorted((s, n) for s, n in o.statuses.items() if s in MISSING)
    return listed([f"{n:,} {status.replace('_', ' ')}" for status, n in lost])


def _about_diverged(setting: Setting, o: Outcomes, names: dict) -> str:
    share = o.diverged_seeds
    bounds = f"95% bounds of the share {percent(share.low, 0)} to {percent(share.high, 0)}"
    text = f"{names[o.arm]} diverged on {o.num_diverged_seeds} of {share.n} seeds ({bounds}, exact)"
    if o.arm not in setting.scores:
        return f"{text} and completed none of its trials: it is in no comparison, and cannot be recommended."
    own = setting.against.get(o.arm)
    if not setting.guess:
        return f"{text}; a diverged trial has no {setting.metric.label}, so it is compared by those that completed."
    if own is None:
        return f"{text}; each counts {setting.guess} in a second analysis, and a verdict stands where both share it."
    counted = own.counted_judgement.estimate
    ends = (
        f", 95% interval {bare(setting.metric, counted.low)} to {bare(setting.metric, counted.high)}"
        if counted.bounded
        else ""
    )
    text += f"; with these counted {setting.guess} its difference is {signed(setting.metric, counted.value)}{ends}"
    if own.withdrawn:
        return f"{text}: what the completed trials alone would say ({own.withdrawn}) is withdrawn."
    return f"{text}."
