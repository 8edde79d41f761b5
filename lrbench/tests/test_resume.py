"""A trial that is killed goes on from its checkpoint in a new process, and ends bit for bit as if nothing had been."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import lrbench
from lrbench.progress import SilentReporter
from lrbench.record import NAMES
from lrbench.runner import run_study
from lrbench.study import Study, parse_study
from lrbench.tests.helpers.studies import write_study

# 72 images, 7 of them for validation: 65 train, 6 steps of 10 an epoch; 4 epochs are 24 steps
SCHEDULERS = [
    "ConstantLR(factor=1.0)",
    "StepLR(step_size=1, gamma=0.5)",
    "MultiStepLR(milestones=[1, 3])",
    "ExponentialLR(gamma=0.7)",
    "LinearLR(total_iters=3)",
    "PolynomialLR(total_iters=4, power=2.0)",
    "CosineAnnealingLR()",
    "CosineAnnealingWarmRestarts(T_0=3)",
    "CyclicLR(base_lr=0.01, max_lr=0.1, step_size_up=5)",
    "OneCycleLR(max_lr=0.2)",
    "ReduceLROnPlateau(factor=0.5, patience=0)",
    "LambdaLR(lr_lambda=lrbench.schedules:inverse_sqrt)",
    "MultiplicativeLR(lr_lambda=lrbench.schedules:inverse_sqrt)",
    "SequentialLR(schedulers=[LinearLR(total_iters=2), ExponentialLR(gamma=0.5)], milestones=[2])",
    "ChainedScheduler(schedulers=[LinearLR(total_iters=2), ExponentialLR(gamma=0.5)])",
]
SAME = ["weights_sha256", "logits_sha256", "predictions_sha256", "applied_lr_sha256", "final_accuracy", "num_steps"]


def study(tmp_path: Path, at_step: int, schedulers: list, **fixed) -> Study:
    workload = {
        "base": "digits-cnn",
        "train_limit": 72,
        "model": "lrbench.tests.helpers.interrupted:KilledOnce",
        "model_args": {"in_channels": 1, "image_size": 8, "at_step": at_step, "unless": str(tmp_path / "whole")},
    }
    document = {
        "question": "Does it go on?",
        "fixed": {"workload": workload, "epochs": 4, "batch_size": 10, "device": "cpu", **fixed},
        "grid": {"scheduler": schedulers},
    }
    return parse_study(document, "resume", source="test")


def run_whole_and_killed(tmp_path: Path, chosen: Study, checkpoint_every: int | str):
    """Run the study without and with a kill in every trial; return the rows of both, and those after the kill."""
    rows = []
    whole = tmp_path / "whole"
    for folder, killed in (("control", False), ("killed", True), ("killed", False)):
        whole.unlink(missing_ok=True) if killed else whole.touch()
        run_study(chosen, tmp_path / folder, checkpoint_every=checkpoint_every, retry=True, reporter=SilentReporter())
        rows.append(lrbench.load(tmp_path / folder, NAMES).set_index("scheduler"))
    control, killed, resumed = rows
    return control, killed.loc[control.index], resumed.loc[control.index]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("at_step", "every", "resumed_at", "interval"),
    [(15, "epoch", 12, "epoch"), (12, 6, 12, "step"), (15, 7, 14, "step"), (23, 1, 23, "epoch")],
    ids=["boundary", "as the epoch begins", "middle of an epoch", "last step"],
)
def test_a_killed_trial_ends_as_if_nothing_had_been(tmp_path, at_step, every, resumed_at, interval):
    """For every scheduler of torch: killed, then resumed in a new process, equals uninterrupted bit for bit."""
    tables = [f"{text[:-1]}{', ' if text[-2] != '(' else ''}interval='{interval}')" for text in SCHEDULERS]
    tables = [t.replace("patience=0", "patience=0, monitor='train_loss'") if interval == "step" else t for t in tables]
    control, killed, resumed = run_whole_and_killed(tmp_path, study(tmp_path, at_step, tables), every)
    assert (killed["status"] == "crashed").all()
    assert killed["error"].str.contains("SIGKILL").all()
    assert (resumed["status"] == "completed").all(), resumed["error"].tolist()
    assert control["num_resumes"].tolist() == [0] * len(tables)
    assert control["resumed_at_step"].isna().all()
    assert resumed["num_resumes"].tolist() == [1] * len(tables)
    assert resumed["resumed_at_step"].tolist() == [resumed_at] * len(tables)
    for name in SAME:
        assert control[name].tolist() == resumed[name].tolist(), name
    for name in ("train_loss_steps", "train_loss_curve", "val_loss_curve", "val_accuracy_curve"):
        assert [list(values) for values in control[name]] == [list(values) for values in resumed[name]], name
    assert resumed["samples_per_second"].isna().all()
    assert not list((tmp_path / "killed" / "checkpoints").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("at_step", "fixed"),
    [
        (15, {"optimizer": {"name": "AdamW"}, "warmup": {"kind": "linear", "steps": 20}, "clip_grad_norm": 0.5}),
        (15, {"precision": "fp16", "base_lr": 0.01}),
        (45, {"optimizer": {"name": "LBFGS", "max_iter": 3}, "base_lr": 0.05}),  # three forward passes in a step
    ],
    ids=["AdamW, warm-up", "fp16", "LBFGS"],
)
def test_other_optimizers_warmups_and_precisions_resume_too(tmp_path, at_step, fixed):
    """Momentum of every kind, the warm-up's place and the GradScaler's scale are in the checkpoint."""
    chosen = study(tmp_path, at_step, ["CosineAnnealingLR(interval='step')"], **fixed)
    control, _, resumed = run_whole_and_killed(tmp_path, chosen, 7)
    assert resumed["resumed_at_step"].tolist() == [14]
    for name in SAME:
        assert control[name].tolist() == resumed[name].tolist(), name


ITEMS = {
    "model": lambda state, earlier: state.update(model=earlier["model"]),
    "momentum": lambda state, earlier: state["optimizer"].update(state=earlier["optimizer"]["state"]),
    "rates": lambda state, earlier: state["optimizer"].update(param_groups=earlier["optimizer"]["param_groups"]),
    "scheduler": lambda state, earlier: state.update(scheduler=earlier["scheduler"]),
    "scaler": lambda state, earlier: state["scaler"].update(scale=65_536.0),  # a fresh one's
    "random numbers of torch": lambda state, earlier: state["rng"].update(torch=earlier["rng"]["torch"]),
    "random numbers of NumPy": lambda state, earlier: state["rng"].update(numpy=earlier["rng"]["numpy"]),
    "random numbers of Python": lambda state, earlier: state["rng"].update(python=earlier["rng"]["python"]),
    "position": lambda state, earlier: state["course"].update(step=earlier["course"]["step"]),
}


def small(**factors) -> lrbench.Trial:
    """A trial whose model draws from every random stream there is."""
    return lrbench.Trial(
        **{
            "workload": {
                "base": "digits-cnn",
                "train_limit": 72,
                "model": "lrbench.tests.helpers.interrupted:EveryStream",
                "model_args": {"in_channels": 1, "image_size": 8},
            },
            "epochs": 3,
            "batch_size": 10,
            "precision": "fp16",
            "base_lr": 0.01,
            "scheduler": "CosineAnnealingLR(interval='step')",
            **factors,
        }
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[dict, dict, dict]:
    """The row of a whole trial, and what it saved after steps 7 and 14."""
    from lrbench.checkpoints import Checkpoint
    from lrbench.trial import loop

    folder = tmp_path_factory.mktemp("saved")
    states = []
    write = loop.write

    def keep(path, *arguments):
        write(path, *arguments)
        states.append(torch.load(path, weights_only=False))

    patch = pytest.MonkeyPatch()
    patch.setattr(loop, "write", keep)
    try:
        seed_all()
        row = loop.run_here(
            small(), device="cpu", data_root=None, where={}, checkpoint=Checkpoint(path=folder / "x.pt", every=7)
        )
    finally:
        patch.undo()
    assert row["status"] == "completed", row["error"]
    assert [state["course"]["num_steps"] for state in states] == [7, 14]
    assert states[1]["scaler"]["scale"] < 65_536  # a fresh scaler's: it has come down, so it matters
    return row, *states


def seed_all() -> None:
    """What the user's own code would have to do: lrbench derives torch's streams, and leaves these two alone."""
    import random

    import numpy

    random.seed(1)
    numpy.random.seed(1)


def resume(state: dict, path: Path) -> dict:
    from lrbench.checkpoints import Checkpoint
    from lrbench.trial.loop import run_here

    torch.save(state, path)
    seed_all()
    return run_here(small(), device="cpu", data_root=None, where={}, checkpoint=Checkpoint(path=path, every="epoch"))


def test_what_was_saved_is_enough(saved, tmp_path):
    """The control of the mutations below: the whole checkpoint of step 14 leads to the weights of the whole trial."""
    row, _, later = saved
    resumed = resume(later, tmp_path / "x.pt")
    assert [resumed[name] for name in SAME] == [row[name] for name in SAME]


@pytest.mark.parametrize("item", ITEMS)
def test_every_saved_item_is_needed(saved, tmp_path, item):
    """With any one item as it was seven steps earlier the end is another: each is seen to be restored."""
    row, earlier, later = (torch.load(_copy(part, tmp_path), weights_only=False) for part in saved)
    ITEMS[item](later, earlier)
    resumed = resume(later, tmp_path / "x.pt")
    assert resumed["status"] == "completed", resumed["error"]
    seen = ("weights_sha256", "applied_lr_sha256", "num_steps")
    assert [resumed[name] for name in seen] != [row[name] for name in seen]


def _copy(part: dict, folder: Path) -> Path:
    path = folder / "copy.pt"
    torch.save(part, path)
    return path


@pytest.mark.parametrize("item", ["model", "optimizer", "scheduler", "scaler", "clock", "rng", "course", "format"])
def test_a_checkpoint_that_lacks_something_is_refused(saved, tmp_path, item):
    """Nothing is begun anew in silence: the trial says which file it cannot go on from, and what to do."""
    state = {key: value for key, value in saved[2].items() if key != item}
    row = resume(state, tmp_path / "x.pt")
    assert row["status"] == "crashed"
    assert str(tmp_path / "x.pt") in row["error"]
    assert "Delete it to begin this trial anew" in row["error"]


@pytest.mark.parametrize("item", ["num_steps", "multipliers", "scheduler_steps", "losses", "epoch"])
def test_a_course_that_lacks_something_is_refused(saved, tmp_path, item):
    """What the row is made of is saved whole, or not gone on from."""
    course = {key: value for key, value in saved[2]["course"].items() if key != item}
    row = resume({**saved[2], "course": course}, tmp_path / "x.pt")
    assert row["status"] == "crashed"
    assert item in row["error"]


def test_a_torn_checkpoint_is_refused(saved, tmp_path):
    """Half a file is no checkpoint."""
    torch.save(saved[2], tmp_path / "whole.pt")
    data = (tmp_path / "whole.pt").read_bytes()
    from lrbench.checkpoints import Checkpoint
    from lrbench.trial.loop import run_here

    (tmp_path / "x.pt").write_bytes(data[: len(data) // 2])
    row = run_here(
        small(), device="cpu", data_root=None, where={}, checkpoint=Checkpoint(path=tmp_path / "x.pt", every=7)
    )
    assert row["status"] == "crashed"
    assert "Delete it to begin this trial anew" in row["error"]


def test_a_checkpoint_of_another_trial_is_refused(saved, tmp_path):
    """A file copied from another trial is not gone on from."""
    row = resume({**saved[2], "trial_id": "0123456789abcdef"}, tmp_path / "x.pt")
    assert row["status"] == "crashed"
    assert "trial_id is '0123456789abcdef'" in row["error"]


@pytest.mark.slow
def test_a_run_whose_runner_is_killed_goes_on_in_the_middle_of_its_trial(tmp_path):
    """kill -9 of the runner once a checkpoint is there; the same command again resumes the trial, to the same bits."""
    file = write_study(
        tmp_path / "long.toml", fixed={"workload": "digits-cnn", "epochs": 40, "device": "cpu"}, grid={"seed": [0]}
    )
    command = [sys.executable, "-m", "lrbench", "run", str(file), "--checkpoint-every", "37", "--quiet", "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    runner = subprocess.Popen([*command, str(tmp_path / "cut")])
    for _ in range(6_000):
        if list((tmp_path / "cut").glob("checkpoints/*.pt")) or runner.poll() is not None:
            break
        time.sleep(0.01)
    runner.kill()
    runner.wait()
    assert len(lrbench.load(tmp_path / "cut")) == 0
    subprocess.run([*command, str(tmp_path / "cut")], check=True)
    (whole,), (cut,) = (lrbench.load(tmp_path / name).to_dict("records") for name in ("whole", "cut"))
    assert (whole["num_resumes"], cut["num_resumes"]) == (0, 1)
    assert cut["resumed_at_step"] % 37 == 0
    for name in SAME:
        assert whole[name] == cut[name], name
