"""Is a study settled with the seeds that it has? Judged at each look, at the level that the look may spend.

A study with `[until]` adds seeds look by look. At each one every comparison that it names is judged anew, so each look
is stricter than 5 % (`analysis.statistics.spending`), and the error over all looks and over the comparisons of a family
is 5 %. What is settled at one look stays settled: the error spent there was spent on it, so later data ask for no more
seeds. A study whose seeds are fixed has one look, at 5 %. What this does *not* do: run anything, or word the study's
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
from analysis.setting import SETTLING
from analysis.statistics.intervals import paired_interval, paired_p
from analysis.statistics.spending import t_levels
from analysis.statistics.verdicts import INCONCLUSIVE
from lrbench.study import Study

LEVEL = 0.05
_MOST_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a study's rows settle so far.

    `look` counts from 1 and is 0 before the first is complete; `level` is what a single comparison's p is held against
    there. `settled` is true where no comparison is open any more. `table` has a row for each comparison: its `p`,
    `corrected_p` over its family and all looks, to be held against 5 %, an interval of the mean difference that covers
    at all looks together with 95 % (of logarithms for ratio metrics), and the verdict, all of this look; and
    `settled_at`, the first look that settled it (0: none did), with what it was `settled_as` there ("" for none).
    """

    look: int
    num_looks: int
    num_seeds: int
    level: float
    settled: bool
    sentences: tuple[str, ...]
    table: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A comparison as this look has it, and as what (`word`) which look settled it: 0 and "" where none has."""

    setting: Setting
    c: Comparison
    look: int = 0
    word: str = ""

    @property
    def is_open(self) -> bool:
        return self.c.verdict == INCONCLUSIVE

    @property
    def name(self) -> str:
        names = called(self.setting.question.factor, self.setting.arms)
        pair = " against ".join(names.get(arm, arm) for arm in (self.c.a, self.c.b))
        return f"{pair} ({describe(self.setting.factors)})" if self.setting.factors else pair


def decide(rows: pd.DataFrame, study: Study, ran_seconds: float = 0.0) -> Decision:
    """Are the study's comparisons settled at the last look that its rows complete? (trials) → Decision.

    Where a study names no comparison, it is that of its schedulers. Each comparison's p is turned into the level of the
    whole study at which this look would just end it, and Holm's procedure runs over these within a family; what a look
    before settled stays so (`analysis.comparisons.compare_all`). Where trials ran at chosen base rates, those are
    judged; trials that chose them never are. Seeds beyond the look are left out. `ran_seconds` is how long the study
    has run: it decides nothing but what is said to come next.
    """
    record = {"study": study.model_dump(mode="json")}
    rows, at = at_look(comparable(rows), record)
    looks = at.seeds or (_num_seeds(rows),)
    if at.is_early or rows.empty:
        said = f"No look is complete: the first is at {count(looks[0], 'seed')}."
        return _decision(0, looks, 0.0, (said,), [])
    look = max(1, at.number)
    level = float(t_levels(looks, study.until.spending, LEVEL)[look - 1]) if study.until is not None else LEVEL
    judged = _judged(rows, record)
    said = _said(judged, look, looks, level)
    if any(one.is_open for one in judged):
        said.append(_next(study, look, looks, ran_seconds))
    return _decision(look, looks, level, said, judged)


def _judged(rows: pd.DataFrame, record: dict) -> list[_Judged]:
    """Return every comparison that the study names; of fixed seeds the one look settles what it finds."""
    judged = []
    for settings in compare_all(rows, asked(record) or [STANDING], record):
        for setting in _leading(settings):
            for c in (setting.against or setting.pairs).values():  # one schedule under two names is not open
                look, word = c.settled.look, c.settled.word
                if not record["study"]["until"] and c.verdict in SETTLING:
                    look, word = 1, c.verdict
                judged.append(_Judged(setting=setting, c=c, look=look, word=word))
    return judged


def _decision(look: int, looks: tuple[int, ...], level: float, sentences, judged: list[_Judged]) -> Decision:
    return Decision(
        look=look,
        num_looks=len(looks),
        num_seeds=looks[look - 1] if look else 0,
        level=level,
        settled=bool(judged) and not any(one.is_open for one in judged),
        sentences=tuple(sentences),
        table=_table(judged, level),
    )


def _num_seeds(rows: pd.DataFrame) -> int:
    """Return the seeds that are there: a study of fixed seeds that was cut off is judged by what it has."""
    return max(1, int(group_ids(rows, SEEDS).nunique()))


def _leading(settings: list[Setting]) -> list[Setting]:
    """Return the settings at tuned rates where there are any: they are what a study that tunes asks about."""
    return [setting for setting in settings if setting.tuning == TUNED] or settings


def covers_at_all_looks(differences, level: float) -> tuple[float, float]:
    """Where does the mean lie, said so that all looks together are right with 95 %? (n,), the look's level → interval.

    That of paired differences at the look's level: repeated confidence intervals (Jennison and Turnbull, JRSS B 1989).
    Without spread, or with one difference, -inf and inf.
    """
    found = paired_interval(differences, 1 - level)
    return found.low, found.high


# ------------------------------------------------------------------------------------------------------------- saying


def _said(judged: list[_Judged], look: int, looks: tuple[int, ...], level: float) -> list[str]:
    """Say how many comparisons are settled, then metric by metric which: as what, at which look, and what is open."""
    num_seeds = looks[look - 1]
    where = f"Look {look} of {len(looks)}, {num_seeds} of {looks[-1]} seeds" if len(looks) > 1 else ""
    where = where or f"One look, {count(num_seeds, 'seed')}"
    if not judged:
        return [f"{where}: nothing can be compared, so nothing is settled."]
    closed = [one for one in judged if not one.is_open]
    verdicts = Counter(one.word or one.c.verdict for one in closed)
    found = f" ({listed(f'{n} {word}' for word, n in verdicts.items())})" if verdicts else ""
    whole = f"{len(closed)} of {count(len(judged), 'comparison')} settled"
    if len(closed) == len(judged):
        whole = "the comparison is settled" if len(judged) == 1 else f"all {len(judged)} comparisons are settled"
    said = [f"{where}, each p held against {100 * level:.2g}%: {whole}{found}."]
    for metric in dict.fromkeys(one.setting.question.metric for one in judged):
        own = [one for one in judged if one.setting.question.metric == metric]
        done = [_how(one, len(looks)) for one in own if one.look]
        never = [one.name for one in own if not one.look and not one.is_open]
        still = [one.name for one in own if one.is_open]
        said += [f"Settled in {metric}: {_some(done)}."] if done else []
        said += [f"Not testable in {metric}: {_some(never)}."] if never else []
        said += [f"Inconclusive in {metric}: {_some(still)}."] if still else []
    return [*said, *_otherwise(judged, look)]


def _how(one: _Judged, num_looks: int) -> str:
    return f"{one.name} {one.word}{f' at look {one.look}' if num_looks > 1 else ''}"


def _some(texts: list[str]) -> str:
    more = len(texts) - _MOST_NAMED
    return "; ".join([*texts[:_MOST_NAMED], *([f"and {count(more, 'other')}"] if more > 0 else [])])


def _otherwise(judged: list[_Judged], look: int) -> list[str]:
    """Say of which comparisons the data by now say otherwise than the look that settled them."""
    changed = [one for one in judged if one.c.disputed]
    if not changed:
        return []
    texts = [
        f"{one.name} in {one.setting.question.metric} ({one.word} at look {one.look}, {one.c.verdict_now} now)"
        for one in changed
    ]
    return [f"What one look settled stays settled, but all data up to look {look} say otherwise of: {_some(texts)}."]


def _next(study: Study, look: int, looks: tuple[int, ...], ran_seconds: float) -> str:
    if look == len(looks):
        return "No seeds are left to add: what is inconclusive stays so."
    if 0 < study.until.time_limit_seconds <= ran_seconds:
        return f"No further look begins: the time limit of {study.until.time_limit_seconds:g} s is over."
    return f"Next: {count(looks[look] - looks[look - 1], 'more seed')}."


def _table(judged: list[_Judged], level: float) -> pd.DataFrame:
    columns = ["comparison", "metric", "num_seeds", "difference", "difference_low", "difference_high"]
    columns += ["p", "corrected_p", "verdict", "settled_at", "settled_as"]
    rows = []
    for one in judged:
        c = one.c
        low, high = covers_at_all_looks(c.differences, level)
        rows.append(
            {
                "comparison": one.name,
                "metric": one.setting.question.metric,
                "num_seeds": len(c.differences),
                "difference": float(c.differences.mean()) if len(c.differences) else np.nan,
                "difference_low": low,
                "difference_high": high,
                "p": paired_p(c.differences),
                "corrected_p": c.corrected_p,
                "verdict": c.verdict_now,
                "settled_at": one.look,
                "settled_as": one.word,
            }
        )
    return pd.DataFrame(rows, columns=columns)
