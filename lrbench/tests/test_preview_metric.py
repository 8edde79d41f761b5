"""A schedule that waits for a metric is drawn at its worst and best, or for the metric that is given."""

import json

import pytest

from lrbench.errors import InputError
from lrbench.preview import compute
from lrbench.preview_plans import read_metric, read_plans
from lrbench.tests.helpers.preview_parts import preview


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


def test_the_advice_on_a_metric_is_enough_and_no_more(capsys):
    """The number of values, and of epochs, that a refusal names is the least, or most, that is taken."""
    call, options = "ReduceLROnPlateau(patience=0)", {"interval": "step", "steps_per_epoch": 3}
    with pytest.raises(InputError, match=r"step\(\) is called 9 times: give at least 8 .*--epochs 2$"):
        preview(capsys, call, metric="1,1,1,1,1,1", epochs=3, **options)
    preview(capsys, call, metric="1,1,1,1,1,1", epochs=2, **options)
    preview(capsys, call, metric="1,1,1,1,1,1,1,1", epochs=3, **options)
    with pytest.raises(InputError, match=r"decides nothing any more\)$"):  # not even one epoch
        preview(capsys, call, metric="1", epochs=3, **options)
