"""What is looked at in a trial besides its training: digests at steps, forgotten seeds, repeats, the one-ulp poke."""

import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256

import pytest
import torch
from torch import nn

import lrbench
from lrbench.errors import InputError
from lrbench.executors import Job, open_executor
from lrbench.tests.helpers.commands import wait_until
from lrbench.trial.digest import fast_digest, optimizer_state_of
from lrbench.trial.poke import poke
from lrbench.trial.steps import weights_sample
from lrbench.watch import STEP_DIGESTS, Watch

SMALL = {"data": "digits", "train_limit": 144}
STEPS = 2  # 130 images train: two steps an epoch at batch size 64
EPOCHS = 3
WATCHED = Watch()
COLUMNS = [f"{name}_xxh3" for name in STEP_DIGESTS]


def trial(model: str = "lrbench.trial.models:small_cnn", **factors) -> lrbench.Trial:
    args = {"model_args": {"in_channels": 1, "image_size": 8}} if model.endswith("small_cnn") else {}
    factors = {"optimizer": "SGD(momentum=0.9)", "base_lr": 0.1, "batch_size": 64, "epochs": EPOCHS, **factors}
    return lrbench.Trial(workload={"model": model, **args, **SMALL}, **factors)


@pytest.fixture(scope="module")
def run_watched() -> Iterator[Callable[..., dict]]:
    """Run a trial in a fresh process, as lrbench.run_trial does, and return its row; all are forked from one parent."""
    with closing(open_executor("process", [trial()], None)) as executor:

        def run(of: lrbench.Trial, watch: Watch = WATCHED) -> dict:
            job = Job(trial=of, cores=(), gpu=None, data_root=None, columns={}, watch=watch)
            started = executor.start(job)
            ended = wait_until("a trial's end", lambda: next((e for e in executor.wait(0.1) if e is started), None))
            assert ended.row is not None, ended.output
            return ended.row

        yield run


@pytest.fixture(scope="module")
def rows(run_watched) -> dict[str, dict]:
    """One trial, watched in three ways, and three that differ from it in one thing each."""
    return {
        "each step": run_watched(trial(), watch=Watch(digest_every=1, repeats=4)),
        "each epoch": run_watched(trial()),
        "off": run_watched(trial(), watch=Watch(digest_every="off")),
        "stopped": run_watched(trial(), watch=Watch(digest_every=1, stop_after=3)),
        "poked": run_watched(trial(poke_ulps=1), watch=Watch(digest_every=1)),
        "other order": run_watched(trial(seed_order=7), watch=Watch(digest_every=1)),
        "other rate": run_watched(trial(scheduler="StepLR(step_size=1, gamma=0.5)"), watch=Watch(digest_every=1)),
    }


def parted(a: dict, b: dict) -> dict[str, int]:
    """The first step at which each digest of two rows differs; absent where it never does."""
    found = {}
    for name in COLUMNS:
        steps = [step for step, x, y in zip(a["digest_steps"], a[name], b[name], strict=True) if x != y]
        if steps:
            found[name.removesuffix("_xxh3")] = steps[0]
    return found


@pytest.mark.parametrize("how", ["each step", "off", "stopped"])
def test_watching_changes_no_bit(rows, how):
    """However closely a trial is looked at, it trains to the same bits."""
    same = ["weights_sha256", "gradients_sha256", "optimizer_sha256", "logits_sha256", "train_loss_steps"]
    if how == "stopped":
        assert rows[how]["train_loss_steps"] == rows["each epoch"]["train_loss_steps"][:3]
    else:
        assert [rows[how][name] for name in same] == [rows["each epoch"][name] for name in same]


def test_digests_are_taken_when_they_are_asked_for(rows):
    """At each step, at each epoch's end, never, or up to the step at which the trial is to stop."""
    assert rows["each step"]["digest_steps"] == [1, 2, 3, 4, 5, 6]
    assert rows["each epoch"]["digest_steps"] == [2, 4, 6]
    assert rows["off"]["digest_steps"] == []
    assert rows["stopped"]["digest_steps"] == [1, 2, 3]
    for name in COLUMNS:
        assert len(rows["each step"][name]) == 6
        assert [rows["each step"][name][place] for place in (1, 3, 5)] == rows["each epoch"][name]


def test_a_stopped_trial_says_nothing_of_a_whole_one(rows):
    """A trial that stops at a step has its digests and losses, and neither an accuracy nor a speed."""
    row = rows["stopped"]
    assert (row["num_steps"], row["status"]) == (3, "completed")
    assert not {"final_accuracy", "samples_per_second", "predictions"} & row.keys()


def test_a_poke_is_seen_at_the_first_step(rows):
    """One weight moved by one ulp: the weights differ after step 1, the images, the order and the rates never."""
    found = parted(rows["each step"], rows["poked"])
    assert found["weights"] == 1
    assert not {"order", "images", "rng", "lr"} & found.keys()


def test_another_order_is_seen_as_such(rows):
    """Another seed of the order alone: order, images and all that follows differ at step 1, random state and rates
    do not."""
    found = parted(rows["each step"], rows["other order"])
    assert {name: found.get(name) for name in STEP_DIGESTS} == {
        "order": 1,
        "images": 1,
        "loss": 1,
        "gradients": 1,
        "weights": 1,
        "optimizer": 1,
        "rng": None,
        "lr": None,
    }


def test_another_rate_is_seen_before_what_it_does(rows):
    """A rate halved after the first epoch: the rate differs at step 3, the weights after it, the loss a step later."""
    found = parted(rows["each step"], rows["other rate"])
    assert found["lr"] == 3
    assert found["weights"] == 3
    assert found["loss"] == 4
    assert "order" not in found


def test_losses_digest_is_of_the_bits(rows):
    """losses_sha256 is the digest of the losses as float32, by the digest's own framing."""
    losses = rows["each step"]["train_loss_steps"]
    head = f"losses|torch.float32|({len(losses)},)|".encode()
    assert rows["each step"]["losses_sha256"] == sha256(head + struct.pack(f"<{len(losses)}f", *losses)).hexdigest()


def test_repeats_count_what_is_identical(rows):
    """On a CPU at one thread four forwards and four backwards of one batch agree with the first, itself included."""
    row = rows["each step"]
    assert (row["num_repeats"], row["forward_repeats_identical"], row["backward_repeats_identical"]) == (4, 4, 4)
    assert row["forward_samples_per_second"] > 0
    assert "num_repeats" not in rows["each epoch"]


@pytest.mark.parametrize(
    ("model", "python", "numpy_used"),
    [("small_cnn", False, False), ("python_noise", True, False), ("numpy_noise", False, True)],
)
def test_forgotten_seeds_are_seen(model, python, numpy_used, run_watched):
    """A model that draws from Python's or NumPy's global generator says so in its row, and differs between runs."""
    module = "lrbench.trial.models" if model == "small_cnn" else "lrbench.tests.helpers.noisy"
    first, second = (run_watched(trial(f"{module}:{model}", epochs=1)) for _ in range(2))
    assert (first["python_rng_used"], first["numpy_rng_used"]) == (python, numpy_used), first.get("error")
    assert (first["weights_sha256"] == second["weights_sha256"]) is not (python or numpy_used)


def test_two_trials_of_one_run_begin_with_other_python_and_numpy_states(tmp_path):
    """Forked from one process, trials with a forgotten seed still differ, as two processes of a shell do."""
    study = tmp_path / "noise.toml"
    study.write_text(
        'question = "?"\nreplicates = 2\n[fixed]\n'
        'workload = { model = "lrbench.tests.helpers.noisy:numpy_noise", data = "digits", train_limit = 144 }\n'
        'epochs = 1\nbatch_size = 64\nbase_lr = 0.1\noptimizer = "SGD"\n'
    )
    lrbench.run_study(lrbench.read_study(study), tmp_path / "out", reporter=_silent())
    assert lrbench.load(tmp_path / "out")["weights_sha256"].nunique() == 2


@pytest.mark.parametrize(("model", "used"), [("lrbench.trial.models:small_cnn", False), ("evaluation_noise", True)])
def test_an_evaluation_that_moves_the_training_on_is_seen(model, used, run_watched):
    """A model that draws from torch's generator in evaluation mode says so in its row; another does not."""
    model = model if ":" in model else f"lrbench.tests.helpers.noisy:{model}"
    row = run_watched(trial(model, epochs=1))
    assert row["evaluation_rng_used"] is used, row.get("error")


def _silent():
    from lrbench.progress import SilentReporter

    return SilentReporter()


def test_a_study_wants_whole_trials(tmp_path):
    """run_study refuses to stop trials at a step: half a trial is no row."""
    with pytest.raises(InputError, match="stop_after is for run_trial"):
        lrbench.run_study(lrbench.read_study("quickstart"), tmp_path / "out", watch=Watch(stop_after=1))


def test_a_trace_is_of_a_step():
    """A Watch that traces says which step."""
    with pytest.raises(ValueError, match="give stop_after"):
        Watch(trace="x")


@pytest.mark.parametrize(
    ("value", "ulps", "expected"), [(1.0, 1, 1 + 2**-23), (-1.0, 2, -1 - 2**-22), (0.0, 1, 2**-149)]
)
def test_poke_moves_one_weight_away_from_zero(value, ulps, expected):
    """By so many units in the last place of float32, and no other weight."""
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(value)
    poke(model, ulps)
    assert model.weight.tolist() == [[expected, value]]


def test_poke_wants_a_weight():
    """A model without parameters cannot be poked, and says so."""
    with pytest.raises(ValueError, match="has none"):
        poke(nn.ReLU(), 1)


def test_the_sample_of_the_weights_is_evenly_spaced():
    """All weights where there are up to 1,024, else those at floor(i · n / 1,024), over all parameters in order."""
    small = nn.Linear(3, 1)
    with torch.no_grad():
        small.weight.copy_(torch.tensor([[1.0, 2.0, 3.0]]))
        small.bias.fill_(4.0)
    assert weights_sample(small).tolist() == [1, 2, 3, 4]
    large = nn.ParameterList([torch.arange(1000.0), torch.arange(1000.0, 4096.0)])
    assert weights_sample(large).tolist() == [4.0 * place for place in range(1024)]


def test_the_fast_digest_separates_what_the_slow_one_does():
    """Values, order, sign of zero, dtype, shape and name each change it."""
    base = torch.tensor([1.0, 2.0, 0.0])
    others = [
        torch.tensor([2.0, 1.0, 0.0]),
        torch.tensor([1.0, 2.0, -0.0]),
        -base,
        base.double(),
        base.reshape(3, 1),
        torch.nextafter(base, base + 1),
    ]
    digests = {fast_digest([("x", value)]) for value in [base, *others]} | {fast_digest([("y", base)])}
    assert len(digests) == len(others) + 2
    assert fast_digest([("x", base.clone())]) in digests


def test_a_single_value_of_a_larger_tensor_has_a_digest():
    """One value keeps the stride of the tensor that it was cut from; its digest is that of the value."""
    one = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[:1, 1]
    assert torch.tensor([1 + 2j]).imag.stride() == (2,)
    assert fast_digest([("x", torch.tensor([1 + 2j]).imag)]) == fast_digest([("x", one)])


def test_the_optimizers_state_is_flat_whatever_it_holds():
    """Tensors, counts and LBFGS's lists of directions are all in the digest, by name."""
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.LBFGS([parameter], max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    names = [name for name, _ in optimizer_state_of(optimizer)]
    assert "0.func_evals" in names
    assert any(name.startswith("0.old_dirs.") for name in names)
    assert all(isinstance(value, torch.Tensor) for _, value in optimizer_state_of(optimizer))
