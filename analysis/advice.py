"""What to do about a comparison, in the imperative, and what it does not show: what was held fixed, where, on whom.

What this does *not* do: compare or word the findings (`analysis.comparisons`, `analysis.compared`).
"""

from collections.abc import Collection

import pandas as pd

from analysis.choosing import are_apart, choice, chosen, diverging
from analysis.compared_alike import caveat as about_one_schedule
from analysis.compared_alike import mend as mend_alike
from analysis.compared_far import far_outside
from analysis.compared_looks import again
from analysis.compared_lost import missing_words
from analysis.compared_words import names_of
from analysis.comparisons import Comparison, Setting
from analysis.going_on import MOST_SEEDS, command, more_seeds
from analysis.page.wording import after_colon, count, known, level, listed, number
from analysis.rows.arms import Look, is_inert, is_tuned
from analysis.rows.conditions import describe, varied
from analysis.rows.timing import too_busy
from analysis.sizes import plain
from analysis.statistics.power import SHOWN, smallest_sign_flip_p
from analysis.statistics.verdicts import BETTER, INCONCLUSIVE
from lrbench.looks import looks_caveat

_SEEDS_FOR_SIGN_FLIP = 6
_MOST_ADVISED = 3  # settings that have lines of their own
_AFTER_A_LOOK = (
    "Plan with [until] in the study if you mean to look and go on: a test repeated at 5% as seeds are added finds "
    "differences that are not there more often than that."
)
_FIXED = ("workload", "epochs", "batch_size", "base_lr", "optimizer", "warmup")
_PLACE = ("cpu_model", "gpu_name", "torch_version")


# ------------------------------------------------------------------------------------------------------------- caveats


def caveats(rows: pd.DataFrame, found: list[Setting]) -> tuple[str, ...]:
    """Return what the comparison does not show: what was held fixed, one machine, few seeds, chosen on its judges."""
    compared = [setting for setting in found if len(setting.arms) > 1]
    if not compared:
        return ()
    return tuple(
        filter(
            None,
            [
                _inert(rows, compared),
                _rates(rows, compared),
                _chosen_alike(compared),
                _few_seeds(compared),
                far_outside(compared, names_of),
                about_one_schedule(compared, names_of),
                _uneven(compared),
                _averaged(compared),
                held_fixed(rows, {compared[0].question.factor, *compared[0].factors, *compared[0].averaged}),
                one_machine(rows),
            ],
        )
    )


def about_look(record: dict, look: Look) -> tuple[str, ...]:
    """Say at which look of a study with [until] its questions were judged, and whether its looks were changed late."""
    caveat = looks_caveat(record)
    if not look.seeds:
        return (caveat,) if caveat else ()
    planned = f"(at {listed(look.seeds)} seeds)" if len(look.seeds) > 1 else f"(at {count(look.seeds[0], 'seed')})"
    if look.is_early:
        begun = f", {count(look.num_begun, 'seed')} {'was' if look.num_begun == 1 else 'were'} begun"
        begun = begun if look.num_begun else ""
        early = f"No look is complete yet {planned}{begun}: nothing is settled, and no corrected p is given."
        return tuple(filter(None, [early, caveat]))
    which = f"This is look {look.number} of {len(look.seeds)} {planned}"
    beyond = look.num_begun - look.num_seeds
    waits = "was begun and waits" if beyond == 1 else "were begun and wait"
    left = f"{count(beyond, 'more seed')} {waits} for look {look.number + 1}: left out here." if beyond > 0 else ""
    if caveat:
        return tuple(filter(None, [f"{which}.", left, caveat]))
    meaning = "what a look settled stays settled, and p-values hold over all looks together; differences and their 95%"
    return tuple(filter(None, [f"{which}: {meaning} intervals are of all seeds up to it, for this look alone.", left]))


def _inert(rows: pd.DataFrame, compared: list[Setting]) -> str:
    factor = compared[0].question.factor
    if is_inert(rows, factor):
        return f"All of it ran on a CPU, where {factor} does nothing: a difference between its levels is noise."
    return ""


def _rates(rows: pd.DataFrame, compared: list[Setting]) -> str:
    if compared[0].question.factor != "scheduler" or compared[0].metric.is_speed:
        return ""
    if is_tuned(rows):
        return (
            "Schedulers stand at what [tune] found best for each on seeds of their own, the study's own where it found "
            "none; the part on tuning says from how many trials. A larger search could change the order."
        )
    if "base_lr" in varied(rows):
        return (
            "Each setting compares schedules at one base_lr; no schedule was tuned on seeds of its own, so the best of "
            "several rates is chosen and judged on the same seeds."
        )
    rate = level(float(rows["base_lr"].iloc[0]))
    return (
        f"All schedules share base_lr {rate}: none was tuned to its own best rate, so this ranks schedules at that "
        "rate, not at their best."
    )


def _chosen_alike(compared: list[Setting]) -> str:
    most = max(len(setting.arms) for setting in compared)
    if most < 3:
        return ""
    return (
        f"Which of {most} comes first was seen on the seeds that judge it: expect its lead to be smaller on new seeds."
    )


def _few_seeds(compared: list[Setting]) -> str:
    fewest = min((s.num_seeds for s in compared if not s.all_equal), default=0)
    if not 1 < fewest < _SEEDS_FOR_SIGN_FLIP:
        return ""
    unit = "blocks" if compared[0].metric.is_speed else "seeds"
    return (
        f"With {fewest} {unit} a sign-flip test cannot go below p = {number(smallest_sign_flip_p(fewest))}: the "
        f"p-values here lean on the t-test's assumption that differences over {unit} are normal. "
        f"{_SEEDS_FOR_SIGN_FLIP} {unit} or more would do without it."
    )


def _uneven(compared: list[Setting]) -> str:
    """Say where arms have unlike numbers of seeds: pairs are then made of the seeds that both have."""
    uneven = [s for s in compared if s.scores.notna().sum().nunique() > 1]
    if not uneven:
        return ""
    amounts = uneven[0].scores.notna().sum()
    return (
        f"Not every arm has every seed ({amounts.min():,} to {amounts.max():,}): a pair is compared on the seeds that "
        "both have, so two differences may be of other seeds."
    )


def _averaged(compared: list[Setting]) -> str:
    names = list(dict.fromkeys(name for setting in compared for name in setting.averaged))
    unit = "block" if compared[0].metric.is_speed else "seed"
    return f"Averaged within a {unit} over {listed(names)}." if names else ""


def held_fixed(rows: pd.DataFrame, changing: Collection[str]) -> str:
    """Say what every trial had alike besides what is `changing`; "" where nothing was."""
    alike = [name for name in (*_FIXED, "scheduler") if name not in changing and rows[name].nunique(dropna=False) == 1]
    parts = {name: rows[name].iloc[0] for name in alike if level(rows[name].iloc[0]) != "off"}
    return f"Held fixed, so nothing is known of other values: {describe(parts)}." if parts else ""


def one_machine(rows: pd.DataFrame) -> str:
    """Say on what it ran; "" where that was not recorded."""
    seen = {name: rows[name].dropna() for name in _PLACE}
    parts = [f"torch {v.iloc[0]}" if name == "torch_version" else str(v.iloc[0]) for name, v in seen.items() if len(v)]
    return f"It ran on {', '.join(parts)}: elsewhere it may be otherwise." if parts else ""


# -------------------------------------------------------------------------------------------------------------- advice


def advice(
    rows: pd.DataFrame, found: list[Setting], looks: bool = False, record: dict | None = None
) -> tuple[str, ...]:
    """Return what to do, in the imperative: what to use, how many seeds are missing, what to mend first.

    Of several settings each of the first has its own lines, opened by its factors; where arms were tuned, only settings
    of tuned arms do. `looks` holds where the study itself says when it goes on ([until]): then no seeds are advised.
    `record` is the study.json, if there is one.
    """
    compared = [setting for setting in found if len(setting.arms) > 1]
    if not compared:
        return ()
    first = compared[0]
    if is_inert(rows, first.question.factor):
        return (f"Ask for {first.question.factor} on a GPU: on a CPU it does nothing.",)
    alike = [setting for setting in compared if setting.tuning == first.tuning]
    lines: list[str] = []
    for setting in alike[:_MOST_ADVISED]:
        own = _of_setting(rows, setting, looks, record or {})
        opening = f"At {describe(setting.factors)}: " if setting.factors and len(alike) > 1 else ""
        lines += [f"{opening}{after_colon(line)}" if opening else line for line in own]
    if len(alike) > _MOST_ADVISED:
        lines.append(f"See the table for {count(len(alike) - _MOST_ADVISED, 'more setting')}.")
    if any(" more seed" in line and "Do not hope" not in line for line in lines) and not looks:
        lines.append(_AFTER_A_LOOK)
    return tuple(filter(None, [*dict.fromkeys(lines), _tune(rows, first)]))


def _of_setting(rows: pd.DataFrame, setting: Setting, looks: bool, record: dict) -> list[str]:
    names = names_of(setting)
    if setting.metric.is_speed and too_busy(rows):
        what = "the schedulers" if setting.question.factor == "scheduler" else setting.question.factor
        timed_again = f"Time {what} again on a machine that nobody else uses before you choose by speed."
        return [timed_again, *filter(None, [_one_sided(setting, names)])]
    found = [
        choice(rows, setting, names),
        *again(setting, names),
        *mend_alike(setting, names),
        *(_mend(setting, o, names) for o in setting.lost if o.arm != chosen(setting)),
        _one_sided(setting, names),
        "" if looks else _more_seeds(rows, setting, names, record),
    ]
    return [line for line in found if line]


def _mend(setting: Setting, o, names: dict) -> str:
    if not diverging(setting, o.arm):
        return ""
    how = "its base_lr" if setting.question.factor != "base_lr" else "the rate"
    seeds = f"{o.num_diverged_seeds} of {o.diverged_seeds.n} seeds"
    return f"Do not rely on {names[o.arm]} before {how} is lower: it diverged on {seeds}."


def _one_sided(setting: Setting, names: dict) -> str:
    """Trials that only one arm lost are hardly chance: what is left of it may be its better part."""
    missing = [o for o in setting.outcomes.values() if o.num_missing]
    if len(setting.outcomes) < 2 or len(missing) != 1 or missing[0].num_missing < 2:
        return ""
    (o,) = missing
    lost = f"{o.num_missing:,} trials of {names[o.arm]} are missing ({missing_words(o)}), and no other arm lost any"
    return f"Look into the failures before you choose: {lost}."


def _more_seeds(rows: pd.DataFrame, setting: Setting, names: dict, record: dict) -> str:
    """The seeds that would settle what matters most: the first place, or whether the best is better at all."""
    if setting.num_seeds < 2:
        return f"Run several seeds: {command(rows, record)} --set seed=0-9."
    c = _of_most_interest(setting)
    if c is None:
        return ""
    needed = c.judgement.seeds_to_settle
    if not needed or needed > MOST_SEEDS:
        best = f"{plain(setting.metric, c.detectable)}" if known(c.detectable) else ""
        seen = f" (it would have found {best})" if best else ""
        what = f"{names[c.a]} from {names[c.b]}"
        return f"Do not hope to tell {what} by more seeds: more than {MOST_SEEDS} would be needed{seen}."
    more = more_seeds(rows, setting.seeds, needed, per_block=setting.metric.is_speed, record=record)
    if not more:
        return ""
    shown = c.judgement.settled_as == SHOWN
    leads = ", the best so far," if c.a == setting.arms[0] and c.b == setting.baseline and len(setting.arms) > 2 else ""
    do = f"show {names[c.a]} and {names[c.b]} equivalent" if shown else f"tell {names[c.a]}{leads} from {names[c.b]}"
    odds = "enough four times in five if the difference is as large as seen"
    if not shown and len(setting.arms) > 2:
        odds += ", but the largest of several mostly is smaller"
    return f"Run {more[0]} to {do} ({odds}){more[1]}."


def _of_most_interest(setting: Setting) -> Comparison | None:
    """Of what is inconclusive: the best of those better than the baseline against a rival, else the best against it."""
    better = [arm for arm in setting.arms if arm in setting.against and setting.against[arm].verdict == BETTER]
    if better:
        rivals = [arm for arm in setting.arms if arm != better[0] and not are_apart(setting, better[0], arm)]
        pairs = [setting.pairs[better[0], arm] for arm in rivals if (better[0], arm) in setting.pairs]
    else:
        pairs = [setting.against[arm] for arm in setting.arms if arm in setting.against] or setting.planned
    open_ = [c for c in pairs if c.verdict == INCONCLUSIVE and not setting.are_alike(c.a, c.b)]
    return next((c for c in open_ if not c.any_diverged), None)


def _tune(rows: pd.DataFrame, setting: Setting) -> str:
    trained = setting.question.factor == "scheduler" and not setting.metric.is_speed
    if not trained or is_tuned(rows) or setting.num_seeds < 2 or setting.all_equal:
        return ""
    return "Give each scheduler the base_lr that suits it before you choose one for good: add [tune] to the study."
