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


def title(figure) -> str:
    return " ".join(figure.get_suptitle().split())


def test_the_title_is_the_first_finding():
    """One scheduler is better by 3 points, a flag 50% faster: both are said in words, the scheduler first."""
    (figure,) = summary.drawn(simulate(study_of(grid=GRID), BETTER), record())
    first, _, second = title(figure).partition("; ")
    assert first.startswith("CosineAnnealingLR is better than ConstantLR in final accuracy by 3.0")
    assert second.startswith("cudnn_benchmark = True is 5")
    assert second.endswith("% faster")


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        (Truth(), "Both others are equivalent to ConstantLR in final accuracy within"),
        (Truth(effects={"StepLR": -0.05}), "StepLR is worse than ConstantLR in final accuracy by"),
        (
            Truth(effects={"StepLR": 0.03, "CosineAnnealingLR": 0.03}, accuracy=0.9),
            "StepLR and CosineAnnealingLR are better than ConstantLR in final accuracy",
        ),
        (Truth(identical=False, run_sd=0.02), "None of 2 can be told from ConstantLR in final accuracy"),
    ],
    ids=["equivalent", "worse", "two better", "inconclusive"],
)
def test_the_title_states_what_was_found(truth, said):
    """Each verdict has its sentence, and no count of verdicts stands in its place."""
    grid = {"seed": "0-9", "scheduler": SCHEDULERS}
    (figure,) = summary.drawn(simulate(study_of(grid=grid, replicates=1), truth), record())
    assert title(figure).startswith(said)


def test_flags_that_vary_have_a_panel():
    """Beside the schedulers stands the ratio of speeds, near 1.5 for the flag; none of a flag that is inert."""
    (figure,) = summary.drawn(simulate(study_of(grid=GRID), BETTER), record())
    accuracy, speed = figure.axes
    assert "points" in accuracy.get_xlabel()
    assert speed.get_xlabel().startswith("ratio of speeds")
    (dot,) = (line for line in speed.lines if line.get_marker() == "o")
    assert dot.get_xdata()[0] == pytest.approx(1.5, abs=0.02)
    (on_cpu,) = summary.drawn(simulate(study_of(grid=GRID), Truth()), record())
    assert len(on_cpu.axes) == 1


def test_flags_alone_are_a_figure():
    """A study of flags alone has the panel of speeds, and its title says what the flag does."""
    rows = simulate(study_of(grid={"seed": "0-4", "cudnn_benchmark": [False, True]}), Truth(inert=False))
    (figure,) = summary.drawn(rows, record())
    assert title(figure) == "cudnn_benchmark changes the speed by less than 2%"
    assert len(figure.axes) == 1


def test_what_diverging_takes_back_is_marked():
    """A scheduler ahead on 7 seeds and diverged on 3 is inconclusive, and the figure says why."""
    study = study_of(grid={"seed": "0-9", "scheduler": SCHEDULERS}, replicates=1)
    rows = simulate(study, Truth(accuracy=0.9, effects={"CosineAnnealingLR": 0.03}))
    lost = (rows["scheduler_name"] == "CosineAnnealingLR") & (rows["seed"] < 3)
    rows["status"] = rows["status"].astype(str).where(~lost, "diverged")
    (figure,) = summary.drawn(rows, record())
    assert "inconclusive: diverged" in [text.get_text() for text in figure.axes[0].texts]
    assert "CosineAnnealingLR diverged on some seeds" in title(figure)


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
    assert title(figure).endswith("(the first 24 of 30 comparisons drawn)")
    assert sum(len(axes.texts) for axes in figure.axes) == 24


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_badge_says_its_verdict_in_words(verdict):
    """The words are in the page, in Markdown and in plain text; the mark before them is not read aloud."""
    badge = markup.badge(verdict)
    assert verdict in badge.markdown
    assert f"</span> {verdict}</span>" in badge.page
    assert 'aria-hidden="true"' in badge.page
    assert badge.text == f"[{verdict}]"


@pytest.mark.parametrize(
    "code",
    [
        "workload=mynet:workload",
        "workload = mynet:workload",
        "workload=lrbench.trial.models:small_cnn",
        "lrbench.trial.models:small_cnn",
        "mynet:Decay(gamma=0.5)",
        "LambdaLR(lr_lambda=mynet:decay)",
        "optimizer=SGD(momentum=0.9, …)",
        "optimizer=AdamW(betas=(0.9, 0.95), lr=0.1)",
        "CyclicLR(scale_fn=f(x), gamma=0.5)",
        "[tune.arguments.OneCycleLR]",
        "[[compare]]",
        "--set num_threads=[1,2]",
        "--set workload=mynet:workload",
    ],
)
@pytest.mark.parametrize("around", ["{}", "Try {}: it is first.", "({}, say)"])
def test_what_one_types_is_marked_whole(code, around):
    """A name with its module, a call with its arguments and a table's name are one piece of code, and nothing else."""
    before, after = around.split("{}")
    assert markup.marked_markdown(around.format(code)) == f"{before}`{code}`{after}"
    assert markup.marked_html(around.format(code)) == f"{before}<code>{code}</code>{after}"


@pytest.mark.parametrize("text", ["One thing: another.", "at 12:30", "https://example.org", "Note: see"])
def test_a_colon_of_a_sentence_is_no_code(text):
    """What is written around a colon is left as it is."""
    assert markup.marked_html(text) == text


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
