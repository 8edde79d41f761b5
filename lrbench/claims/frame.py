"""The frame of the catalogue: what a claim is, how it is registered, selected and judged.

Verdicts come in five words. A claim's docstring is its statement; its code tests that statement as it is written. What
this does *not* do: run claims or write them down (`lrbench.claims.run`), or know any claim.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol

from lrbench.errors import InputError, did_you_mean

Word = Literal["supported", "refuted", "equivalent within margin", "inconclusive", "not testable here"]
WORDS: tuple[Word, ...] = ("supported", "refuted", "equivalent within margin", "inconclusive", "not testable here")
GateResult = Literal["no gate", "passed", "failed", "not tested"]
# the areas of the catalogue in their order, as they are called where claims are listed
AREAS = {
    "S": "schedulers",
    "L": "learning rates in training",
    "R": "resume",
    "C": "cuDNN flags and seeds",
    "V": "validity",
    "D": "data and distribution",
}
WHERE = {"C": "CPU", "G": "one CUDA GPU", "G2": "two CUDA GPUs", "C,G": "CPU and one CUDA GPU"}
KINDS = {"E": "exact", "S": "statistical", "P": "profiler or log"}
# the modules that register claims; importing one runs nothing
_MODULES = (
    "schedulers",
    "composition",
    "conformance",
    "applied_lr",
    "resume",
    "gates",
    "one_ulp",
    "error_rates",
    "finder",
    "processes",
    "data",
    "distributed",
    "cudnn",
    "deterministic",
    "seeding",
    "kernels",
    "settings",
    "spread",
    "noise_sources",
    "recipes",
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One of five words, a sentence of what was seen, and the evidence: rows of plain values (lrbench.claims.columns).

    `seen` of "inconclusive" says the smallest effect that could have been seen; of "not testable here", the reason.
    """

    word: Word
    seen: str
    evidence: tuple[dict, ...] = ()

    def __post_init__(self):
        assert self.word in WORDS, f"{self.word!r} is no verdict"
        assert self.seen, "a verdict says what was seen"


class Room(Protocol):
    """What a claim may use: the device, and real trials in fresh processes. `lrbench.claims.room` has the real one."""

    device: str

    def study(self, name: str, *, fixed: dict, grid: dict, replicates: int = 1, **run):
        """Run a study to its end and return its rows as a pandas.DataFrame; `run` goes to lrbench.run_study."""

    def go_on(self, name: str, **run):
        """Run the trials of a study again that were cut off, and return all its rows."""

    def checkpoint(self, name: str, trial_id: str) -> Path:
        """Return the file in which a trial of a study leaves its state."""

    def fresh(self, function: str, calls: list[dict], environment: dict[str, str] | None = None) -> list:
        """Return what "module:attr" returned for each call's arguments, each asked in a new Python process."""

    def once(self, question: Callable[["Room"], object]) -> object:
        """Return question(self), asked no more than once: claims may share what was expensive to see."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement that a program can test. `area` is the id's first letter; `expected` is a hypothesis."""

    id: str
    statement: str
    where: str
    kind: str
    expected: str
    source: str
    gate: bool
    judge: Callable[[Room], Verdict]

    @property
    def area(self) -> str:
        return self.id[0]


_CLAIMS: dict[str, Claim] = {}


def claim(*, id: str, where: str, kind: str, expected: str, source: str, gate: bool = False):
    """Register the function below as a claim; its docstring is the statement."""
    assert id not in _CLAIMS, f"{id} is registered twice"
    assert re.fullmatch(r"[A-Z]\d+[a-z]?", id), f"{id!r} is no id of a claim"
    assert id[0] in AREAS, f"{id[0]!r} is no area"
    assert where in WHERE, f"{where!r} is no place"
    assert kind in KINDS, f"{kind!r} is no kind"

    def register(judge: Callable[[Room], Verdict]) -> Callable[[Room], Verdict]:
        statement = " ".join(judge.__doc__.split()).removesuffix(".")
        _CLAIMS[id] = Claim(
            id=id,
            statement=statement,
            where=where,
            kind=kind,
            expected=expected,
            source=source,
            gate=gate,
            judge=judge,
        )
        return judge

    return register


def catalogue() -> list[Claim]:
    """Return every claim, by area and number."""
    for module in _MODULES:
        import_module(f"lrbench.claims.{module}")
    return sorted(_CLAIMS.values(), key=lambda claim: place_of(claim.id))


def place_of(id: str) -> tuple[int, int, str]:
    """Return what puts an id in its place: its area's, then its number, then its letter.

    >>> sorted(["L1", "S10", "S2", "C1b", "C1a"], key=place_of)
    ['S2', 'S10', 'L1', 'C1a', 'C1b']
    """
    number, letter = re.fullmatch(r"[A-Z](\d+)([a-z]?)", id).groups()
    return list(AREAS).index(id[0]), int(number), letter


def select(claims: list[Claim], only: str | None) -> list[Claim]:
    """Return the claims that `only` names, e.g. "S,L" (areas) or "S3,R1" (ids), in the catalogue's order.

    None selects all. Case does not matter. Raises InputError for every word that names neither, and where nothing is
    named.
    """
    if only is None:
        return claims
    ids = [claim.id for claim in claims]
    areas = list(dict.fromkeys(claim.area for claim in claims))
    by_lower = {name.lower(): name for name in [*areas, *ids]}
    words = [word.strip() for word in only.split(",") if word.strip()]
    problems = [
        f"--only found {word!r}; allowed: the areas {', '.join(areas)} and the ids {', '.join(ids)}."
        f"{did_you_mean(word, by_lower.values())}"
        for word in words
        if word.lower() not in by_lower
    ]
    if not words:
        problems.append(f"--only found {only!r}, which names nothing; write areas or ids: --only S,L1")
    if problems:
        raise InputError(*problems)
    wanted = {by_lower[word.lower()] for word in words}
    return [claim for claim in claims if claim.id in wanted or claim.area in wanted]


def not_testable(where: str, device: str, num_gpus: int) -> str:
    """Return why a claim cannot be tested on this machine; "" where it can.

    A claim of CPU and GPU ("C,G") is tested where it is: on a CPU alone its row says `device` cpu.

    >>> not_testable("G", "cpu", 0), not_testable("C,G", "cpu", 0)
    ('there is no CUDA device here', '')
    """
    if where in ("G", "G2") and not device.startswith("cuda"):
        return "there is no CUDA device here"
    if where == "G2" and num_gpus < 2:
        return "it takes two CUDA devices, and there is one here"
    return ""


def gate_result(gate: bool, word: Word) -> GateResult:
    """Return what a verdict means for a gate: a gate that could not be tested is neither passed nor failed.

    >>> gate_result(True, "supported"), gate_result(True, "inconclusive"), gate_result(False, "refuted")
    ('passed', 'failed', 'no gate')
    """
    if not gate:
        return "no gate"
    if word == "not testable here":
        return "not tested"
    return "passed" if word in ("supported", "equivalent within margin") else "failed"


def bound_after_none(num_pairs: int) -> float:
    """Return the one-sided 95 % bound on the share of mismatches after 0 of `num_pairs`: 1 - 0.05 ** (1 / n).

    >>> [round(bound_after_none(n), 3) for n in (3, 10, 29, 59)]
    [0.632, 0.259, 0.098, 0.05]
    """
    return 1 - 0.05 ** (1 / num_pairs)
