"""`lrbench preview`: what it reads, what it says and writes, and what it refuses."""

import io
import json
import subprocess
import sys

import pytest

from lrbench.errors import InputError
from lrbench.preview import compute, preview_command, read_plans
from lrbench.sparkline import notable_epochs, sparkline
from lrbench.study import studies_folder
from lrbench.tests.helpers.commands import lrbench
from lrbench.tests.helpers.studies import DIGITS, write_study

STEPLR = "StepLR(step_size=30, gamma=0.1)"


def preview(capsys, *schedules, **options) -> str:
    """What preview_command prints on standard output."""
    given = {"lr": None, "epochs": None, "steps_per_epoch": 100, "interval": "epoch", "warmup": None, "out": None}
    preview_command(list(schedules), **{**given, "as_json": False, **options})
    return capsys.readouterr().out


# --------------------------------------------------------------------------------------------------- the command line


def test_the_example_of_the_readme(tmp_path):
    """SGD at 0.05 under StepLR(30, 0.1), 100 epochs, as JSON on the command line: 0.05, 0.005, 0.0005, 0.00005."""
    ended = lrbench("preview", STEPLR, "--lr", "0.05", "--epochs", "100", "--json", folder=tmp_path)
    (schedule,) = json.loads(ended.out)["schedules"]
    assert (ended.code, ended.err) == (0, "")
    assert schedule.keys() == {"label", "lr"}
    assert schedule["label"] == STEPLR
    assert schedule["lr"] == pytest.approx([0.05] * 30 + [0.005] * 30 + [0.0005] * 30 + [0.00005] * 10, rel=1e-12)
    assert schedule["lr"][:31] == [0.05] * 30 + [0.05 * 0.1]


def test_a_users_callables_are_found_in_the_current_folder(tmp_path, monkeypatch, capsys):
    """module:attr is looked for where the command is typed; two of them give two rates an epoch."""
    (tmp_path / "my_two_schedules.py").write_text(
        "def halve(epoch):\n    return 0.5**epoch\n\n\ndef keep(epoch):\n    return 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    call = "LambdaLR(lr_lambda=[my_two_schedules:halve, my_two_schedules:keep])"
    out = preview(capsys, call, lr=0.2, epochs=3, as_json=True)
    assert json.loads(out) == {"schedules": [{"label": call, "lr": [[0.2, 0.2], [0.1, 0.2], [0.05, 0.2]]}]}


def test_code_is_refused_with_exit_code_2(tmp_path):
    """A call that is code is not run: the command says so in one line, exits with 2 and leaves nothing behind."""
    ended = lrbench("preview", "StepLR(step_size=__import__('os').system('touch run'))", folder=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "is not a call of a named class" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_preview_loads_torch_and_nothing_else_that_is_slow():
    """Neither torchvision, torch's compiler, pandas, scipy nor matplotlib: torch's own import is most of the time."""
    code = f"""
import sys
from lrbench.preview import preview_command
options = dict(lr=0.05, epochs=3, steps_per_epoch=1, interval="epoch", warmup=None, out=None, as_json=False)
preview_command([{STEPLR!r}], **options)
print([name for name in ("torchvision", "torch._dynamo", "pandas", "scipy", "matplotlib") if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


def test_importing_the_command_loads_no_torch():
    """`lrbench.preview` imports torch when rates are computed, so a mistake in a call is told at once."""
    code = "import sys, lrbench.preview, lrbench.sparkline; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("quickstrat", ["Did you mean 'quickstart'?", "Studies: ", "Schedulers: ChainedScheduler"]),
        ("Steplr", ["Did you mean 'StepLR'?", "or a .toml file"]),
        ("SteppLR(30)", ["Did you mean 'StepLR'?"]),
        ("no/such/study.toml", ["no/such/study.toml does not exist", "quickstart"]),
        ("StepLR", ["step_size is missing"]),
        ("ReduceLROnPlateau(monitor=loss)", ["monitor found 'loss'; allowed: val_loss"]),
    ],
)
def test_a_wrong_schedule_is_told_with_what_is_allowed(schedule, said):
    """A word that is neither a study nor a scheduler names both lists; a wrong call names the argument."""
    with pytest.raises(InputError) as error:
        read_plans([schedule], lr=None, epochs=None, steps_per_epoch=1, interval="epoch", warmup=None)
    assert all(text in str(error.value) for text in said)


def test_all_mistakes_are_told_at_once():
    """Every wrong option is told, and every wrong schedule, each in a line of its own."""
    options = {"steps_per_epoch": 1, "interval": "epoch"}
    with pytest.raises(InputError) as error:
        read_plans([STEPLR], lr=-0.1, epochs=0, warmup={"kind": "linear"}, **options)
    assert [problem.split()[0] for problem in error.value.problems] == ["--lr", "--epochs", "--warmup"]
    with pytest.raises(InputError) as error:
        read_plans(["StepLR", STEPLR, "StepLR(0)", "StepLR("], lr=0.1, epochs=1, warmup=None, **options)
    assert len(error.value.problems) == 3
    plans, _ = read_plans(
        ["OneCycleLR(1, total_steps=1)", STEPLR, "ConstantLR(0)"], lr=1, epochs=9, warmup=None, **options
    )
    with pytest.raises(InputError) as error:
        compute(plans)
    assert [problem.partition("(")[0] for problem in error.value.problems] == ["OneCycleLR", "ConstantLR"]


# ------------------------------------------------------------------------------------------------------------- studies


def test_a_study_gives_its_schedulers_with_its_own_rate_and_epochs(tmp_path, capsys):
    """Each scheduler level is one schedule, at the study's base_lr, epochs and warm-up; options stand in for them."""
    schedulers = ["ExponentialLR(0.5)", {"name": "StepLR", "step_size": "50%", "interval": "step"}]
    study = write_study(
        tmp_path / "two.toml",
        fixed={
            "workload": DIGITS,
            "epochs": 2,
            "base_lr": 0.4,
            "warmup": {"kind": "constant", "steps": 1, "factor": 0.1},
        },
        grid={"scheduler": schedulers, "seed": "0-1"},
    )
    plans, notes = read_plans([str(study)], lr=None, epochs=None, steps_per_epoch=4, interval="epoch", warmup=None)
    exponential, step = compute(plans)
    assert [exponential.label, step.label] == ["ExponentialLR(gamma=0.5)", "StepLR(step_size=50%), per step"]
    assert exponential.lr == [pytest.approx([0.04, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2])]
    assert step.lr == [pytest.approx([0.04, 0.4, 0.4, 0.4, 0.04, 0.04, 0.04, 0.04])]
    assert exponential.by_epoch == [pytest.approx([0.04, 0.2])]
    assert any("4 optimizer steps an epoch" in note for note in notes)
    assert any("warm-up at 0.1 times the rate over 1 steps" in note for note in notes)
    out = preview(capsys, str(study), lr=1.0, epochs=3, steps_per_epoch=2, as_json=True)
    assert [s["lr"] for s in json.loads(out)["schedules"]] == [[0.1, 0.5, 0.25], [0.1, 1.0, pytest.approx(0.1)]]


def test_where_a_study_varies_more_the_first_level_is_taken_and_said(tmp_path):
    """base_lr and epochs that vary are drawn at their first level; varied warm-ups are all drawn, and in the label."""
    study = write_study(
        tmp_path / "many.toml",
        fixed={"workload": DIGITS},
        grid={"base_lr": [0.3, 0.1], "epochs": [2, 4], "warmup": ["off", {"kind": "linear", "fraction": 0.5}]},
    )
    plans, notes = read_plans([str(study)], lr=None, epochs=None, steps_per_epoch=2, interval="epoch", warmup=None)
    assert [(plan.base_lr, plan.epochs, plan.label) for plan in plans] == [
        (0.3, 2, "ConstantLR(factor=1.0), no warm-up"),
        (0.3, 2, "ConstantLR(factor=1.0), linear warm-up over 50% of all steps"),
    ]
    assert "base_lr varies in many: drawn for 0.3; --lr chooses another" in notes
    assert "epochs varies in many: drawn for 2; --epochs chooses another" in notes
    _, notes = read_plans([str(study)], lr=1.0, epochs=1, steps_per_epoch=2, interval="epoch", warmup=None)
    assert not any("varies" in note for note in notes)


def test_workloads_with_other_recipes_are_said_to_differ(tmp_path):
    """Where the recipes of varied workloads give other epochs, the first one's are drawn, and that is said."""
    study = tmp_path / "recipes.toml"
    study.write_text('question = "?"\n[grid]\nworkload = ["digits-cnn", "cifar10-resnet9"]\n')
    plans, notes = read_plans([str(study)], lr=None, epochs=None, steps_per_epoch=2, interval="epoch", warmup=None)
    assert [plan.epochs for plan in plans] == [10]
    assert notes == ["the workloads of recipes differ in epochs: drawn for 10; --epochs chooses another"]


@pytest.mark.parametrize("name", sorted(path.stem for path in studies_folder().glob("*.toml")))
def test_every_study_that_comes_along_can_be_previewed(name, capsys):
    """The built-in studies are known by name, and each of their schedules has a rate for each epoch."""
    for schedule in json.loads(preview(capsys, name, as_json=True))["schedules"]:
        assert schedule["lr"]
        assert all(rate >= 0 for rate in schedule["lr"])


# -------------------------------------------------------------------------------------------------- terminal and figure


def test_the_terminal_shows_the_curve_and_the_epochs_where_it_changes(capsys):
    """StepLR in 60 columns: 18 a plateau of 30 epochs, on a log scale, with a column for each change."""
    assert preview(capsys, STEPLR, lr=0.05).splitlines()[:5] == [
        STEPLR,
        "  " + "█" * 18 + "▆" * 18 + "▃" * 18 + "▁" * 6,
        "  first 0.05   min 5e-05   max 0.05   last 5e-05   (log scale)",
        "  epoch     0     30      60     90     99",
        "  lr     0.05  0.005  0.0005  5e-05  5e-05",
    ]


def test_the_worst_case_of_a_metric_and_a_negative_rate_are_said(capsys):
    """ReduceLROnPlateau's label and note tell what metric it saw; a rate below 0 is drawn, and told."""
    out = preview(capsys, "ReduceLROnPlateau(patience=1)", "LambdaLR(math:cos)", epochs=5)
    assert "ReduceLROnPlateau(patience=1), metric never improves\n" in out
    assert "ReduceLROnPlateau is drawn for a metric that never improves" in out
    assert "LambdaLR(lr_lambda=math:cos) falls below 0, to -0.099: training would climb the loss" in out


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


def test_notable_epochs_are_the_changes_or_places_on_the_way():
    """Few changes are all shown; a rate that always moves is shown on its way, with its peak."""
    assert notable_epochs([1.0] * 5) == [0, 4]
    assert notable_epochs([1.0, 1.0, 0.5, 0.5, 0.1]) == [0, 2, 4]
    assert notable_epochs([float(i if i < 33 else 99 - i) for i in range(100)]) == [0, 10, 25, 33, 50, 75, 90, 99]


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
    from analysis.preview_figure import draw

    return draw(compute(plans))


def test_up_to_three_curves_share_a_frame_and_more_have_one_each():
    """Three schedules are named beside their curves, touching none; four have panels that are named above."""
    three = drawn("StepLR(5)", "CosineAnnealingLR", "ExponentialLR(0.9)")
    (axes,) = three.axes
    names = [text.get_text().replace("\n", " ").replace("( ", "(") for text in axes.texts]
    assert names == ["StepLR(step_size=5)", "CosineAnnealingLR(T_max=100%)", "ExponentialLR(gamma=0.9)"]
    for text in axes.texts:
        box = text.get_window_extent()
        for line in axes.lines:
            assert not line.get_path().transformed(axes.transData).intersects_bbox(box, filled=False)
    four = drawn("StepLR(5)", "CosineAnnealingLR", "ExponentialLR(0.9)", "ConstantLR(1.0)")
    titles = [panel.get_title(loc="left") for panel in four.axes]
    assert titles == [
        "StepLR(step_size=5)",
        "CosineAnnealingLR(T_max=100%)",
        "ExponentialLR(gamma=0.9)",
        "ConstantLR(factor=1.0)",
    ]


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
