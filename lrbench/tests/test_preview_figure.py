"""The figure and the sparkline of a preview: scales, colours, dashes, and the same file each time."""

import io
import sys

import pytest
from matplotlib.colors import to_rgb

from analysis.figures.colours import colour_of
from lrbench.errors import InputError
from lrbench.preview import compute, preview_command
from lrbench.preview_plans import read_plans
from lrbench.sparkline import notable_epochs, sparkline
from lrbench.tests.helpers.preview_parts import STEPLR, preview


def test_a_pipe_that_holds_only_ascii_gets_ascii(monkeypatch):
    """Where the output cannot hold blocks, plain characters stand for them; a narrow terminal gets a narrow drawing."""
    monkeypatch.setenv("COLUMNS", "30")
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", pipe)
    options = {"lr": 0.1, "epochs": 4, "steps_per_epoch": 1, "interval": "epoch", "warmup": "off", "out": None}
    preview_command(["LinearLR(0.25, total_iters=3)"], **options, as_json=False)
    pipe.seek(0)
    assert pipe.read().splitlines()[:3] == [
        "LinearLR(start_factor=0.25, total_iters=3)",
        "  :::::::=======*******#######",
        "  first 0.025   min 0.025   max 0.1   last 0.1",
    ]


@pytest.mark.parametrize(
    ("rates", "width", "log", "line"),
    [
        ([0.0, 0.5, 1.0], 6, False, "▁▁▅▅██"),
        ([0.0, 0.0], 4, False, "▁▁▁▁"),
        ([-1.0, 1.0], 2, False, "▁█"),
        ([1.0, 0.1, 0.01, 0.0], 4, True, "█▅▁ "),
        ([0.5], 3, True, "███"),
        ([float(i) for i in range(100)], 5, False, "▁▂▄▅▇"),
    ],
)
def test_a_sparkline_is_scaled_from_0_or_by_decades(rates, width, log, line):
    """The largest rate is a full block and 0 the lowest, or a space on a log scale; columns are shared evenly."""
    assert sparkline(rates, width, log) == line


@pytest.mark.parametrize(
    ("rates", "epochs"),
    [
        ([1.0], [0]),
        ([1.0] * 5, [0, 1, 2, 3, 4]),
        ([1.0] * 100, [0, 25, 50, 75, 99]),
        ([1.0] * 30 + [0.1] * 30 + [0.01] * 40, [0, 25, 30, 50, 60, 75, 99]),
        ([100.0 - i for i in range(100)], [0, 25, 50, 75, 99]),
        ([float(i if i < 33 else 99 - i) for i in range(100)], [0, 25, 33, 50, 75, 99]),
        ([1.0 - (i % 40) / 40 for i in range(100)], [0, 25, 40, 50, 75, 80, 99]),
        ([1.0 - (i % 4) / 4 for i in range(100)], [0, 3, 25, 50, 75, 99]),
    ],
    ids=["one", "five", "constant", "milestones", "a line", "up and down", "two restarts", "many restarts"],
)
def test_notable_epochs_are_the_quarters_and_the_jumps(rates, epochs):
    """The first, each quarter, the last and every jump where these are few; else the largest and the smallest rate."""
    assert notable_epochs(rates) == epochs


@pytest.mark.parametrize(
    ("call", "log"),
    [
        (STEPLR, True),
        ("MultiStepLR([50%, 75%])", True),
        ("ExponentialLR(0.9)", True),
        ("CosineAnnealingLR", False),
        ("PolynomialLR(5)", False),
        ("OneCycleLR(0.1)", False),
        ("ConstantLR(0.5)", False),
    ],
)
def test_a_log_scale_is_for_rates_that_stay_low(call, log):
    """Plateaus two decades down call for a log scale; a cosine that ends near 0, or a rate of 0, does not."""
    plans, _ = read_plans([call], lr=0.1, epochs=100, steps_per_epoch=1, interval="epoch", warmup=None)
    assert compute(plans)[0].on_log_scale == log


def test_figures_are_written_as_png_and_svg_and_are_the_same_each_time(tmp_path, capsys):
    """--out writes the format that its name ends in, making the folder, and the same figure is the same bytes."""
    for name, begins in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        paths = [tmp_path / "new" / str(i) / name for i in range(2)]
        assert preview(capsys, STEPLR, lr=0.05, out=paths[0]) == f"figure: {paths[0]}\n"
        preview(capsys, STEPLR, lr=0.05, out=paths[1])
        assert paths[0].read_bytes().startswith(begins)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_figure_that_cannot_be_written_is_an_input_error(tmp_path, capsys):
    """Another ending is refused with what is allowed; a place that cannot be written is told with the reason."""
    with pytest.raises(InputError, match=r"--out found .*allowed: a file that ends in \.png or \.svg"):
        preview(capsys, STEPLR, out=tmp_path / "a.pdf")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written: File exists"):
        preview(capsys, STEPLR, out=tmp_path / "file" / "a.png")


def drawn(*calls, **options):
    plans, _ = read_plans(
        list(calls), **{"lr": 0.1, "epochs": 20, "steps_per_epoch": 5, "interval": "epoch", "warmup": "off", **options}
    )
    from analysis.figures.preview import draw

    return draw(compute(plans))


def test_several_schedules_share_a_frame_and_have_one_each():
    """Up to three are named beside their curves, touching none; and every one has a panel below, named above it."""
    calls = [
        "StepLR(step_size=5)",
        "CosineAnnealingLR(T_max=100%)",
        "ExponentialLR(gamma=0.9)",
        "ConstantLR(factor=1.0)",
    ]
    for number in (2, 3, 4):
        overlay, *panels = sorted(drawn(*calls[:number]).axes, key=lambda axes: -axes.get_position().width)
        panels = [panel for panel in panels if panel.lines]
        titles = [panel.get_title(loc="left").replace("\n", "") for panel in panels]
        assert sorted(titles) == sorted(calls[:number])
        assert [len(panel.lines) for panel in panels] == [number] * number  # the others are behind, faint
        assert len(overlay.lines) == number
        names = [text.get_text().replace("\n", "") for text in overlay.texts]
        assert names == (calls[:number] if number <= 3 else [])
        for text in overlay.texts:
            box = text.get_window_extent()
            for line in overlay.lines:
                assert not line.get_path().transformed(overlay.transData).intersects_bbox(box, filled=False)


def test_a_curve_and_the_name_of_its_panel_have_one_colour():
    """The title over a panel is its curve's colour, darkened to be read, so that the overlay needs no legend."""
    axes = drawn("StepLR(5)", "CosineAnnealingLR", "ExponentialLR(0.9)", "ConstantLR(1.0)").axes
    for panel in (a for a in axes if a.get_title(loc="left")):
        (curve,) = (line for line in panel.lines if line.get_linewidth() > 1)
        colour = panel.title.get_color() if panel.title.get_text() else panel._left_title.get_color()
        assert colour == pytest.approx(tuple(0.72 * part for part in to_rgb(curve.get_color())))


def test_a_scheduler_has_the_colour_that_it_has_in_a_report():
    """A class is drawn as reports draw it, alone or among others; two calls of one class are told apart by a shade."""
    calls = ["ConstantLR(1.0)", "CosineAnnealingLR", "CosineAnnealingWarmRestarts(5)", "StepLR(3)", "StepLR(5)"]
    overlay = max(drawn(*calls).axes, key=lambda axes: axes.get_position().width)
    colours = [line.get_color() for line in overlay.lines]
    assert colours[:4] == [colour_of(call) for call in calls[:4]]
    assert colours[4] not in colours[:4]
    assert [line.is_dashed() for line in overlay.lines] == [False, False, True, False, False]
    (alone,) = drawn("StepLR(3)").axes
    assert alone.lines[0].get_color() == colour_of("StepLR")


def test_the_best_case_is_a_dashed_curve_that_says_so():
    """ReduceLROnPlateau without a metric is two curves in its frame: what never improves, and what always does."""
    (axes,) = drawn("ReduceLROnPlateau(patience=3)").axes
    worst, best = axes.lines
    assert (worst.get_linestyle(), best.get_linestyle()) == ("-", "--")
    assert set(best.get_ydata()) == {0.1}
    assert min(worst.get_ydata()) < 0.01
    assert "best case: the metric always improves" in [text.get_text() for text in axes.texts]


def test_the_figure_draws_every_step_where_rates_move_within_epochs():
    """A rate that changes at each of 20 * 5 steps is a line with two corners a change, from epoch 0 to the end."""
    (line,) = drawn("ExponentialLR(0.9)", interval="step").axes[0].lines
    assert line.get_xdata()[[0, 1, 2, -1]].tolist() == [0, 0.2, 0.2, 20]
    assert line.get_ydata()[[0, 1, 2]].tolist() == pytest.approx([0.1, 0.1, 0.09])
    assert len(line.get_xdata()) == 2 * 100


def test_a_single_schedule_of_few_plateaus_has_their_rates_written_on():
    """The title says where the rate begins and ends, and each plateau its rate."""
    figure = drawn(STEPLR, lr=0.05, epochs=100)
    assert figure.get_suptitle() == f"{STEPLR}: from 0.05 to 5e-05 over 100 epochs"
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.05", "0.005", "0.0005", "5e-05"]
    assert figure.axes[0].get_yscale() == "log"


def test_a_warning_beside_a_figure_names_the_schedule_alone(tmp_path, capsys):
    """What a schedule is drawn for is no part of its name: the name is a call that can be typed again."""
    call = "SequentialLR(schedulers=[ConstantLR(factor=0.5), ReduceLROnPlateau()], milestones=[2])"
    options = {"lr": 0.1, "epochs": 4, "steps_per_epoch": 1, "interval": "epoch", "warmup": None, "as_json": False}
    preview_command([call], **options, out=tmp_path / "a.svg")
    (warning,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("warning"))
    assert warning.startswith(f"warning: {call}: built as lrbench's SequenceLR")
