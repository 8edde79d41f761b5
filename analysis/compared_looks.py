"""The words on which look settled a comparison of a study with [until], and whether all its seeds still say so.

What this does *not* do: judge (`analysis.comparisons` does), or say at which look the study stands (`analysis.advice`).
"""

from collections.abc import Sequence

from analysis.compared_lost import unit_of
from analysis.comparisons import Comparison, Setting
from analysis.page.wording import count, equals_p, known, listed
from analysis.rows.arms import Look
from analysis.sizes import signed

EARLY = "no look is complete"


def stands(record: dict, look: Look) -> str:
    """Return how far a study with [until] has come, and why it went no further; "" without. `record` is study.json.

    >>> stands({}, Look(number=1, seeds=(3, 5, 8), num_begun=4))
    'The study stands at look 1 of 3, with 3 of 8 seeds; 1 more seed was begun and waits for look 2.'
    """
    num_looks = len(look.seeds)
    if num_looks < 2:
        return ""
    if look.is_early:
        return f"The first of {num_looks} looks is at {look.seeds[0]} seeds: before it nothing is settled."
    told = f"The study stands at look {look.number} of {num_looks}"
    told += f", with {look.num_seeds} of {look.seeds[-1]} seeds"
    ended = {(one.get("look"), one.get("num_seeds")): one.get("ended") for one in record.get("looks", ())}
    why = ended.get((look.number, look.num_seeds))
    if why == "settled":
        return f"{told}: all is settled{', so no seeds were added' if look.number < num_looks else ''}."
    if why == "time limit":
        limit = record["study"]["until"]["time_limit_seconds"]
        return f"{told}: the time limit of {limit:g} s was over before the next."
    if look.number == num_looks:
        return f"{told}: what is inconclusive stays so."
    if beyond := look.num_begun - look.num_seeds:
        waits = "was begun and waits" if beyond == 1 else "were begun and wait"
        return f"{told}; {count(beyond, 'more seed')} {waits} for look {look.number + 1}."
    return f"{told}."


def settled_words(setting: Setting, c: Comparison) -> str:
    """Return ", settled at look 1 of 3 with 5 seeds", and what all seeds say where they disagree; "" without looks."""
    at = c.settled
    if at.num_looks < 2:
        return ""
    p = f" (Holm-corrected p {p_words(at.p)} there)" if known(at.p) and at.p != c.shown_p else ""
    but = f", but all {seeds_now(setting, c)} by themselves say {c.verdict_now}" if c.disputed else ""
    return f", settled {where_words(c)}{p}{but}"


def where_words(c: Comparison) -> str:
    """Return "at look 1 of 3 with 5 seeds": the look that settled a comparison."""
    return f"at look {c.settled.look} of {c.settled.num_looks} with {count(c.settled.num_seeds, 'seed')}"


def settled_briefly(c: Comparison) -> str:
    """Return "at look 1", and what all seeds say where they disagree: for lists and figures; "" without looks.

    >>> import numpy as np
    >>> from analysis.setting import Settled
    >>> at = Settled(word="better", look=1, num_looks=3, num_seeds=5, p=0.01)
    >>> settled_briefly(Comparison(a="a", b="b", differences=np.array([1.0, -1.0]), corrected_p=0.9, settled=at))
    'at look 1, now inconclusive'
    """
    if c.settled.num_looks < 2:
        return ""
    return f"at look {c.settled.look}{f', now {c.verdict_now}' if c.disputed else ''}"


def all_settled_words(setting: Setting, found: Sequence[Comparison], names: dict) -> str:
    """Return at which looks several comparisons were settled, and of which all seeds disagree; "" without looks."""
    at = sorted({c.settled.look for c in found})
    num_looks = found[0].settled.num_looks
    if len(at) == 1 and not any(c.disputed for c in found):
        return settled_words(setting, found[0])
    if num_looks < 2:
        return ""
    where = f"look {at[0]}" if len(at) == 1 else f"looks {listed(at)}"
    against = [f"{names[c.a]} ({c.verdict_now})" for c in found if c.disputed]
    seeds = seeds_now(setting, found[0])
    but = f", but all {seeds} by themselves say otherwise of {listed(against)}" if against else ""
    return f", settled at {where} of {num_looks}{but}"


def not_borne_out(setting: Setting, c: Comparison, names: dict) -> str:
    """Return one line on a comparison that a look settled and all seeds by themselves do not bear out."""
    size = signed(setting.metric, c.estimate.value)
    return (
        f"{names[c.a]} was settled as {c.settled.word} against {names[c.b]} at look {c.settled.look} of "
        f"{c.settled.num_looks}, but all {seeds_now(setting, c)} by themselves say {c.verdict_now} ({size})."
    )


def again(setting: Setting, names: dict) -> list[str]:
    """Return what to do about each comparison that a look settled and all seeds do not bear out, in the imperative."""
    disputed = [c for c in setting.planned if c.disputed]
    return [
        f"Repeat {names[c.a]} against {names[c.b]} on new seeds before you rely on it: look {c.settled.look} of "
        f"{c.settled.num_looks} settled it as {c.settled.word}, and all {seeds_now(setting, c)} by themselves say "
        f"{c.verdict_now}."
        for c in disputed
    ]


def seeds_now(setting: Setting, c: Comparison) -> str:
    """Return on how many seeds (blocks, for speed) a comparison rests by now, in words."""
    return count(len(c.differences), unit_of(setting))


def p_words(value: float) -> str:
    """Return a p-value after the letter p: "= 0.012", "< 0.001"."""
    return equals_p(value)
