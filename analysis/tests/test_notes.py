"""The notes' sentences beside the verdicts: each word follows from the verdicts, by hand."""

import re
from pathlib import Path

import pytest

from analysis.claims import read_findings
from analysis.page.claims_page import write_page
from analysis.page.notes import TITLE, Note, limits_of, read_notes, standings, word_of
from analysis.tests.test_claims import Balanced, claim, write

NOTE = Note(sentence="it is so", so_if=("C1a",), not_so_if=("C1c",))


def standing_of(folder: Path, note: Note, claims: list[dict], evidence=()):
    (found,) = standings(read_findings(write(folder, claims, list(evidence))), [note])
    return found


@pytest.mark.parametrize(
    ("speaks_for", "speaks_against", "word"),
    [
        ("supported", "refuted", "so"),
        ("equivalent within margin", "refuted", "so"),
        ("refuted", "supported", "not so"),
        ("supported", "supported", "partly"),
        ("refuted", "refuted", "partly"),
        ("supported", "inconclusive", "so"),
        ("supported", "not testable here", "so"),
        ("inconclusive", "not testable here", "not settled"),
        ("not testable here", "not testable here", "not tested here"),
    ],
)
def test_the_word_follows_from_the_verdicts(speaks_for, speaks_against, word, tmp_path):
    """A claim speaks for its sentence or against it, turned round where it is refuted; what shows nothing decides
    nothing, and the sentence names it."""
    found = standing_of(tmp_path, NOTE, [claim("C1a", speaks_for), claim("C1c", speaks_against)])
    assert found.word == word
    undecided = [id for id, verdict in (("C1a", speaks_for), ("C1c", speaks_against)) if verdict[:3] in ("inc", "not")]
    assert bool(found.limits) == bool(undecided)
    assert all(id in found.limits for id in undecided)


def test_a_claim_that_was_never_run_says_what_to_type(tmp_path):
    """A sentence whose claims are not in the folder is not tested here, with the command for just those."""
    found = standing_of(tmp_path, NOTE, [claim("S1", "supported")])
    assert found.word == "not tested here"
    assert found.limits == "C1a and C1c are not in this folder: lrbench claims --only C1a,C1c"
    assert found.claims == ()


def test_a_claim_beside_it_does_not_decide(tmp_path):
    """What stands beside a sentence is shown with it, and has no vote."""
    note = Note(sentence="it is so", so_if=("C1a",), beside=("C1e",))
    found = standing_of(tmp_path, note, [claim("C1a", "supported"), claim("C1e", "refuted", seen="they vary")])
    assert (found.word, found.limits) == ("so", "")
    assert found.claims == (("C1a", "supported", "it was seen"), ("C1e", "refuted", "they vary"))


@pytest.mark.parametrize(
    ("holds", "word"), [((True, True), "so"), ((True, False), "partly"), ((False, False), "not so")]
)
def test_a_column_of_the_evidence_may_decide(holds, word, tmp_path):
    """Where a claim says more than the sentence, one column of its evidence votes: all, some, or none of the rows."""
    rows = [{"id": "S5", "row": row, "holds": value} for row, value in enumerate(holds)]
    found = standing_of(tmp_path, Note(sentence="x", so_if=("S5 holds",)), [claim("S5", "refuted")], rows)
    assert found.word == word


def test_an_untested_column_is_not_asked_for(tmp_path):
    """A claim that could not be tested has no evidence; its sentence is not tested, and nothing breaks."""
    found = standing_of(tmp_path, Note(sentence="x", so_if=("S5 holds",)), [claim("S5", "not testable here")], [])
    assert found.word == "not tested here"
    assert found.limits == "S5 could not be tested here"


def test_one_against_many_is_partly():
    """A sentence of which one part fails is not so as it is written, and not all wrong either."""
    assert word_of(["for", "for", "against", "open"]) == "partly"
    assert limits_of({"C1a": "open", "C1b": "open"}) == "C1a and C1b are inconclusive"


# ---------------------------------------------------------------------------------------- the sentences themselves

NOTES = read_notes()


def test_each_part_of_the_notes_is_there():
    """Flags, seeds and every remark on schedulers have a sentence of their own, and each rests on a claim."""
    text = " ".join(note.sentence for note in NOTES)
    for said in (
        "benchmark",
        "deterministic",
        "manual_seed",
        "CosineAnnealingLR",
        "patience",
        "last_epoch",
        "before optimizer.step",
        "get_lr",
        "verbose",
        "StepLR(step_size=30, gamma=0.1) from 0.05",
        "min_lr",
    ):
        assert said in text
    assert all(note.so_if or note.not_so_if for note in NOTES)


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.ids[0])
def test_a_sentence_rests_on_claims_of_the_catalogue(note):
    """Each id has the catalogue's form and stands in the area that the notes are of: flags and seeds, or schedulers."""
    assert all(re.fullmatch(r"[CS]\d+[a-g]?", id) for id in note.ids)
    assert not {*note.so_if, *note.not_so_if} & set(note.beside)


def test_the_page_begins_with_the_notes(tmp_path):
    """The notes are the first section of the page and of the Markdown, every sentence once, each claim a link to its
    place below."""
    claims = [claim("S2", "supported", seen="0.05 then <0.005>"), claim("S3", "refuted")]
    paths = write_page(write(tmp_path, claims))
    page, text = (path.read_text(encoding="utf-8") for path in (paths.html, paths.markdown))
    Balanced(page)
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert headings[0] == TITLE
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[0] == TITLE
    assert page.count('<article class="claim said">') == len(NOTES)
    assert '<a href="#S2">S2</a> <span class="supported">supported</span>: 0.05 then &lt;0.005&gt;.' in page
    assert '<article class="claim" id="S2">' in page
    assert "lrbench claims --only C1a,C1b,C1f" in page
    assert "| so | S2 supported: 0.05 then \\<0.005>" in text
