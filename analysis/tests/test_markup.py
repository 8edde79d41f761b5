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
