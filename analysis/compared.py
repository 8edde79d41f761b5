"""A comparison as an answer: does any level of a factor differ from the baseline by more than the noise?

Every [[compare]] of a study becomes one, and `analysis.schedulers` is the standing one. Each sentence has a verdict, a
size, its interval and the number of seeds. "Inconclusive" is never "no effect": the smallest difference that so many
seeds could have seen stands beside it. What this does *not* do: compare (`analysis.comparisons`), or say what to do
(`analysis.advice`).
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from analysis import advice, sizes
from analysis.answers import Answer
from analysis.compared_looks import stands
from analysis.compared_table import notes, table
from analysis.compared_words import in_short, leading, plural, sentences
from analysis.comparisons import STANDING, Setting, compare_all
from analysis.figures.compared import figure
from analysis.page.wording import after_colon, count
from analysis.rows import conditions
from analysis.rows.arms import at_look, comparable
from analysis.rows.conditions import describe
from analysis.statistics.verdicts import BETTER, INCONCLUSIVE, NOT_TESTABLE, WORSE, of_settings
from lrbench.questions import Compare

_MOST_LEADING = 2


def answer(
    rows: pd.DataFrame, question: Compare, questions: Sequence[Compare] = (), record: dict | None = None
) -> Answer:
    """Return how the levels of a factor differ from its baseline by a metric.

    `questions` are all that the study asks, this one among them: those of its family share Holm's correction. `record`
    is the study.json, if there is one.
    """
    asked = list(questions) if question in questions else [question]
    at = asked.index(question)
    first = at == 0 and (question in questions or not questions)  # the first page says once where the study stands

    def one_place(part: pd.DataFrame) -> Answer:
        found = compare_all(part, asked, record)[at]
        seen, look = at_look(comparable(part), record or {})
        made = as_answer(seen, found, question, title(question), looks=bool(look.seeds), record=record)
        caveats = (*advice.about_look(record or {}, look), *made.caveats)
        where = stands(record or {}, look) if made.headline and first else ""
        return replace(made, caveats=caveats, headline=(*made.headline, *filter(None, [where])))

    return conditions.by_place(rows, one_place)


def title(question: Compare) -> str:
    """Return the question in words."""
    if (question.factor, question.metric) == (STANDING.factor, STANDING.metric):
        return "Do the schedulers differ by more than the noise?"
    subject = "the schedulers" if question.factor == "scheduler" else f"the levels of {question.factor}"
    return f"Do {subject} differ in {sizes.named(question.metric)} by more than the noise?"


def as_answer(
    rows: pd.DataFrame,
    found: list[Setting],
    question: Compare,
    heading: str,
    looks: bool = False,
    record: dict | None = None,
) -> Answer:
    """Word the settings of one question; `rows` are those that they were made of, `looks` whether more are planned."""
    said = [_said(setting) for setting in found]
    told = [sentence for part in said for sentence in part]
    compared = [setting for setting in found if len(setting.arms) > 1]
    if not found:
        metric = sizes.named(question.metric)
        told = [f"No trial completed with a {metric}, so nothing can be said about {plural(question)}."]
    return Answer(
        title=heading,
        sentences=tuple(told),
        table=table(found),
        figure=lambda: figure(found),
        notes=notes(compared),
        headline=_headline(found) if found else (),
        verdict=_verdict(compared),
        caveats=(*_not_tested(compared), *advice.caveats(rows, found)),
        advice=advice.advice(rows, found, looks, record),
    )


def _verdict(compared: list[Setting]) -> str:
    """One word for all settings, or how many have which: "of 2 settings: 1 better, 1 inconclusive"."""
    return of_settings([_word(setting) for setting in compared])


def _not_tested(compared: list[Setting]) -> tuple[str, ...]:
    """Two verdicts that are not alike do not show two effects that are not."""
    if len({_word(setting) for setting in compared}) < 2:
        return ()
    return ("Each setting is judged by itself: that a difference differs between settings is not shown by that.",)


def _word(setting: Setting) -> str:
    if setting.num_seeds < 2 or setting.lost_baseline:
        return NOT_TESTABLE
    word = leading(setting).verdict
    if word in (BETTER, WORSE):
        return word
    return word if all(c.verdict == word for c in setting.planned) else INCONCLUSIVE


def _opening(setting: Setting) -> str:
    """What a sentence on one of several settings begins with."""
    parts = {"tuned": "each at its own chosen base_lr", "default": "all at the default base_lr"}
    return ", ".join(filter(None, [parts.get(setting.tuning, ""), describe(setting.factors)]))


def _said(setting: Setting) -> list[str]:
    """The sentences on one setting, each opened by its factors where there are several settings."""
    return _opened(setting, sentences(setting))


def _opened(setting: Setting, found: list[str]) -> list[str]:
    opening = _opening(setting)
    if not opening:
        return found
    opening = f"{opening[0].upper()}{opening[1:]}" if setting.tuning else opening
    return [f"{opening}: {after_colon(sentence)}" for sentence in found]


def _headline(found: list[Setting]) -> tuple[str, ...]:
    """What stands first on each of the first settings, those that compare something before those that cannot."""
    order = sorted(range(len(found)), key=lambda index: len(found[index].arms) < 2)
    more = len(found) - _MOST_LEADING
    part = "the schedulers' part" if found[0].question.factor == "scheduler" else "its part"
    rest = [f"{count(more, 'more setting')} of the other factors: see {part} below."] if more > 0 else []
    first = [found[index] for index in order[:_MOST_LEADING]]
    return (*(line for setting in first for line in _opened(setting, in_short(setting))), *rest)
