"""Two results folders compared in the terminal, as JSON and as a page: what is printed is whole, and repeats."""

import json
import re
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from analysis.page.folders_page import as_json_text, compare, compare_command, write_page
from analysis.page.folders_printed import _print_table, print_comparison
from analysis.tests.test_folders import again, write
from lrbench.errors import InputError


@pytest.fixture(scope="module")
def a(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("a") / "a")


@pytest.fixture(scope="module")
def made(a, tmp_path_factory):
    """A comparison with a bit of everything."""

    def change(row, index):
        changes = {"torch_version": "2.16.0", "samples_per_second": row["samples_per_second"] * 0.9}
        if row["seed"] == 1:
            changes |= {"weights_sha256": "f" * 64, "final_accuracy": row["final_accuracy"] - 0.01}
        return again(row, **changes) if row["seed"] < 5 else None

    return compare(a, write(tmp_path_factory.mktemp("b") / "b", change))


def test_the_terminal_tells_what_the_page_tells(made):
    """What differs comes first; then each question with its sentences; no line is wider than the terminal."""
    from rich.console import Console

    stream = StringIO()
    print_comparison(made, Console(file=stream, width=100))
    told = stream.getvalue()
    assert max(len(line) for line in told.splitlines()) <= 100
    flat = " ".join(told.split())
    assert flat.index("torch_version") < flat.index("20 trials are in both; 4 only in A.") < flat.index("in cost?")
    for answer in made.answers.values():
        assert answer.title in flat
        assert all(sentence in flat for sentence in answer.sentences)
    assert not re.search(r"\b(nan|inf|None)\b", told)


@pytest.mark.parametrize("width", [60, 69, 70, 71, 72, 80, 100])
def test_no_word_of_a_table_is_cut(made, width):
    """However narrow the terminal, verdicts and headings are there to their last letter, and every line fits."""
    from rich.console import Console

    stream = StringIO()
    wordy = pd.DataFrame(
        {
            "B over A": ["throughput", "time of the first step"],
            "A": ["0-3", "ConstantLR(factor=1.0), CosineAnnealingLR(T_max=100%), StepLR(step_size=50%, gamma=0.1)"],
            "cost ratio": ["0.814 [0.746, 0.889]", "1.125 [0.976, 1.298]"],
            "verdict": ["equivalent within margin", "inconclusive"],
        }
    )
    for table in (wordy, wordy.drop(columns="A")):  # the second is 72 characters wide
        _print_table(table, Console(file=stream, width=width))
    print_comparison(made, Console(file=stream, width=width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    told = stream.getvalue().split()
    assert told.count("equivalent") >= 2
    assert told.count("inconclusive") >= 2
    assert {"margin", "verdict", "0.889]", "throughput", "time"} <= set(told)


def test_the_page_asks_for_nothing_and_repeats_exactly(made, tmp_path):
    """HTML, Markdown, JSON and figure are written; nothing is fetched; the same folders give the same bytes."""
    one, two = write_page(made, tmp_path / "x"), write_page(made, tmp_path / "y")
    for path, other in zip(vars(one).values(), vars(two).values(), strict=True):
        assert path.read_bytes() == other.read_bytes()
    page, text = one.html.read_text(encoding="utf-8"), one.markdown.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "<script" not in page
    for answer in made.answers.values():
        assert answer.title in page
        assert answer.title in text
    assert "(figures/compare.svg)" in text
    assert str(tmp_path) not in page + text
    assert not re.search(r">(nan|inf|None)<", page)


def test_the_json_is_plain(made):
    """The JSON holds the counts, the differences and each answer; no NaN, which JSON does not know."""

    def refuse(word):
        raise AssertionError(word)

    found = json.loads(as_json_text(made), parse_constant=refuse)
    assert found["num_matched"] == 20
    assert [d["column"] for d in found["differs"]] == ["seed", "torch_version"]
    assert found["cost"]["verdict"] == "worse"
    assert found["cost"]["table"][0]["cost_ratio"] == pytest.approx(0.9, rel=0.02)
    assert found["bits"]["sentences"] == list(made.answers["bits"].sentences)


def test_the_command_prints_and_writes_only_when_asked(a, tmp_path, capsys, monkeypatch):
    """Without --out nothing is written anywhere; with it the page's path is told."""
    monkeypatch.chdir(tmp_path)
    b = write(tmp_path / "b", lambda row, i: again(row))
    before = sorted(tmp_path.rglob("*"))
    assert compare_command(a, b) == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert "What changed in bits?" in capsys.readouterr().out
    assert compare_command(a, b, tmp_path / "out", as_json=True) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["num_matched"] == 24
    assert told.err == f"page: {tmp_path / 'out' / 'compare.html'}\n"


def test_a_folder_without_a_study_is_told(a, tmp_path):
    """Bad input names the folder and what to type."""
    with pytest.raises(InputError, match="holds no study"):
        compare(a, tmp_path)
