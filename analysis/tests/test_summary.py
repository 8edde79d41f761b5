"""The first page's figure, and the markup of its verdicts."""

import doctest

import pandas as pd
import pytest

from analysis.page import markup, summary
from analysis.statistics.verdicts import VERDICTS
from analysis.tests.simulate import Truth, simulate, study_of

SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": "30%"}, "CosineAnnealingLR"]
GRID = {"seed": "0-9", "cudnn_benchmark": [False, True], "scheduler": SCHEDULERS}
BETTER = Truth(effects={"CosineAnnealingLR": 0.03}, accuracy=0.9, inert=False, benchmark_ratio=1.5)


def record(*compare: dict) -> dict:
    return {"study": {"compare": list(compare)}}


def test_the_title_counts_the_verdicts():
    """One scheduler is better by 3 points, another equal on every seed: one is better, and named."""
    (figure,) = summary.drawn(simulate(study_of(grid=GRID), BETTER), record())
    assert " ".join(figure.get_suptitle().split()) == (
        "2 comparisons with a baseline: 1 better (CosineAnnealingLR), 1 equivalent"
    )


def test_each_metric_has_a_panel_with_its_own_unit():
    """Accuracy in points and speed in per cent stand on axes of their own; the verdict is written beside each row."""
    asked = record(
        {"factor": "scheduler", "metric": "final_accuracy"},
        {"factor": "cudnn_benchmark", "metric": "samples_per_second", "margin": "2%"},
    )
    (figure,) = summary.drawn(simulate(study_of(grid=GRID), BETTER), asked)
    first, second = figure.axes
    assert "points" in first.get_xlabel()
    assert "%" in second.get_xlabel()
    assert second.get_title(loc="left") == "throughput against cudnn_benchmark = False"
    assert [text.get_text() for text in second.texts] == ["better"]
    (dot,) = (line for line in second.lines if line.get_marker() == "o")
    assert dot.get_xdata()[0] == pytest.approx(50, abs=2)


def test_nothing_to_compare_is_no_figure():
    """One scheduler, or no rows at all, gives no figure."""
    rows = simulate(study_of())
    assert summary.drawn(rows, record()) == summary.drawn(rows[:0], record()) == []


def test_of_many_comparisons_the_first_are_drawn():
    """Of 30 comparisons 24 are drawn, and the title says so."""
    grid = {"seed": "0-2", "scheduler": SCHEDULERS, "base_lr": [0.01 * n for n in range(1, 16)]}
    (figure,) = summary.drawn(simulate(study_of(grid=grid, replicates=1)), record())
    assert "30 comparisons" in figure.get_suptitle()
    assert sum(len(axes.texts) for axes in figure.axes) == 24


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_badge_says_its_verdict_in_words(verdict):
    """The words are in the page, in Markdown and in plain text; the mark before them is not read aloud."""
    badge = markup.badge(verdict)
    assert verdict in badge.markdown
    assert f"</span> {verdict}</span>" in badge.page
    assert 'aria-hidden="true"' in badge.page
    assert badge.text == f"[{verdict}]"


def test_markup_escapes():
    """What a study wrote is text in every markup, in sentences, tables and folded code alike."""
    evil = "<script>alert(1)</script>"
    pieces = [
        markup.sentences([evil], "findings"),
        markup.table(pd.DataFrame({"what": [evil]})),
        markup.folded("rows", evil),
        markup.heading(evil, "x"),
        markup.badge(evil),
        markup.paragraph(evil),
    ]
    assert not any("<script" in piece.page for piece in pieces)
    assert markup.badge("").page == ""
    assert doctest.testmod(markup).failed == 0


def test_a_verdict_in_a_table_is_a_badge():
    """The word stands in the cell with its mark, and an interval below its value."""
    page = markup.table(pd.DataFrame({"verdict": ["worse"], "size": ["1.0 [0.5, 1.5]"]})).page
    assert '<span class="badge worse">' in page
    assert '<span class="interval">[0.5, 1.5]</span>' in page
