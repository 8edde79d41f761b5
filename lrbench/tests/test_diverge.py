"""The command: what A and B may be, what is printed and written, how it leaves, and what it refuses."""

import json
import random
import signal
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lrbench.diverge.command import Answer, answer_of_rows, diverge, diverge_command, folder_of
from lrbench.diverge.sides import Sides, _row
from lrbench.diverge.steps import Mismatch
from lrbench.diverge.targets import read_target
from lrbench.diverge.traces import Parting
from lrbench.errors import InputError, RunError
from lrbench.factors import Trial
from lrbench.tests.helpers.commands import finish, start
from lrbench.tests.helpers.studies import DIGITS, RECIPE, USERS, linear
from lrbench.trial.trace import OperatorTrace
from lrbench.watch import STEP_DIGESTS, Watch

CAUSED = (": the forward", ": the backward", ": the optimizer's step")
FAULTY = {"model": "lrbench.claims.faulty:numpy_noise", "data": "digits", "train_limit": 72}


def command(a: str, b: str | None = None, **changes) -> int:
    arguments = {"levels": {}, "levels_a": {}, "levels_b": {}, "steps": None, "device": "auto", "out": Path("found")}
    return diverge_command(a, b, **{**arguments, "as_json": False, "data_root": None, **changes})


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_trial(name: str, **factors) -> str:
    Path(name).write_text(json.dumps({"workload": DIGITS, **RECIPE, **factors}))
    return name


@pytest.fixture(scope="module")
def sides():
    trials = [Trial(workload=workload, **RECIPE) for workload in (DIGITS, FAULTY)]
    with Sides(trials) as opened:
        yield opened


@pytest.mark.slow
def test_a_trial_run_twice_is_equal_to_the_bit(folder, capsys):
    """Without B, A runs twice; equality leaves with 0, says how many steps were compared, and is written."""
    assert command(write_trial("trial.json")) == 0
    out, err = capsys.readouterr()
    assert "equal to the bit: 2 steps" in out
    assert err.startswith("starting two interpreters")
    told = json.loads(Path("found/diverge.json").read_text())
    assert (told["equal"], told["mismatch"], told["num_steps"]) == (True, None, 2)
    assert told["a"] == told["b"]


@pytest.mark.slow
def test_what_differs_is_printed_written_and_tells_how_to_leave(folder, capsys):
    """Another seed of the order leaves with 1; JSON says what is written to the folder."""
    assert command(write_trial("trial.json"), levels_b={"seed_order": 1}, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["equal"], told["mismatch"]["what"], told["mismatch"]["exact"]) == (False, "order", True)
    assert told == json.loads(Path("found/diverge.json").read_text())


@pytest.mark.parametrize(
    ("factors", "what", "says"),
    [
        ({"seed_order": 1}, ("order",), "another data order"),
        ({"base_lr": 0.2}, ("lr",), "the learning rates differ"),
        ({"poke_ulps": 1000}, ("loss",), "weight (0.0.weight)"),
        ({"poke_ulps": 1}, ("loss", "gradients", "weights"), "weight (0.0.weight)"),  # a loss may round one ulp away
        ({"optimizer": "SGD(momentum=0.9)"}, ("optimizer",), "the two part in what they run"),
        ({"seed_init": 1}, ("loss",), "the initial weights differ"),
    ],
    ids=["order", "rate", "weight", "weight by one ulp", "optimizer", "initialisation"],
)
def test_what_differs_is_named_by_what_it_changes_first(factors, what, says, sides, tmp_path):
    """Another order, rate, weight or optimizer is named by what it changes first; the factors that differ are noted."""
    a, b = (Trial(**{"workload": DIGITS, **RECIPE, **more}) for more in ({}, factors))
    answer = diverge(a, b, folder=tmp_path, sides=sides)
    assert answer.mismatch.what in what
    assert says in "; ".join(answer.sentences)
    assert f"they differ in {next(iter(factors))}" in "; ".join(answer.notes)
    assert json.loads(json.dumps(answer.as_json()))["equal"] is False


@pytest.mark.parametrize("ulps", [1, 1000])
def test_a_weight_that_was_poked_is_said_to_be_so(ulps, sides, tmp_path):
    """The initial weights differ because one was poked: no seed is suspected, and neither backward nor optimizer."""
    a, b = (Trial(workload=DIGITS, **RECIPE, poke_ulps=poked) for poked in (0, ulps))
    said = "; ".join(diverge(a, b, folder=tmp_path, sides=sides).sentences)
    assert f"the initial weights differ: one was poked (poke_ulps = 0 and {ulps})" in said
    assert "seed of the initialisation" not in said
    assert not {": the backward", ": the optimizer's step"} & {phrase for phrase in CAUSED if phrase in said}


@pytest.mark.parametrize(
    ("what", "kind", "phase", "suggests"),
    [
        ("gradients", "source", "backward", ": the backward"),
        ("gradients", "entry", "forward", ""),
        ("gradients", "none", "", ": the backward"),
        ("weights", "source", "optimizer", ": the optimizer's step"),
        ("weights", "entry", "forward", ""),
        ("loss", "source", "forward", ": the forward"),
    ],
)
def test_a_digest_suggests_nothing_that_the_operator_contradicts(what, kind, phase, suggests):
    """What the first digest suggests is said where the operator bears it out or none was found, and else left out."""
    parting = Parting(kind=kind, phase=phase, sentence="", hidden={})
    found = Answer(mismatch=Mismatch(what=what, step=1, last_equal_step=0), parting=parting, num_steps=1)
    first = found.sentences[0]
    assert first.startswith("from step 1 on the")
    assert [phrase for phrase in CAUSED if phrase in first] == ([suggests] if suggests else [])


def test_no_more_steps_are_compared_than_were_asked_for(sides, tmp_path):
    """Trials that part at step 3 are equal as far as step 2."""
    a = Trial(**{"workload": DIGITS, **RECIPE, "epochs": 2})
    b = Trial(**{"workload": DIGITS, **RECIPE, "epochs": 2, "scheduler": "StepLR(step_size=1)"})
    short = diverge(a, b, folder=tmp_path, sides=sides, stop_after=2)
    assert (short.equal, short.num_steps) == (True, 2)
    whole = diverge(a, b, folder=tmp_path, sides=sides)
    assert (whole.mismatch.what, whole.mismatch.step) == ("lr", 3)


def test_a_forgotten_seed_is_noted(sides, tmp_path):
    """NumPy's noise is an input from outside torch, its generator is named, and what to do is said."""
    trial = Trial(workload=FAULTY, **RECIPE)
    told = "; ".join(diverge(trial, trial, folder=tmp_path, sides=sides).sentences)
    assert "aten.add.Tensor" in told
    assert "A and B drew from NumPy's global generator, which torch.manual_seed does not seed" in told


@pytest.mark.slow
def test_recorded_rows_are_compared_as_they_are_and_run_again(finished, folder, capsys):
    """Two rows of a study, by the beginning of their ids: what the rows say, and what two new runs say."""
    _, results, _ = finished
    from lrbench.store import load

    rows = load(results, columns=["trial_id", "seed", "replicate"])
    ids = {(row.seed, row.replicate): row.trial_id for row in rows.itertuples()}
    assert command(f"{results}#{ids[0, 0][:10]}", f"{results}#{ids[0, 1]}", as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["recorded"]["equal"]
    assert command(f"{results}#{ids[0, 0]}", f"{results}#{ids[1, 0]}") == 1
    assert "as recorded: " in capsys.readouterr().out
    for again in (None, f"{results}#{ids[0, 0]}"):  # a row against itself would be equal whatever the training does
        assert command(f"{results}#{ids[0, 0]}", again) == 0
        assert "as recorded" not in capsys.readouterr().out


@pytest.mark.slow
def test_levels_that_are_set_make_another_trial_of_a_row(finished):
    """A row whose trial was changed is no record of it any more, and only its description is taken."""
    _, results, _ = finished
    from lrbench.store import load

    trial_id = load(results)["trial_id"].iloc[0]
    kept = read_target(f"{results}#{trial_id}", {})
    assert (kept.trial.trial_id, kept.row["trial_id"]) == (trial_id, trial_id)
    assert read_target(f"{results}#{trial_id}", {"epochs": 3}).row == {}


def test_toml_files_and_workloads_mean_trials_too(folder):
    """A trial as TOML and as a workload's name are those that their factors make."""
    Path("trial.toml").write_text('workload = "digits-cnn"\nseed = 3\n')
    by_file, by_name = read_target("trial.toml", {}), read_target("digits-cnn", {"seed": 3})
    assert by_file.trial.trial_id == by_name.trial.trial_id


def test_traces_of_ones_own_are_compared_as_they_are(folder, capsys):
    """Two trace files need no trial: equal ones leave with 0, others with 1, and one alone is refused."""
    for name, seed in (("a.trace", 0), ("b.trace", 0), ("c.trace", 1)):
        random.seed(seed)
        with OperatorTrace(name):
            torch.ones(2) * random.random()
    assert command("a.trace", "b.trace") == 0
    assert command("a.trace", "c.trace") == 1
    assert "other: 0.844" in capsys.readouterr().out
    assert command("a.trace", "c.trace", as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["kind"] == "entry"
    with pytest.raises(InputError, match=r"lrbench diverge a.trace OTHER.trace"):
        command("a.trace")


@pytest.mark.parametrize(
    ("text", "levels", "says"),
    [
        ("digits-cn", {}, "Did you mean 'digits-cnn'"),
        ("digits-cnn", {"lr": 1.0}, "is called base_lr here"),
        ("digits-cnn", {"epochs": 0, "seed": -1}, "epochs.*\n.*seed"),
        ("missing.json", {}, "missing.json cannot be read"),
        ("broken.json", {}, "broken.json: "),
        ("list.json", {}, "list.json is no trial"),
        ("results/none#abc", {}, "results/none"),
        ("mynet:workload", {}, "no module named 'mynet'"),
        (f"{USERS}:nope", {}, f"'{USERS}:nope': no 'nope' in "),
        ("mine:workload", {}, "workload mine:workload: epochs is missing.*give epochs=10"),
        (
            f"{USERS}:Bias",
            {},
            f"model, not a workload. Audit it first .lrbench audit {USERS}:Bias.*audit-{USERS}-Bias#",
        ),
        ("torchvision:resnet18", {}, "model, not a workload.*results/audit-torchvision-resnet18#TRIAL_ID"),
        (".", {}, "holds no study"),
    ],
)
def test_what_means_no_trial_is_refused_with_what_to_type(text, levels, says, folder):
    """Unknown names, factors and levels, and files that are none, raise InputError that says what is allowed."""
    Path("broken.json").write_text("{")
    Path("list.json").write_text("[]")
    Path("mine.py").write_text(f"workload = {{'model': '{USERS}:Bias', 'data': 'digits'}}\n")
    with pytest.raises(InputError, match=says.replace("\n", r"\n")):
        read_target(text, levels)


@pytest.mark.slow
def test_an_id_that_is_not_one_rows_is_refused(finished):
    """A folder alone, and a beginning that several ids share or none has: the trials, and how to type one."""
    _, results, _ = finished
    from lrbench.store import load

    rows = load(results)
    with pytest.raises(InputError, match="name one of its trials") as refused:
        read_target(str(results), {})
    lines = str(refused.value).splitlines()
    assert lines[1] == f"    {rows['trial_id'][0]}  seed=0, replicate=0, completed"
    assert [line.split()[0] for line in lines[1:-1]] == list(rows["trial_id"])
    assert lines[-1].endswith(f"lrbench diverge {results}#{rows['trial_id'][0]}")
    with pytest.raises(InputError, match="6 trials begin with ''"):
        read_target(f"{results}#", {})
    with pytest.raises(InputError, match="no trial begins with 'zzz'"):
        read_target(f"{results}#zzz", {})


def test_what_two_recorded_rows_tell_is_json():
    """Rows as they are read from a file hold NumPy's numbers; what is told of them is written all the same."""
    steps = {"train_loss_steps": np.array([1.0, 0.5, 0.25, 0.125]), "digest_steps": np.array([2, 4], np.int32)}
    row = {**steps, **{f"{name}_xxh3": np.array(["a", "a"]) for name in STEP_DIGESTS}}
    rates = [{"applied_lr": np.array([course])} for course in ([0.1] * 4, [0.1, 0.1, 0.1, 0.2])]
    a, b = (Trial(workload=DIGITS, **RECIPE) for _ in range(2))
    told = json.loads(json.dumps(answer_of_rows(a, b, {**row, **rates[0]}, {**row, **rates[1]}).as_json()))
    assert (told["mismatch"]["what"], told["mismatch"]["step"], told["mismatch"]["last_equal_step"]) == ("lr", 4, 2)


def test_an_old_answer_does_not_outlive_a_command_that_fails(folder):
    """What an earlier command wrote is gone before anything is run; a file of the user's own stays."""
    for name in ("diverge.json", "a.trace", "b.trace.outputs.npz", "mine.txt"):
        (folder / "found" / name).parent.mkdir(exist_ok=True)
        (folder / "found" / name).write_text("old")
    with pytest.raises(InputError):
        command(write_trial("trial.json", device="cuda:99"))
    assert [path.name for path in (folder / "found").iterdir()] == ["mine.txt"]


def test_two_questions_have_two_folders():
    """Without --out an answer lies in a folder that is named by A and B, in this order."""
    a, b = (Trial(workload=DIGITS, **RECIPE, seed=seed) for seed in (0, 1))
    assert folder_of(a, b) == Path(f"results/diverge/{a.trial_id[:8]}-{b.trial_id[:8]}")
    assert len({folder_of(*pair) for pair in ((a, a), (a, b), (b, a), (b, b))}) == 4


def test_a_crash_is_told_in_one_line(tmp_path, monkeypatch):
    """What was raised and where in the user's own code; no traceback of lrbench's and torch's."""
    (tmp_path / "leaves.py").write_text("import torch\n\n\ndef forward():\n    raise ValueError('boom')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import leaves

    try:
        leaves.forward()
    except ValueError as error:
        kept = "".join(traceback.format_exception(error))
    running = SimpleNamespace(row={"status": "crashed", "error": kept})
    with pytest.raises(RunError) as told:
        _row(running, "A")
    assert str(told.value) == "A did not come to its end (crashed): ValueError: boom (at leaves.py:5 in forward)"


def test_a_trial_that_raises_is_told_with_its_own_words(sides):
    """Code that raises while it trains ends the search with RunError: which of the two, and what it said."""
    bad = Trial(workload=linear(fault="raise"), **RECIPE)
    with pytest.raises(RunError, match=r"A did not come to its end(?s:.)*the user's own words"):
        sides.run(bad, bad, (Watch(), Watch()), "")


@pytest.mark.slow
def test_a_trial_that_cannot_be_had_is_refused(folder):
    """A model that is nowhere is bad input, told before anything trains."""
    with pytest.raises(InputError, match="nowhere"):
        command(write_trial("none.json", workload={**DIGITS, "model": "nowhere:net"}))


@pytest.mark.parametrize("out", ["mynet.py/x", "mynet.py", "/proc/x"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_starts(out, folder, capsys):
    """A folder below a file, a file, and a file system that takes none: InputError that says what to type."""
    Path("mynet.py").write_text("")
    with pytest.raises(InputError, match=rf"{out} cannot be written: .*--out DIR"):
        command(write_trial("trial.json"), out=Path(out))
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_an_interrupt_is_heard(folder):
    """Ctrl-C while the interpreters start leaves with 130 and one line that says so."""
    process = start("diverge", write_trial("trial.json"), folder=folder)
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert first.startswith("starting two interpreters")
    assert (ended.code, ended.err) == (130, "interrupted\n")
