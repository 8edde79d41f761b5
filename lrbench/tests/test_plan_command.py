"""`lrbench plan`: what a study has to run, how long that takes, and what is said where nothing is known."""

import json
import math
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import lrbench
from lrbench import store
from lrbench.commands.options import Typed
from lrbench.errors import InputError
from lrbench.factors import Trial
from lrbench.plan.command import make_plan, plan
from lrbench.plan.cost import BETWEEN_SECONDS, START_SECONDS, cost_of, key_of, like, pilot_trials
from lrbench.plan.printed import _about_known, _bare, print_plan
from lrbench.plan.shape import shape_of
from lrbench.questions import Compare
from lrbench.record import FLAT, trial_columns
from lrbench.stages import Stages
from lrbench.study import parse_study, read_study, trials
from lrbench.tests.helpers.studies import DIGITS, write_study
from lrbench.typed import typed

ROOT = Path(__file__).parents[2]
SCHEDULERS = ["ConstantLR(1.0)", "StepLR(2)", "CosineAnnealingLR"]


def study_of(**document):
    """A study of three schedulers and four seeds on the digits, unless told otherwise."""
    plain = {"question": "How much?", "fixed": {"workload": "digits-cnn", "epochs": 4, "device": "cpu"}}
    return parse_study(
        {**plain, "grid": {"seed": "0-3", "scheduler": SCHEDULERS}, **document}, "planned", source="planned"
    )


def rows_of(*timed: tuple[Trial, dict], folder: str = "results/x") -> pd.DataFrame:
    """Rows of completed trials with the times given by hand."""
    plain = {"status": "completed", "packed": False, "folder": folder}
    return pd.DataFrame(
        [{**trial_columns(trial), **plain, **outcome} for trial, outcome in timed], columns=[*FLAT, "folder"]
    )


def seconds(total: float, **others: float) -> dict:
    """The times of a trial of 4 epochs, 20 steps each: 1 s start, 1 s first step, 2 s settling, then 0.1 s a step."""
    parts = {"train_seconds": 10.0, "first_step_seconds": 1.0, "settle_seconds": 2.0, "evaluate_seconds": 3.0}
    return {"total_seconds": total, **parts, "num_steps": 80, "num_steady_steps": 70, "steps_per_epoch": 20, **others}


# --------------------------------------------------------------------------------------------------------------- shape


@pytest.mark.parametrize("replicates", [1, 3])
@pytest.mark.parametrize("grid", [{"seed": "0-3", "scheduler": SCHEDULERS}, {"seed": [7]}, {"cudnn_benchmark": [True]}])
def test_a_plain_study_has_the_trials_of_its_grid(grid, replicates):
    """As many as the study itself lists, in as many blocks."""
    study = study_of(grid=grid, replicates=replicates)
    shape = shape_of(study, "cpu")
    planned = trials(study, "cpu")
    assert shape.least == shape.most == len(planned)
    assert sum(part.num_blocks for part in shape.parts) == len({(t.seed, t.replicate) for t in planned})
    assert {t.condition_id for t in shape.conditions} == {t.condition_id for t in planned}


def test_a_study_that_tunes_and_looks_has_stages():
    """By hand: 3 schedulers × 3 rates × 2 seeds choose; then 3 a seed at the default, 3 more at other rates."""
    study = study_of(
        grid={"seed": "0-9", "scheduler": SCHEDULERS},
        tune={"seeds": "1000-1001", "base_lr": [0.02, 0.4]},
        until={"looks": [4, 10]},
    )
    shape = shape_of(study, "cpu")
    found = [(part.name, part.least, part.most, part.num_seeds, part.optional) for part in shape.parts]
    assert found == [
        ("selection", 18, 18, 2, False),
        ("look 1", 12, 24, 4, False),
        ("look 2", 18, 36, 10, True),
    ]
    assert (shape.least, shape.most) == (18 + 12, 18 + 24 + 36)
    assert shape.least == len(Stages(study, "cpu", lambda: pd.DataFrame()).certain)


# ---------------------------------------------------------------------------------------------------------------- cost


def test_a_trial_takes_what_its_like_took():
    """12 trials of 11 s, two at once, with what lies between them and before the first."""
    study = study_of()
    shape = shape_of(study, "cpu")
    rows = rows_of(*((trial, seconds(total)) for trial, total in zip(shape.conditions, (10, 11, 12), strict=True)))
    cost = cost_of(shape, like(rows, shape.conditions), jobs=2)
    assert cost.known
    assert cost.least_busy_seconds == pytest.approx(12 * 11)
    assert cost.least_seconds == cost.most_seconds == pytest.approx(START_SECONDS + 6 * (11 + BETWEEN_SECONDS))
    assert cost.sources == {"results/x": 3}
    assert cost.scaled_from == ()


@pytest.mark.parametrize(
    ("epochs", "each"), [(4, 20.0), (8, 20 + 4 * (20 * 0.1 + 0.5)), (2, 20 - 2 * (20 * 0.1 + 0.5))]
)
def test_other_budgets_are_scaled_by_steps_and_validations(epochs, each):
    """By hand: an epoch is 20 steps of 0.1 s and a validation of 3 s / (4 + 2); the rest is paid once."""
    study = study_of(fixed={"workload": "digits-cnn", "epochs": epochs, "device": "cpu"})
    shape = shape_of(study, "cpu")
    rows = rows_of((Trial(workload="digits-cnn", epochs=4, device="cpu"), seconds(20.0)))
    cost = cost_of(shape, like(rows, shape.conditions), jobs=1)
    assert cost.least_busy_seconds == pytest.approx(12 * each)
    assert cost.scaled_from == (() if epochs == 4 else (4,))


def test_the_nearest_budget_is_scaled():
    """Of rows with 4 and 30 epochs those with 4 tell of 8: an error of a step grows least."""
    study = study_of(fixed={"workload": "digits-cnn", "epochs": 8, "device": "cpu"})
    shape = shape_of(study, "cpu")
    budgets = {epochs: Trial(workload="digits-cnn", epochs=epochs, device="cpu") for epochs in (4, 30)}
    rows = rows_of((budgets[4], seconds(20.0)), (budgets[30], seconds(999.0)))
    assert cost_of(shape, like(rows, shape.conditions), jobs=1).least_busy_seconds == pytest.approx(12 * 30)


@pytest.mark.parametrize(
    "other", [{"batch_size": 32}, {"device": "cuda"}, {"num_threads": 2}, {"compile": "default"}, {"precision": "bf16"}]
)
def test_trials_of_another_kind_tell_nothing(other):
    """Rows that differ in what decides speed are not like, and what is missing is named."""
    shape = shape_of(study_of(), "cpu")
    rows = rows_of((Trial(**{"workload": "digits-cnn", "epochs": 4, "device": "cpu", **other}), seconds(20.0)))
    cost = cost_of(shape, like(rows, shape.conditions), jobs=2)
    assert not cost.known
    assert cost.unknown == ("workload digits-cnn, batch_size 64, device cpu",)


@pytest.mark.parametrize("wrong", [{"status": "diverged"}, {"num_resumes": 1}])
def test_trials_that_did_not_run_through_are_left_out(wrong):
    """A trial that failed or was resumed did not take what a trial takes."""
    shape = shape_of(study_of(), "cpu")
    rows = rows_of((shape.conditions[0], seconds(20.0)), (shape.conditions[1], {**seconds(1.0), **wrong}))
    assert cost_of(shape, like(rows, shape.conditions), jobs=1).least_busy_seconds == pytest.approx(12 * 20)


def test_a_gpu_is_like_another_by_number():
    """cuda:1 is of the same kind as cuda; cpu is not."""
    trial = Trial(workload="digits-cnn", device="cuda:1")
    assert key_of(trial) == key_of(Trial(workload="digits-cnn", device="cuda")) != key_of(Trial(workload="digits-cnn"))


def test_a_pilot_takes_each_kind_in_turn():
    """Two workloads and three trials: the first, the second, the first again, of one epoch each."""
    study = study_of(grid={"seed": "0-3", "workload": ["digits-cnn", DIGITS]}, fixed={"epochs": 4, "device": "cpu"})
    found = pilot_trials(shape_of(study, "cpu"), 3)
    assert [trial.epochs for trial in found] == [1, 1, 1]
    assert len({key_of(trial) for trial in found[:2]}) == 2
    assert found[0] == found[2]


# ------------------------------------------------------------------------------------------------------------- command


def test_where_nothing_is_known_it_says_what_to_type(tmp_path, monkeypatch, capsys):
    """No rows: it says so, how to find out, exits 0, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    assert plan("quickstart", device="cpu") == 0
    out = capsys.readouterr().out
    assert "448 trials: 28 conditions × 8 seeds × 2 replicates, in 16 random blocks" in out
    assert "How long it takes is not known: no row of workload digits-cnn, batch_size 64, device cpu" in out
    assert "lrbench plan quickstart --device cpu --pilot 4" in out
    assert "What difference in final accuracy it will see is not known" in out
    assert not [*tmp_path.iterdir()]


def test_a_study_that_compares_nothing_says_so(tmp_path, monkeypatch, capsys):
    """One scheduler and no question: no sizes, no word on what a test could reach, and what to do about it."""
    monkeypatch.chdir(tmp_path)
    assert plan("recipes", device="cpu") == 0
    out = capsys.readouterr().out
    assert "It compares nothing: vary scheduler under [grid]" in out
    assert "sign-flip" not in out


def test_a_plan_for_a_gpu_elsewhere_says_so(tmp_path, monkeypatch):
    """On a machine without a GPU a study for one is counted one trial at a time; too many threads are refused."""
    from lrbench import nvml

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nvml, "visible_gpus", list)
    made = make_plan("quickstart", device="cuda")
    assert made.no_gpu
    assert made.cost.jobs == 1
    with pytest.raises(InputError, match="num_threads = 4096 is more than the"):
        make_plan("quickstart", device="cpu", levels={"num_threads": 4096})


def test_json_holds_everything_and_is_json(tmp_path, monkeypatch, capsys):
    """What is not known is null, never NaN; the trials, the stages, the comparisons and the blind spots are there."""
    monkeypatch.chdir(tmp_path)
    assert plan("quickstart", device="cpu", levels={"seed": "0-2"}, as_json=True) == 0

    def no_constant(text):
        raise AssertionError(text)

    told = json.loads(capsys.readouterr().out, parse_constant=no_constant)
    assert told["trials"]["least"] == told["trials"]["most"] == 28 * 3 * 2
    assert told["cost"]["known"] is False
    assert told["comparisons"][0]["detectable"] is None
    assert told["comparisons"][0]["family_size"] == 6
    assert any("3 seeds cannot reach p < 0.05" in sentence for sentence in told["cannot"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"study": "quickstrt"}, "Did you mean 'quickstart'?"),
        ({"study": "quickstart", "levels": {"epoch": 3}}, "Did you mean 'epochs'?"),
        ({"study": "quickstart", "device": "gpu"}, "--device found 'gpu'; allowed: auto, cpu, cuda or cuda:N"),
        ({"study": "quickstart", "pilot": -1}, "--pilot found -1; allowed: a whole number from 0 on"),
    ],
)
def test_bad_input_is_refused_in_the_studys_own_words(arguments, said):
    """A study that cannot be read, an unknown factor, a bad device: one InputError, before anything runs."""
    with pytest.raises(InputError) as caught:
        plan(**arguments)
    assert said in str(caught.value)


def test_what_is_to_be_typed_means_the_same_study():
    """The --set options that are suggested read back as the levels that were given."""
    given = {"epochs": [3, 4], "seed": "0-4", "scheduler": [{"name": "StepLR", "step_size": 3}, "CosineAnnealingLR"]}
    words = shlex.split(typed("quickstart", given, "out", "cpu"))
    assert words[0] == "quickstart"
    assert words[-4:] == ["--out", "out", "--device", "cpu"]
    assert Typed().levels(words[2:-4:2]) == given


def test_an_own_folder_comes_before_its_neighbours(tmp_path, monkeypatch):
    """Rows of the study's own folder tell of its scatter, though a neighbour has more seeds."""
    from analysis.tests.simulate import Truth, write_study

    monkeypatch.chdir(tmp_path)
    noisy = Truth(run_sd=0.01, identical=False, identical_if_deterministic=False, accuracy=0.8)
    study, more = study_of(), study_of(grid={"seed": "0-19", "scheduler": SCHEDULERS})
    write_study(tmp_path / "results" / "planned", study, noisy)
    write_study(tmp_path / "results" / "another", more, noisy)
    found = make_plan(study)
    assert found.sights[0].scatter.folder == "results/planned"
    assert found.num_done == 12
    assert found.elsewhere == "Simulated CPU"
    assert make_plan(study, out="results/new").sights[0].scatter.folder == "results/another"


TUNED = {"tune": {"seeds": "1000-1001", "base_lr": [0.02, 0.4]}}


def test_every_stage_of_a_tuned_study_counts_as_done(tmp_path, monkeypatch, capsys):
    """Rows that chose a rate and rows at the chosen one count: with all of them the report is next."""
    from analysis.tests.simulate import staged_rows

    monkeypatch.chdir(tmp_path)
    study, folder = study_of(**TUNED), tmp_path / "results" / "planned"
    rows, record = staged_rows(study)
    assert len(rows) > 18 + 12
    folder.mkdir(parents=True)
    store.write_study_record(folder, record)
    for part in (rows[:9], rows[9:]):
        assert not make_plan(study).finished
        with store.locked(folder):
            writer = store.Writer(folder)
            for row in part:
                writer.commit(row)
            writer.close()
        made = make_plan(study)
        assert made.num_done == (9 if part == rows[:9] else len(rows))
    assert made.finished
    print_plan(made, again="planned.toml")
    assert "next: lrbench report results/planned" in capsys.readouterr().out


def test_a_limit_reaches_the_comparison_that_tells_of_the_scatter(tmp_path, monkeypatch, capsys):
    """By hand: 3 × 3 × 2 choose, then 2 × 3 a seed at most: 18 + 3 × 6 = 36, and 9 fewer when 9 have run."""
    monkeypatch.chdir(tmp_path)
    made = make_plan(study_of(**TUNED))
    for num_done in (0, 9):
        print_plan(replace(made, num_done=num_done), again="planned.toml")
        assert f"lrbench run planned.toml --limit {36 - num_done}\n" in capsys.readouterr().out
    print_plan(replace(made, num_done=36), again="planned.toml")
    assert "--limit" not in capsys.readouterr().out


def test_other_trainings_are_said_to_be_others(tmp_path, monkeypatch, capsys):
    """Rows of 4 epochs tell something of a study of 9, and it is said that they are not the same."""
    from analysis.tests.simulate import Truth, write_study

    monkeypatch.chdir(tmp_path)
    noisy = Truth(run_sd=0.01, identical=False, identical_if_deterministic=False, accuracy=0.8)
    write_study(tmp_path / "results" / "planned", study_of(), noisy)
    made = make_plan(study_of(), levels={"epochs": 9})
    print_plan(made, again="planned.toml")
    out = capsys.readouterr().out
    assert "epochs 4 there, 9 here" in out
    assert "scaled from 4 to 9 epochs" in out
    assert "which ran on Simulated CPU, not on this machine" in out


def test_a_table_fits_into_80_columns():
    """Tuned, looked at, two metrics: no line of a table is wider than a terminal."""
    from rich.console import Console

    from analysis.tests.simulate import Truth, simulate

    questions = [{"factor": "scheduler", "baseline": "ConstantLR"}, {"factor": "scheduler", "metric": "train_seconds"}]
    study = study_of(
        grid={"seed": "0-9", "scheduler": SCHEDULERS},
        tune={"seeds": "1000-1001", "base_lr": [0.02, 0.4]},
        until={"looks": [4, 10]},
        compare=questions,
    )
    from analysis.plan import sights

    rows = simulate(study_of(), Truth(accuracy=0.8, run_sd=0.01, identical=False, identical_if_deterministic=False))
    made = make_plan(study, out="nowhere", device="cpu")
    shape = shape_of(study, "cpu")
    known = cost_of(shape, like(rows.assign(folder="results/x"), shape.conditions), 2)
    made = replace(made, sights=sights(study, [("results/x", rows)]), cost=known)
    console = Console(width=80, record=True, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_plan(made, again="x.toml", console=console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "look 2, if open" in text
    assert "scheduler against ConstantLR" in text


@pytest.mark.parametrize("width", [40, 60])
def test_a_table_that_is_too_wide_is_a_list(width):
    """In a narrow terminal each comparison is a list: every figure with its heading, and nothing cut off."""
    from rich.console import Console

    from analysis.plan import sights
    from analysis.tests.simulate import Truth, simulate

    rows = simulate(study_of(), Truth(accuracy=0.8, run_sd=0.01, identical=False, identical_if_deterministic=False))
    made = make_plan(study_of(), out="nowhere", device="cpu")
    made = replace(made, sights=sights(study_of(), [("results/x", rows)]))
    console = Console(width=width, record=True, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_plan(made, again="x.toml", console=console)
    text = console.export_text()
    assert "…" not in text
    lines = text.splitlines()
    at = lines.index("scheduler: final accuracy, points")
    heads = [line.strip().partition(":")[0] for line in lines[at + 1 : at + 8]]
    assert heads == ["number", "seeds", "SD", "finds alone", "finds in family", "margin", "shown equal"]


@pytest.mark.parametrize(
    ("metric", "detectable", "in_family", "said"),
    [
        ("final_accuracy", math.inf, math.inf, "With 1 seed no difference, however large, is found four times in five"),
        ("samples_per_second", 9.0, 9.9, "With 1 block no difference, up to tenfold, is found four times in five"),
        ("final_accuracy", 0.1, 0.2, "a true difference of 10.00 points is found four times in five by itself, of 20."),
        ("samples_per_second", 1.0, 3.0, "of 172% is found four times in five by itself, and none, up to tenfold, in"),
    ],
)
def test_what_too_few_units_find_is_said_so(metric, detectable, in_family, said):
    """No end of a difference, or e^9 times the speed, is nothing to plan with; e^1 is 172 % more, e^3 over tenfold."""
    from analysis.plan import Scatter, sight

    scatter = Scatter(sd=0.1, num_comparisons=1, num_units=4, degrees=3, margin=0.02, paired=True, folder="x")
    question = Compare(factor="scheduler", metric=metric, margin="2%" if metric == "samples_per_second" else 0.01)
    seen = sight(question, scatter, num_units=1, family_size=3)
    seen = replace(seen, detectable=detectable, detectable_in_family=in_family)
    assert said in " ".join(_about_known(seen))
    assert (_bare(seen, detectable) == "none") == (detectable > 2)


def test_a_plan_of_a_study_with_failures_says_so(tmp_path, monkeypatch, capsys):
    """Twelve of twelve trials have a row, two of them of a crash: finished, and what to type to see why."""
    from analysis.tests.simulate import Truth, write_study

    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "results" / "planned", study_of(), Truth(failures={0: "crashed", 5: "timed_out"}))
    made = make_plan(study_of())
    assert (made.num_done, made.num_failed, made.finished) == (12, 2, True)
    print_plan(made, again="planned.toml")
    said = "of which 2 did not complete: lrbench show results/planned says why"
    assert said in capsys.readouterr().out


def test_a_damaged_neighbour_is_one_short_note(tmp_path, monkeypatch):
    """Another study's folder that cannot be read is named, and what is wrong with its files is not this plan's."""
    from analysis.tests.simulate import Truth, write_study

    monkeypatch.chdir(tmp_path)
    folder = write_study(tmp_path / "results" / "other", study_of(), Truth())
    for path in (folder / "trials").iterdir():
        path.unlink()
    (folder / "trials" / "part-000000-000000.parquet").write_text("no parquet")
    assert make_plan(study_of()).notes == ("left out: results/other, whose rows cannot be read",)


def test_planning_loads_no_torch(tmp_path):
    """Without a pilot nothing of torch is loaded; the module itself needs neither pandas nor scipy nor rich."""
    program = (
        "import json, sys\nfrom lrbench.plan.command import plan\nfirst = sorted(sys.modules)\n"
        "plan('quickstart', device='cpu', as_json=True)\nprint(json.dumps([first, sorted(sys.modules)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    first, after = json.loads(done.stdout.splitlines()[-1])
    assert not {"torch", "pandas", "scipy", "rich", "numpy", "pyarrow"} & set(first)
    assert "torch" not in after


# ----------------------------------------------------------------------------------------------------------- real runs


@pytest.mark.slow
def test_a_real_study_takes_about_what_was_planned(tmp_path, monkeypatch, capsys):
    """A pilot, then the study: within a factor of 4 of what the trials then took; from their rows within one of 2.

    A pilot that forgot the 8 epochs would be further off; what runs beside the tests moves it by 2 or 3. From the first
    trial's start to the last one's end: how long a loaded machine takes to load torch is no part of it.
    """
    monkeypatch.chdir(tmp_path)
    file = write_study(
        tmp_path / "tiny.toml",
        fixed={"workload": "digits-cnn", "epochs": 8, "batch_size": 64},
        grid={"seed": "0-2", "scheduler": [{"name": "ConstantLR", "factor": 1.0}, {"name": "CosineAnnealingLR"}]},
    )
    assert plan(file, pilot=2, as_json=True) == 0
    piloted = json.loads(capsys.readouterr().out)
    assert piloted["pilot"]["num_trials"] == 2
    assert piloted["cost"]["scaled_from"] == [1]
    assert 0.5 < piloted["cost"]["start_seconds"] < piloted["pilot"]["seconds"]
    study = read_study(file)
    lrbench.run_study(study, jobs=piloted["cost"]["jobs"])
    rows = lrbench.load("results/tiny")
    began = pd.to_datetime(rows["started_at"])
    took = ((began + pd.to_timedelta(rows["total_seconds"], unit="s")).max() - began.min()).total_seconds()
    again = make_plan(study)
    assert again.num_done == 6
    assert again.cost.least_busy_seconds == pytest.approx(float(rows["total_seconds"].sum()))
    assert took / 2 < again.cost.spans[0].least_seconds < 2 * took
    assert took / 4 < piloted["cost"]["spans"][0]["least_seconds"] < 4 * took


@pytest.mark.slow
def test_a_pilot_that_fails_says_so(tmp_path, monkeypatch, capsys):
    """A rate that diverges at once: the reason is told, the time stays unknown, the command ends with 1."""
    monkeypatch.chdir(tmp_path)
    file = write_study(tmp_path / "bad.toml", fixed={"workload": DIGITS, "base_lr": 1e30}, grid={"seed": "0-3"})
    assert plan(file, pilot=1) == 1
    out = capsys.readouterr().out
    assert "A trial of the pilot ended otherwise than completed: diverged" in out
    assert "How long it takes is not known" in out
