"""`lrbench preview`: what it reads, what it says and writes, and what it refuses."""

import io
import json
import subprocess
import sys
from time import perf_counter

import pytest

from lrbench.errors import InputError
from lrbench.preview import Schedule, compute, preview_command
from lrbench.preview_plans import read_metric, read_plans
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
    assert schedule.keys() == {"label", "lr", "area", "mean_share", "final_lr", "warnings"}
    assert (schedule["label"], schedule["warnings"]) == (STEPLR, [])
    assert schedule["lr"] == pytest.approx([0.05] * 30 + [0.005] * 30 + [0.0005] * 30 + [0.00005] * 10, rel=1e-12)
    assert schedule["lr"][:31] == [0.05] * 30 + [0.05 * 0.1]
    assert schedule["area"] == pytest.approx(1.6655)  # 1.5 + 0.15 + 0.015 + 0.0005
    assert schedule["mean_share"] == pytest.approx(0.3331)  # 1.6655 of 100 · 0.05
    assert schedule["final_lr"] == schedule["lr"][-1]


def test_a_users_callables_are_found_in_the_current_folder(tmp_path, monkeypatch, capsys):
    """module:attr is looked for where the command is typed; two of them give two rates an epoch."""
    (tmp_path / "my_two_schedules.py").write_text(
        "def halve(epoch):\n    return 0.5**epoch\n\n\ndef keep(epoch):\n    return 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    call = "LambdaLR(lr_lambda=[my_two_schedules:halve, my_two_schedules:keep])"
    (schedule,) = json.loads(preview(capsys, call, lr=0.2, epochs=3, as_json=True))["schedules"]
    assert (schedule["label"], schedule["lr"]) == (call, [[0.2, 0.2], [0.1, 0.2], [0.05, 0.2]])
    assert schedule["area"] == pytest.approx([0.35, 0.6])
    assert schedule["mean_share"] == pytest.approx([0.35 / 0.6, 1.0])
    assert schedule["final_lr"] == [0.05, 0.2]
    assert schedule["warnings"] == ["never decays: the last rate, 0.2, is the largest (parameter group 1)"]


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
    assert [plan.epochs for plan in plans] == [5]
    assert notes == ["the workloads of recipes differ in epochs: drawn for 5; --epochs chooses another"]


@pytest.mark.parametrize("name", sorted(path.stem for path in studies_folder().glob("*.toml")))
def test_every_study_that_comes_along_can_be_previewed(name, capsys):
    """The built-in studies are known by name, and each of their schedules has a rate for each epoch."""
    for schedule in json.loads(preview(capsys, name, as_json=True))["schedules"]:
        assert schedule["lr"]
        assert all(rate >= 0 for rate in schedule["lr"])


# -------------------------------------------------------------------------------------------------- terminal and figure


def test_the_terminal_shows_the_curve_and_the_epochs_where_it_changes(capsys):
    """StepLR in 60 columns: 18 a plateau of 30 epochs, on a log scale, with a column for each change."""
    assert preview(capsys, STEPLR, lr=0.05).splitlines()[:6] == [
        STEPLR,
        "  " + "█" * 18 + "▆" * 18 + "▃" * 18 + "▁" * 6,
        "  first 0.05   min 5e-05   max 0.05   last 5e-05   (log scale)",
        "  area 1.665 (rate times epochs), 33.3% of a constant base_lr",
        "  epoch     0    25     30     50      60      75     90     99",
        "  lr     0.05  0.05  0.005  0.005  0.0005  0.0005  5e-05  5e-05",
    ]


def test_what_a_user_would_hardly_want_is_warned_of(capsys):
    """Below 0, zero from a step on, back up past T_max, never falling, a warm-up too long: each is told."""
    calls = ["LambdaLR(math:cos)", "PolynomialLR(3)", "CosineAnnealingLR(4)", "LinearLR(0.5)", "ExponentialLR(0.5)"]
    out = preview(capsys, *calls, epochs=8)
    warned = [line.strip() for line in out.splitlines() if line.startswith("  warning: ")]
    assert [line.split(": ")[1] for line in warned] == [
        "falls below 0 at epoch 2",
        "zero from epoch 3",
        "rebounds past T_max",
        "never decays",
    ]
    assert out.split("\n\n")[4].startswith("ExponentialLR(gamma=0.5)\n")
    assert "warning" not in out.split("\n\n")[4]
    warmup = {"kind": "linear", "steps": 50}
    out = preview(capsys, "ExponentialLR(0.9)", epochs=4, steps_per_epoch=10, warmup=warmup)
    assert "\n  warning: warm-up longer than the budget: 50 " in out


def test_warnings_go_where_notes_go_when_something_else_is_printed(capsys):
    """With --json the warnings are in the JSON and on standard error; standard output holds the JSON alone."""
    options = {"lr": 0.1, "epochs": 4, "steps_per_epoch": 1, "interval": "epoch", "warmup": None, "out": None}
    preview_command(["PolynomialLR(2)"], **options, as_json=True)
    printed = capsys.readouterr()
    (schedule,) = json.loads(printed.out)["schedules"]
    assert printed.err == f"warning: PolynomialLR(total_iters=2): {schedule['warnings'][0]}\n"


# ------------------------------------------------------------------------------------------------------------- a metric


def test_without_a_metric_the_worst_and_the_best_case_are_drawn(capsys):
    """A metric that never improves cuts at every second call, one that always does never; both are said to be so."""
    (schedule,) = json.loads(preview(capsys, "ReduceLROnPlateau(patience=1)", epochs=6, as_json=True))["schedules"]
    assert schedule["label"] == "ReduceLROnPlateau(patience=1), metric never improves"
    assert schedule["lr"] == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.001])
    assert schedule["best_case_lr"] == [0.1] * 6
    out = preview(capsys, "ReduceLROnPlateau(patience=1)", epochs=6)
    assert "\n  best case, metric always improves: last 0.1\n  " + "█" * 60 + "\n" in out
    assert "drawn for one that never improves, the fastest that the rate can fall (worst case)" in out


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    ("threshold_mode", "threshold"), [("rel", 0.0), ("rel", 1e-4), ("rel", 0.5), ("abs", 1e-4), ("abs", 20.0)]
)
def test_the_best_case_improves_by_any_threshold(mode, threshold_mode, threshold):
    """However much better a call must be to count, 2,000 calls of the best case never cut; the worst case does."""
    monitor = {"min": "val_loss", "max": "val_accuracy"}[mode]
    call = f"ReduceLROnPlateau({mode}, 0.1, 0, {threshold}, {threshold_mode}, monitor={monitor})"
    plans, _ = read_plans([call], lr=0.1, epochs=2000, steps_per_epoch=1, interval="epoch", warmup=None)
    (schedule,) = compute(plans)
    assert set(schedule.best_case[0]) == {0.1}
    assert schedule.lr[0][:4] == pytest.approx([0.1, 0.1, 0.01, 0.001])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.json", "[1, 0.5, 0.5, 0.5, 0.2, 0.3]"),
        ("list.csv", "1\n0.5\n0.5\n0.5\n0.2\n0.3\n"),
        ("", "1, 0.5,0.5,0.5,0.2,0.3"),
    ],
    ids=["JSON", "lines", "typed"],
)
def test_a_metric_that_is_given_decides(name, text, tmp_path, capsys):
    """0.5 comes a second time at call 3 and a third at call 4, which is one more than patience allows: cut after it."""
    if name:
        (tmp_path / name).write_text(text)
    metric = str(tmp_path / name) if name else text
    out = preview(capsys, "ReduceLROnPlateau(patience=1)", metric=metric, epochs=7, as_json=True)
    (schedule,) = json.loads(out)["schedules"]
    assert schedule["label"] == "ReduceLROnPlateau(patience=1), metric given"
    assert schedule["lr"] == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])
    assert "best_case_lr" not in schedule


def test_a_metric_is_given_at_each_step_where_the_scheduler_moves_per_step(capsys):
    """With interval = "step" there is a value for each of 2 · 3 calls; those past the end are told to be left."""
    options = {"metric": "1,1,1,1,1,1,7", "epochs": 2, "steps_per_epoch": 3, "interval": "step"}
    (schedule,) = json.loads(preview(capsys, "ReduceLROnPlateau(patience=0)", as_json=True, **options))["schedules"]
    assert schedule["lr"] == pytest.approx([0.1, 0.001])  # the epochs' first steps: after 0 and 3 calls, two bad
    assert "6 values; the other 1 of --metric come after the end" in preview(
        capsys, "ReduceLROnPlateau(patience=0)", **options
    )


@pytest.mark.parametrize(
    ("text", "values"), [("1", [1.0]), (" 1e-3 ,2", [0.001, 2.0]), ("nan,inf", [float("nan"), float("inf")])]
)
def test_any_number_is_a_value_of_a_metric(text, values):
    """One value or several, with or without spaces; NaN and infinity too, which training does produce."""
    assert read_metric(text) == pytest.approx(values, nan_ok=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("0.5\nloss\n", "line 2 is 'loss', which is no number"),
        ("epoch,loss\n", "line 1 is 'epoch,loss', which is no number"),
        ("[0.5, true]", "item 2 is True, which is no number"),
        ("[0.5, [1]]", "item 2 is [1], which is no number"),
        ("[0.5,", "is no JSON list"),
        ("", "holds no number"),
        ("[]", "holds no number"),
    ],
)
def test_a_file_that_holds_no_metric_is_refused_with_the_place(content, said, tmp_path):
    """What is not a number is shown with its line or its place in the list, and with what is allowed."""
    file = tmp_path / "metric"
    file.write_text(content)
    with pytest.raises(InputError) as error:
        read_metric(str(file))
    assert said in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("schedule", "metric", "said"),
    [
        ("StepLR(3)", "1,2,3", "only ReduceLROnPlateau does"),
        ("ReduceLROnPlateau", "1,2,3", "3 values, and step() is called 9 times: give at least 8 values"),
        ("ReduceLROnPlateau", "1,2,3", "or fewer epochs: --epochs 4"),
        ("ReduceLROnPlateau", "losses.json", "value 1 is 'losses.json', which is no number"),
        ("ReduceLROnPlateau", " , ", "write the values with commas"),
    ],
)
def test_a_metric_that_cannot_be_used_is_refused(schedule, metric, said, capsys):
    """A metric for nobody, one that ends too early, and one that is neither a file nor numbers are told."""
    with pytest.raises(InputError) as error:
        preview(capsys, schedule, metric=metric, epochs=9)
    assert said in str(error.value)


# --------------------------------------------------------------------------------------------------- pipes and columns


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
        assert colour == pytest.approx(tuple(0.72 * part for part in curve.get_color()))


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


# --------------------------------------------------------------------------------------- what is built in torch's place


def test_a_composition_that_torch_gets_wrong_is_said_to_be_built_otherwise(capsys):
    """A plateau after a warm-up, which torch refuses, and a nest, which it steps ahead: both right, and both said."""
    call = "SequentialLR([ConstantLR(0.1, 9), ReduceLROnPlateau(patience=0)], [2])"
    nest = "SequentialLR([ExponentialLR(0.5), ChainedScheduler([ExponentialLR(0.5), StepLR(9)])], [3])"
    plateau, nested = json.loads(preview(capsys, call, nest, epochs=6, as_json=True))["schedules"]
    assert plateau["lr"] == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.01, 0.001])  # its own first sets the mark
    assert plateau["best_case_lr"] == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.1, 0.1])
    assert "monitor" not in plateau["label"]
    assert nested["lr"] == pytest.approx([0.1, 0.05, 0.025, 0.1, 0.05, 0.025])
    for schedule in (plateau, nested):
        (said,) = (w for w in schedule["warnings"] if w.startswith("built as"))
        assert said.startswith("built as lrbench's SequenceLR, which does what torch documents of SequentialLR")


def test_each_group_of_a_per_group_scheduler_is_drawn(capsys):
    """As many groups as it has schedulers, each with the rates, area and table of its own."""
    call = "PerGroupLR(schedulers=[LinearDecayLR(total_steps=4), StepLR(2, gamma=0.5)])"
    (schedule,) = json.loads(preview(capsys, call, lr=1.0, epochs=4, as_json=True))["schedules"]
    assert schedule["lr"] == [[1.0, 1.0], [0.75, 1.0], [0.5, 0.5], [0.25, 0.5]]
    assert (schedule["area"], schedule["mean_share"]) == ([2.5, 3.0], [0.625, 0.75])
    assert "\n  group 1\n" in preview(capsys, call, lr=1.0, epochs=4)


def test_a_warm_up_that_follows_beta2_is_drawn_for_the_beta2_that_is_given(capsys):
    """2 / (1 - 0.5) steps; without one the preview's optimizer has none to follow, and the line to type is said."""
    given = {"kind": "untuned_linear", "beta2": 0.5}
    options = {"lr": 1.0, "epochs": 2, "steps_per_epoch": 3}
    plans, notes = read_plans(["ConstantLR(1.0)"], **options, interval="epoch", warmup=given)
    assert compute(plans)[0].lr == [[0.25, 0.5, 0.75, 1.0, 1.0, 1.0]]
    assert notes == ["drawn with untuned linear warm-up by beta2 = 0.5"]
    with pytest.raises(InputError, match=r'kind = "untuned_linear", beta2 = 0\.999'):
        preview(capsys, "ConstantLR(1.0)", warmup={"kind": "untuned_linear"})


def test_the_advice_on_a_metric_is_enough_and_no_more(capsys):
    """The number of values, and of epochs, that a refusal names is the least, or most, that is taken."""
    call, options = "ReduceLROnPlateau(patience=0)", {"interval": "step", "steps_per_epoch": 3}
    with pytest.raises(InputError, match=r"step\(\) is called 9 times: give at least 8 .*--epochs 2$"):
        preview(capsys, call, metric="1,1,1,1,1,1", epochs=3, **options)
    preview(capsys, call, metric="1,1,1,1,1,1", epochs=2, **options)
    preview(capsys, call, metric="1,1,1,1,1,1,1,1", epochs=3, **options)
    with pytest.raises(InputError, match=r"decides nothing any more\)$"):  # not even one epoch
        preview(capsys, call, metric="1", epochs=3, **options)


def test_a_warning_beside_a_figure_names_the_schedule_alone(tmp_path, capsys):
    """What a schedule is drawn for is no part of its name: the name is a call that can be typed again."""
    call = "SequentialLR(schedulers=[ConstantLR(factor=0.5), ReduceLROnPlateau()], milestones=[2])"
    options = {"lr": 0.1, "epochs": 4, "steps_per_epoch": 1, "interval": "epoch", "warmup": None, "as_json": False}
    preview_command([call], **options, out=tmp_path / "a.svg")
    (warning,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("warning"))
    assert warning.startswith(f"warning: {call}: built as lrbench's SequenceLR")


@pytest.mark.parametrize("call", ["WarmupLR(StepLR(30), linear)", "WarmupLR(kind=linear)", "WarmupLR"])
def test_a_warm_up_that_is_typed_as_a_scheduler_is_told_where_it_stands(call):
    """The line for a preview, and the one for a study."""
    with pytest.raises(InputError) as error:
        read_plans([call], lr=None, epochs=None, steps_per_epoch=1, interval="epoch", warmup=None)
    assert "--warmup '{kind=\"linear\", fraction=0.1}'" in str(error.value)
    assert 'warmup = { kind = "linear", fraction = 0.1 }' in str(error.value)


@pytest.mark.parametrize(
    ("interval", "epochs", "said"),
    [
        ("epoch", 100_000_000, "found 100,000,000 epochs; allowed: at most 1,000,000 rates in a preview, so type "),
        ("step", 10_001, "found 10,001 epochs of 100 steps are 1,000,100 rates; .* so type --epochs 10000$"),
    ],
)
def test_a_preview_has_an_end(interval, epochs, said):
    """More rates than anybody draws are refused before any is computed, with what to type."""
    with pytest.raises(InputError, match=said):
        read_plans([STEPLR], lr=None, epochs=epochs, steps_per_epoch=100, interval=interval, warmup=None)


def test_a_long_schedule_is_drawn_in_time_that_grows_with_its_length():
    """Whether a log scale fits is decided in one pass over the rates: 200,000 of them in a moment."""
    lr = [[0.1 * 0.9999**step for step in range(200_000)]]
    one = {"name": "x", "label": "x", "base_lr": 0.1, "epochs": 2000, "steps_per_epoch": 100}
    began = perf_counter()
    assert Schedule(**one, lr=lr, best_case=[], warnings=()).on_log_scale
    assert perf_counter() - began < 2  # 0.02 s; a pass for each rate took minutes


def test_the_baseline_is_not_told_that_it_never_decays(capsys):
    """ConstantLR(factor=1) is what every schedule is compared with: constant is what it is meant to be."""
    assert "warning" not in preview(capsys, "ConstantLR(factor=1)", epochs=3)
    assert "warning: never decays" in preview(capsys, "ConstantLR(factor=0.5)", epochs=9)
