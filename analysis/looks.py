"""Is a study settled with the seeds that it has? Judged at each look, at the level that the look may spend.

A study with `[until]` adds seeds look by look. At each one every comparison that it names is judged anew, so each look
is stricter than 5 % (`analysis.statistics.spending`), and the error over all looks and over the comparisons of a family
is 5 %. A study whose seeds are fixed has one look, at 5 %. What this does *not* do: run anything, or word the study's
answers.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.comparisons import STANDING, Comparison, Setting, asked, compare_all
from analysis.page.wording import count, listed
from analysis.rows.arms import TUNED, at_look, called, comparable
from analysis.rows.conditions import SEEDS, describe, group_ids
from analysis.statistics.intervals import no_spread, paired_p
from analysis.statistics.spending import t_levels
from analysis.statistics.verdicts import INCONCLUSIVE
from lrbench.study import Study

LEVEL = 0.05
_MOST_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a study's rows settle so far.

    `look` counts from 1 and is 0 before the first is complete; `level` is what a single comparison's p is held against
    there. `settled` is true where no comparison is inconclusive any more. `table` has a row for each comparison: its
    `p`, `corrected_p` over its family and all looks, to be held against 5 %, an interval of the mean difference that
    covers at all looks together with 95 % (of logarithms for ratio metrics), and the verdict.
    """

    look: int
    num_looks: int
    num_seeds: int
    level: float
    settled: bool
    sentences: tuple[str, ...]
    table: pd.DataFrame


def decide(rows: pd.DataFrame, study: Study) -> Decision:
    """Are the study's comparisons settled at the last look that its rows complete? (trials) → Decision.

    Where a study names no comparison, it is that of its schedulers. Each comparison's p is turned into the level of the
    whole study at which this look would just end it, and Holm's procedure runs over these within a family. Where trials
    ran at chosen base rates, those are judged; trials that chose them never are. Seeds beyond the look are left out.
    """
    record = {"study": study.model_dump(mode="json")}
    rows, look = at_look(comparable(rows), record)
    looks = tuple(study.until.looks) if study.until is not None else (_num_seeds(rows),)
    if not _is_complete(rows, study, look):
        said = f"No look is complete: the first is at {count(looks[0], 'seed')}."
        return _decision(0, looks, 0.0, (said,), [])
    look = max(1, look)
    level = float(t_levels(looks, study.until.spending, LEVEL)[look - 1]) if study.until is not None else LEVEL
    found = [_leading(settings) for settings in compare_all(rows, asked(record) or [STANDING], record)]
    pairs = [(setting, c) for settings in found for setting in settings for c in setting.planned]
    return _decision(look, looks, level, _said(pairs, look, looks, level), pairs)


def _decision(look: int, looks: tuple[int, ...], level: float, sentences, pairs) -> Decision:
    return Decision(
        look=look,
        num_looks=len(looks),
        num_seeds=looks[look - 1] if look else 0,
        level=level,
        settled=bool(pairs) and all(c.verdict != INCONCLUSIVE for _, c in pairs),
        sentences=tuple(sentences),
        table=_table(pairs, level),
    )


def _num_seeds(rows: pd.DataFrame) -> int:
    """Return the seeds that are there: a study of fixed seeds that was cut off is judged by what it has."""
    return max(1, int(group_ids(rows, SEEDS).nunique()))


def _is_complete(rows: pd.DataFrame, study: Study, look: int) -> bool:
    """Tell whether the rows are those of a whole look: its seeds, each with as many trials as any other."""
    if rows.empty or study.until is None:
        return not rows.empty
    trials = rows["seed"].value_counts()
    seeds = study.grid["seed"][: study.until.looks[look - 1]]
    return set(trials.index) == set(seeds) and trials.nunique() == 1


def _leading(settings: list[Setting]) -> list[Setting]:
    """Return the settings at tuned rates where there are any: they are what a study that tunes asks about."""
    return [setting for setting in settings if setting.tuning == TUNED] or settings


def covers_at_all_looks(differences, level: float) -> tuple[float, float]:
    """Where does the mean lie, said so that all looks together are right with 95 %? (n,), the look's level → interval.

    Student's at the look's level: repeated confidence intervals (Jennison and Turnbull, JRSS B 1989). Without spread,
    or with one difference, -inf and inf.
    """
    from scipy import special

    differences = np.asarray(differences, dtype=float)
    n = len(differences)
    if n < 2 or no_spread(differences):
        return -np.inf, np.inf
    half = -special.stdtrit(n - 1, level / 2) * differences.std(ddof=1) / np.sqrt(n)
    return float(differences.mean() - half), float(differences.mean() + half)


# ------------------------------------------------------------------------------------------------------------- saying


def _name(setting: Setting, c: Comparison) -> str:
    names = called(setting.question.factor, setting.arms)
    pair = " against ".join(names.get(arm, arm) for arm in (c.a, c.b))
    return f"{pair} ({describe(setting.factors)})" if setting.factors else pair


def _said(pairs: list[tuple[Setting, Comparison]], look: int, looks: tuple[int, ...], level: float) -> list[str]:
    num_seeds = looks[look - 1]
    where = f"Look {look} of {len(looks)}, {num_seeds} of {looks[-1]} seeds" if len(looks) > 1 else ""
    where = where or f"One look, {count(num_seeds, 'seed')}"
    if not pairs:
        return [f"{where}: nothing can be compared, so nothing is settled."]
    at = f"{where}, at a level of {100 * level:.2g}%"
    still = [(setting, c) for setting, c in pairs if c.verdict == INCONCLUSIVE]
    verdicts = Counter(c.verdict for _, c in pairs if c.verdict != INCONCLUSIVE)
    found = f" ({listed(f'{n} {word}' for word, n in verdicts.items())})" if verdicts else ""
    if not still:
        whole = "the comparison is settled" if len(pairs) == 1 else f"all {len(pairs)} comparisons are settled"
        return [f"{at}: {whole}{found}."]
    names = [_name(*pair) for pair in still[:_MOST_NAMED]]
    if len(still) > _MOST_NAMED:
        names.append(count(len(still) - _MOST_NAMED, "other"))
    metrics = listed(sorted({setting.question.metric for setting, _ in still}))
    next_ = "No seeds are left to add: what is inconclusive stays so."
    if look < len(looks):
        next_ = f"Next: {count(looks[look] - num_seeds, 'more seed')}."
    return [
        f"{at}: {len(pairs) - len(still)} of {count(len(pairs), 'comparison')} settled{found}.",
        f"Inconclusive in {metrics}: {listed(names)}.",
        next_,
    ]


def _table(pairs: list[tuple[Setting, Comparison]], level: float) -> pd.DataFrame:
    columns = ["comparison", "metric", "num_seeds", "difference", "difference_low", "difference_high"]
    columns += ["p", "corrected_p", "verdict"]
    rows = []
    for setting, c in pairs:
        low, high = covers_at_all_looks(c.differences, level)
        rows.append(
            {
                "comparison": _name(setting, c),
                "metric": setting.question.metric,
                "num_seeds": len(c.differences),
                "difference": float(c.differences.mean()) if len(c.differences) else np.nan,
                "difference_low": low,
                "difference_high": high,
                "p": paired_p(c.differences),
                "corrected_p": c.corrected_p,
                "verdict": c.verdict,
            }
        )
    return pd.DataFrame(rows, columns=columns)
