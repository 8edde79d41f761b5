"""Sentences as they are written: what is to be typed stands apart, and what several share is said once."""

import pytest

from analysis.page import markup


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "Go on: lrbench run quickstart --out 'a b' --set seed=0-9.",
            "lrbench run quickstart --out 'a b' --set seed=0-9",
        ),
        ("Then lrbench run NAME, or stop.", "lrbench run NAME"),
        ("Type lrbench report to see more.", "lrbench report"),
        ("Look: lrbench diverge results/x#abc", "lrbench diverge results/x#abc"),
    ],
)
def test_a_command_is_code_to_its_last_word(text, code):
    """What is to be copied is set apart whole, and the sentence's full stop is not in it."""
    assert f"`{code}`" in markup.marked_markdown(text)


def test_an_opening_that_sentences_share_is_said_once():
    """Sentences of one setting stand below it, in the page and in Markdown; what opens otherwise stands by itself."""
    piece = markup.sentences(["At 0.1: a.", "At 0.1: b.", "At 0.2: c.", "D."], "findings")
    assert piece.markdown.splitlines() == ["- At 0.1:", "  - a.", "  - b.", "- At 0.2: c.", "- D."]
    assert piece.page.count("At 0.1") == 1


def test_a_colon_inside_a_level_does_not_part_a_sentence():
    """A level may hold a dict: its colon is not the one at which sentences are grouped, and no bracket is torn."""
    at = "workload=own:mlp, model_args={'width': 8}"
    piece = markup.sentences([f"{at}: A is worse.", f"{at}: B is better.", "C (p: 0.1) is it."], "findings")
    first, *rest = piece.markdown.splitlines()
    assert "'width': 8}" in first
    assert first.endswith(":")
    assert rest == ["  - A is worse.", "  - B is better.", "- C (p: 0.1) is it."]
    assert piece.text.splitlines()[0] == f"- {at}:"
