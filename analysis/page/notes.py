"""What the notes say, and what is so: each sentence of the seed notes, judged by the verdicts of its claims.

The sentences and their claims are in lrbench/claims/notes.toml. What this does *not* do: test a claim
(`lrbench.claims` does), or set the page (`analysis.page.claims_page` does).
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lrbench
from analysis.claims import Findings
from analysis.page.wording import count, listed

TITLE = "What the notes say, and what is so"
Vote = Literal["for", "against", "partly", "open", "not tested here", "not in this folder"]
Word = Literal["so", "partly", "not so", "not settled", "not tested here"]
_OF_VERDICT: dict[str, Vote] = {
    "supported": "for",
    "equivalent within margin": "for",
    "refuted": "against",
    "inconclusive": "open",
    "not testable here": "not tested here",
}
_TURNED: dict[Vote, Vote] = {"for": "against", "against": "for"}


@dataclass(frozen=True, kw_only=True)
class Note:
    """A sentence, the claims that speak for it and against it where they are supported, and others of its subject."""

    sentence: str
    so_if: tuple[str, ...] = ()
    not_so_if: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The claims that the sentence rests on and that stand beside it, each once, as they are listed."""
        return list(dict.fromkeys(name.split()[0] for name in (*self.so_if, *self.not_so_if, *self.beside)))


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a sentence stands: a word, what limits it ("" for nothing), and the claims that are there, with what was
    seen: (id, verdict, seen)."""

    note: Note
    word: Word
    limits: str
    claims: tuple[tuple[str, str, str], ...]


def notes_file() -> Path:
    """Where the sentences are."""
    return Path(lrbench.__file__).parent / "claims" / "notes.toml"


def read_notes(path: Path | None = None) -> list[Note]:
    """Return the notes in their order, from `path` or from the file that comes with lrbench."""
    tables = tomllib.loads((path or notes_file()).read_text(encoding="utf-8"))["note"]
    return [Note(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}) for table in tables]


def word_of(votes: list[Vote]) -> Word:
    """Return the word for a sentence whose claims voted so. What was not tested, or showed nothing, decides nothing.

    >>> word_of(["for", "for"]), word_of(["against"]), word_of(["for", "against"]), word_of(["for", "partly"])
    ('so', 'not so', 'partly', 'partly')
    >>> word_of(["open", "not tested here"]), word_of(["not tested here", "not in this folder"]), word_of([])
    ('not settled', 'not tested here', 'not tested here')
    """
    decided = {vote for vote in votes if vote in ("for", "against", "partly")}
    if not decided:
        return "not settled" if "open" in votes else "not tested here"
    return {frozenset({"for"}): "so", frozenset({"against"}): "not so"}.get(frozenset(decided), "partly")


def summary_of(words: list[Word]) -> str:
    """Return in a sentence how many of the notes' sentences stand how.

    >>> summary_of(["so", "not so", "so", "not tested here"])
    'Of 4 sentences, 2 are so, 1 is not so and 1 is not tested here.'
    """
    counts = {word: words.count(word) for word in ("so", "partly", "not so", "not settled", "not tested here")}
    said = [f"{n} {'is' if n == 1 else 'are'} {word}{' so' * (word == 'partly')}" for word, n in counts.items() if n]
    return f"Of {count(len(words), 'sentence')}, {listed(said)}."


def limits_of(votes: dict[str, Vote]) -> str:
    """Return which of the claims that a sentence rests on are missing from its word, and what to type for those that
    were never run; "" where none is.

    >>> limits_of({"C1a": "for"}), limits_of({"C1a": "for", "C1b": "open"})
    ('', 'C1b is inconclusive')
    >>> limits_of({"C1a": "not in this folder", "C1f": "not tested here"})
    'C1f could not be tested here; C1a is not in this folder: lrbench claims --only C1a'
    """
    by_vote = {vote: [name for name, given in votes.items() if given == vote] for vote in votes.values()}
    said = []
    if names := by_vote.get("open"):
        said.append(f"{listed(names)} {'is' if len(names) == 1 else 'are'} inconclusive")
    if names := by_vote.get("not tested here"):
        said.append(f"{listed(names)} could not be tested here")
    if names := by_vote.get("not in this folder"):
        be = "is" if len(names) == 1 else "are"
        said.append(f"{listed(names)} {be} not in this folder: lrbench claims --only {','.join(names)}")
    return "; ".join(said)


def standings(findings: Findings, notes: list[Note]) -> list[Standing]:
    """Return how each note stands by the verdicts of a claims folder."""
    by_id = {claim.id: claim for claim in findings.claims.itertuples()}

    def vote(name: str) -> Vote:
        id, _, column = name.partition(" ")
        if id not in by_id:
            return "not in this folder"
        given = _OF_VERDICT[by_id[id].verdict]
        if not column or given in ("open", "not tested here"):
            return given
        said = findings.evidence_of(id)[column].dropna().astype(bool)
        return "for" if said.all() else "partly" if said.any() else "against"

    found = []
    for note in notes:
        plain = {name: vote(name) for name in note.so_if}
        turned = {name: _TURNED.get(vote(name), vote(name)) for name in note.not_so_if}
        votes = {name.split()[0]: given for name, given in (plain | turned).items()}
        claims = tuple((id, by_id[id].verdict, by_id[id].seen) for id in note.ids if id in by_id)
        found.append(Standing(note=note, word=word_of(list(votes.values())), limits=limits_of(votes), claims=claims))
    return found
