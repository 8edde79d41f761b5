"""A preview draws a schedule without training: what is read, what is printed, what is refused."""

import json
import subprocess
import sys
from time import perf_counter

import pytest

from lrbench.errors import InputError
from lrbench.preview import Schedule, compute, preview_command
from lrbench.preview_plans import read_plans
from lrbench.study import studies_folder
from lrbench.tests.helpers.commands import lrbench
from lrbench.tests.helpers.preview_parts import STEPLR, preview
from lrbench.tests.helpers.studies import DIGITS, write_study


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


def test_the_terminal_shows_the_curve_and_the_epochs_where_it_changes(capsys):
    """StepLR in 60 columns: 18 a plateau of 30 epochs, on a log scale, with a column for each change."""
    assert preview(capsys, STEPLR, lr=0.05).splitlines()[:6] == [
        STEPLR,
        "  " + "█" * 18 + "▆" * 18 + "▃" * 18 + "▁" * 6,
        "  first 0.05   min 5e-05   max 0.05   last 5e-05   (log scale)",
        "  area 1.666 (rate times epochs), 33.3% of a constant base_lr",
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
