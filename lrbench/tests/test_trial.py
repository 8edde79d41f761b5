"""One trial in its process: what was asked is in force, seeds decide what they name, and the row says it all."""

import contextlib
import json
import math

import pytest
import torch

import lrbench
from lrbench.factors import Trial
from lrbench.place import place
from lrbench.record import COLUMNS, NAMES, check_row
from lrbench.seeds import derive_seed
from lrbench.tests.helpers.studies import DIGITS, SMALL, USERS
from lrbench.trial.data import batch, stage
from lrbench.trial.digest import digest_model
from lrbench.trial.evaluate import all_logits
from lrbench.trial.workload import resolve

BITS = ("weights_sha256", "logits_sha256", "predictions_sha256", "applied_lr_sha256", "train_loss_steps")
# dropout, crops and flips: every stream of a seed has something to decide
AUGMENTED = {**DIGITS, "crop_padding": 1, "flip": True}


def bits(row: dict) -> dict:
    return {name: row[name] for name in BITS}


# ------------------------------------------------------------------------------------------------------------- the row


@pytest.fixture(scope="module")
def row() -> dict:
    """The row of `lrbench.run_trial`, which starts a process for this one trial."""
    trial = Trial(
        workload=DIGITS, epochs=3, batch_size=10, scheduler="StepLR(step_size=1)", optimizer="SGD(momentum=0.9)"
    )
    return lrbench.run_trial(trial, device="cpu")


def test_run_trial_returns_a_row(row):
    """Every key of the row is a column, with its type; what was asked, seen and where are all there."""
    assert set(check_row(row)) == set(NAMES)
    assert row["status"] == "completed"
    assert row.get("error") is None
    assert row["stage"] == "done"
    unknown_here = {"study", "block", "position", "attempt", "tuning", "look", "error", "scheduler_monitor"}
    unknown_here |= {"clip_grad_norm", "clip_grad_value", "git_commit", "git_dirty"}
    unknown_here |= {name for name in NAMES if name.startswith(("gpu_", "kernel_"))}
    unknown_here |= {column.name for column in COLUMNS if column.group == "repeats"}  # not asked for
    unknown_here |= {"resumed_at_step", "energy_joules", "cudnn_version", "driver_version", "cuda_version"}
    unknown_here |= {"private_memory_mib"} if row["total_seconds"] < 1 else set()
    assert {name for name in NAMES if row.get(name) is None} <= unknown_here


def test_the_counts_of_a_row_are_those_of_the_trial(row):
    """72 images, 7 of them for validation: 65 train, 6 steps of 10 an epoch, 18 in all, one loss and rate for each."""
    assert (row["steps_per_epoch"], row["num_steps"], row["num_optimizer_steps"]) == (6, 18, 18)
    assert row["num_steady_steps"] == 18 - 1 - 3
    assert len(row["train_loss_steps"]) == len(row["applied_lr"][0]) == 18
    assert len(row["train_loss_curve"]) == len(row["val_loss_curve"]) == len(row["val_accuracy_curve"]) == 3
    assert len(row["train_seconds_curve"]) == 3
    assert 0 < row["train_seconds_curve"][0] < row["train_seconds_curve"][2] == row["train_seconds"]
    assert len(row["predictions"]) == 359  # the fifth of 1,797 digits
    assert len(row["probe_logits"]) == 32 * 10
    # 3x3 convolutions 1-16-32-64 without bias, a scale and a shift for each channel, and the head
    assert row["num_parameters"] == 9 * (16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64) + 64 * 2 * 2 * 10 + 10


def test_the_summaries_of_a_row_follow_from_its_curves(row):
    """Final values are those at the end of the curves; an epoch's loss is the mean of its steps."""
    for name in ("train_loss", "val_loss", "val_accuracy"):
        assert row[f"final_{name}"] == row[f"{name}_curve"][-1]
    steps = row["train_loss_steps"]
    means = [math.fsum(steps[epoch * 6 : epoch * 6 + 6]) / 6 for epoch in range(3)]
    assert row["train_loss_curve"] == pytest.approx(means, rel=1e-6)
    for accuracy in row["val_accuracy_curve"]:
        assert accuracy * 7 == pytest.approx(round(accuracy * 7))
    logits = torch.tensor(row["probe_logits"]).reshape(32, 10)
    assert logits.argmax(dim=1).tolist() == row["predictions"][:32]
    labels = stage(resolve(DIGITS), None).test_labels
    assert row["final_accuracy"] == (torch.tensor(row["predictions"]) == labels).double().mean().item()


def test_the_times_of_a_row_add_up(row):
    """First step, settling and steady steps are parts of training, which is a part of the whole."""
    steady = row["num_steady_steps"] * row["batch_size"] / row["samples_per_second"]
    assert row["first_step_seconds"] + row["settle_seconds"] + steady == pytest.approx(row["train_seconds"])
    assert 0 < row["step_seconds_median"] <= row["step_seconds_p95"] < row["train_seconds"]
    assert row["build_seconds"] + row["train_seconds"] + row["evaluate_seconds"] < row["total_seconds"] < 60


def test_the_row_says_where_it_was(row):
    """Host, versions and data are those of this machine, and the process had as many cores as it has threads."""
    here = place()
    for name in ("hostname", "cpu_model", "num_cores", "torch_version", "lrbench_version"):
        assert row[name] == here[name]
    assert row["data_sha256"] == stage(resolve(DIGITS), None).sha256
    assert row["cores"].isdigit()
    assert (row["device"], row["cudnn_flags_inert"], row["packed"]) == ("cpu", True, False)


def test_the_row_holds_the_trial(row):
    """The column `trial` is the whole description: it can be run again from the row alone."""
    again = Trial(**json.loads(row["trial"]))
    assert again.trial_id == row["trial_id"]
    assert again.condition_id == row["condition_id"]


# --------------------------------------------------------------------------------------------------------------- seeds


def test_the_same_seed_repeats_bit_for_bit_in_a_fresh_process(run):
    """Weights, losses, predictions and logits are equal to the last bit, with dropout, crops and flips at work."""
    first, second = (run(workload=AUGMENTED, epochs=2, seed=3) for _ in range(2))
    assert bits(first) == bits(second)


def test_a_replicate_repeats_bit_for_bit(run):
    """The replicate is in no stream: on a CPU with fixed threads a replicate has the same bits."""
    assert bits(run(workload=AUGMENTED, seed=3)) == bits(run(workload=AUGMENTED, seed=3, replicate=5))


def test_another_seed_has_other_bits(run):
    """Another seed trains other weights."""
    assert run(workload=AUGMENTED, seed=3)["weights_sha256"] != run(workload=AUGMENTED, seed=4)["weights_sha256"]


@pytest.mark.parametrize("stream", ["seed_init", "seed_order", "seed_augmentation", "seed_dropout"])
def test_each_stream_decides_something_by_itself(run, stream):
    """One stream at another seed, the rest as they were: other weights, and again the same ones."""
    plain = run(workload=AUGMENTED, seed=3)
    other, again = (run(workload=AUGMENTED, seed=3, **{stream: 9}) for _ in range(2))
    assert other["weights_sha256"] != plain["weights_sha256"]
    assert bits(other) == bits(again)


STREAMS = {"model": f"{USERS}:Streams", "loss": f"{USERS}:streams_loss", "crop_padding": 1, "flip": True, **SMALL}


def seen_of_streams(row: dict) -> dict[str, float | str]:
    """What each stream drew: the model and loss of this workload show them one by one, and a rate of 0 the weights."""
    order, augmentation, dropout = row["train_loss_steps"]
    weights = row["weights_sha256"]
    return {"init": weights, "order": order, "augmentation": round(augmentation, 3), "dropout": dropout}


@pytest.mark.parametrize("stream", ["init", "order", "augmentation", "dropout"])
def test_a_stream_leaves_the_others_alone(run, stream):
    """Where one stream has another seed, the initial weights, order, crops and masks of the others are as before."""
    factors = {"workload": STREAMS, "epochs": 3, "batch_size": 65, "base_lr": 0.0, "seed": 3}
    plain = seen_of_streams(run(**factors))
    changed = seen_of_streams(run(**factors, **{f"seed_{stream}": 9}))
    assert {name for name in plain if plain[name] != changed[name]} == {stream}


def test_a_model_without_random_layers_has_no_dropout_stream(run):
    """A stream that nothing draws from changes nothing."""
    workload = {"model": f"{USERS}:Faulty", **SMALL}
    plain = run(workload=workload, seed=3)
    assert bits(run(workload=workload, seed=3, seed_dropout=9)) == bits(plain)
    assert bits(run(workload=workload, seed=3, seed_augmentation=9)) == bits(plain)


# --------------------------------------------------------------------------------------------------------------- flags


@pytest.mark.parametrize("strict", ["off", "warn", "strict"])
@pytest.mark.parametrize("on", [False, True])
def test_the_flags_that_were_asked_for_are_in_force(run, on, strict):
    """Every flag is read back after training as it was asked for; each trial has its own, whatever ran before."""
    row = run(
        workload=DIGITS,
        cudnn_benchmark=on,
        cudnn_deterministic=not on,
        deterministic_algorithms=strict,
        cudnn_fp32_precision="ieee" if on else "tf32",
        matmul_fp32_precision="tf32" if on else "ieee",
        num_threads=2 if on else 1,
    )
    assert row["effective_cudnn_enabled"] is True
    assert row["effective_cudnn_benchmark"] is on
    assert row["effective_cudnn_deterministic"] is not on
    assert row["effective_deterministic_algorithms"] == strict
    assert row["effective_cudnn_fp32_precision"] == ("ieee" if on else "tf32")
    assert row["effective_matmul_fp32_precision"] == ("tf32" if on else "ieee")
    assert row["effective_num_threads"] == (2 if on else 1)
    assert row["effective_device"] == "cpu"
    assert row["flags_held"] is True
    assert json.loads(row["environment"])["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_flags_that_the_users_code_changed_are_seen(run):
    """A model that switches a flag in the middle of training is a row whose flags did not hold."""
    row = run(workload={"model": f"{USERS}:Meddling", **SMALL}, cudnn_benchmark=True)
    assert row["effective_cudnn_benchmark"] is False
    assert row["flags_held"] is False


def test_on_a_cpu_the_cudnn_flags_change_no_bit(run):
    """The cuDNN flags are inert on a CPU: the bits are equal, and the row says that they had to be."""
    plain = run(workload=DIGITS, seed=1)
    flags = run(workload=DIGITS, seed=1, cudnn_benchmark=True, cudnn_deterministic=True)
    assert bits(flags) == bits(plain)
    assert flags["cudnn_flags_inert"] is plain["cudnn_flags_inert"] is True


# ---------------------------------------------------------------------------------------------------- what is trained


def test_the_loop_trains_what_a_plain_loop_trains(run):
    """Ten lines of plain torch, with the same seeds, end at the same weights bit for bit.

    Measuring, recording, warm-up and validation change nothing of what is trained.
    """
    row = run(workload=AUGMENTED, epochs=2, base_lr=0.05, seed=3, optimizer="SGD(momentum=0.9)")
    workload = resolve(AUGMENTED)
    data = stage(workload, None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(derive_seed("init", 3))
    model = workload.model(num_classes=10, **workload.model_args).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    torch.manual_seed(derive_seed("dropout", 3))
    for epoch in range(2):
        order = torch.randperm(65, generator=torch.Generator().manual_seed(derive_seed("order", 3, epoch)))
        draw = torch.Generator().manual_seed(derive_seed("augmentation", 3, epoch))
        offsets = torch.randint(0, 3, (65, 2), generator=draw)
        flips = torch.randint(0, 2, (65,), generator=draw, dtype=torch.bool)
        for part in (order[:32], order[32:64]):
            optimizer.zero_grad()
            x = batch(data.train_images, part, offsets, flips, data.mean, data.std, crop_padding=1)
            torch.nn.functional.cross_entropy(model(x), data.train_labels[part]).backward()
            optimizer.step()
    torch.set_num_threads(threads)
    assert digest_model(model) == row["weights_sha256"]


LOGITS = {"model": f"{USERS}:Logits", **SMALL}


def weights_after_one_step(run, **factors) -> torch.Tensor:
    """The weights of a model that is its logits, after one step at rate 1 from 0: minus the gradient that arrived."""
    row = run(workload=LOGITS, batch_size=65, base_lr=1.0, **factors)
    assert row["num_optimizer_steps"] == 1
    return torch.tensor(row["probe_logits"][:10])


@pytest.fixture(scope="module")
def gradient(run) -> torch.Tensor:
    """Cross entropy at equal logits: 1/10 minus the share of each class among the training images."""
    labels = stage(resolve(SMALL | {"model": f"{USERS}:Logits"}), None).train_labels
    expected = 0.1 - torch.bincount(labels, minlength=10) / len(labels)
    assert weights_after_one_step(run) == pytest.approx(-expected, abs=1e-6)
    return expected


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_gradients_norm_is_clipped(run, gradient, precision):
    """With clip_grad_norm the step is as long as that and no longer, in the gradient's direction, scaled or not."""
    norm = gradient.norm().item()
    step = weights_after_one_step(run, clip_grad_norm=norm / 4, precision=precision)
    assert step == pytest.approx(-gradient / 4, abs=1e-3 * norm)
    step = weights_after_one_step(run, clip_grad_norm=norm * 4, precision=precision)
    assert step == pytest.approx(-gradient, abs=1e-2 * norm)


def test_the_gradients_elements_are_clipped(run, gradient):
    """With clip_grad_value no element is larger than that, and smaller ones stay as they are."""
    bound = gradient.abs().median().item()
    step = weights_after_one_step(run, clip_grad_value=bound)
    assert step == pytest.approx(-gradient.clamp(-bound, bound), abs=1e-6)


def test_the_norm_is_clipped_before_the_elements(run, gradient):
    """With both, the norm is clipped first."""
    norm = gradient.norm().item()
    bound = (gradient / 2).abs().median().item()
    step = weights_after_one_step(run, clip_grad_norm=norm / 2, clip_grad_value=bound)
    assert step == pytest.approx(-(gradient / 2).clamp(-bound, bound), abs=1e-5)


@pytest.mark.parametrize(
    "optimizer",
    ["SGD(momentum=0.9, nesterov=True)", "Adam", "AdamW(weight_decay=0.1)", "Adafactor", "LBFGS(max_iter=4)", "Rprop"],
)
def test_optimizers_learn(run, optimizer):
    """A linear model on 65 digits: with each optimizer the training loss falls."""
    rate = {"Adafactor": 0.05, "LBFGS(max_iter=4)": 0.2}.get(optimizer, 0.01)
    row = run(workload={"model": f"{USERS}:Faulty", **SMALL}, epochs=8, base_lr=rate, optimizer=optimizer)
    assert row["optimizer_name"] == optimizer.partition("(")[0]
    assert row["train_loss_curve"][-1] < 0.9 * row["train_loss_curve"][0]
    assert len(row["applied_lr"][0]) == 16


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_is_in_force(run, precision):
    """Under autocast the loss still falls, with other bits than in fp32, and the logits that are kept are float32."""
    rows = {p: run(workload=DIGITS, epochs=4, base_lr=0.02, precision=p) for p in ("fp32", precision)}
    assert rows[precision]["weights_sha256"] != rows["fp32"]["weights_sha256"]
    assert rows[precision]["train_loss_curve"][-1] < rows[precision]["train_loss_curve"][0]
    assert rows[precision]["train_loss_curve"] == pytest.approx(rows["fp32"]["train_loss_curve"], rel=0.1)


def test_channels_last_is_in_force(run):
    """With channels_last the model sees its images laid out that way, in training and in evaluation; else not."""
    workload = {"model": f"{USERS}:Layout", "data": "synthetic", "image_size": 16, "loss": f"{USERS}:slope"}
    for asked in (True, False):
        row = run(workload=workload, channels_last=asked)
        assert row["probe_logits"][0] == float(asked)
        assert row["train_loss_steps"][0] == float(asked)


def test_a_batch_larger_than_the_data_is_refused(run_ended):
    """Where not one whole batch fits, the trial says so instead of training on nothing."""
    row = run_ended(workload=DIGITS, batch_size=66).row
    assert row["status"] == "crashed"
    assert "batch_size 66 is more than the 65 training images" in row["error"]


def test_class_accuracy_adds_up_to_the_accuracy():
    """Each class's share of right predictions, weighted by its test images, is the accuracy over all."""
    from lrbench.trial.sources import digits

    row = lrbench.run_trial(Trial(workload="digits-cnn", epochs=1))
    counts = [int((digits().test_labels == label).sum()) for label in range(10)]
    shares = sum(share * count for share, count in zip(row["class_accuracy"], counts, strict=True))
    assert shares / sum(counts) == pytest.approx(row["final_accuracy"], abs=1e-12)
    assert len(set(row["class_accuracy"])) > 1


@pytest.mark.parametrize("num_images", [1, 64, 65, 130])
def test_images_are_evaluated_a_few_at_a_time(num_images):
    """On a CPU a model sees 64 images at once at most, in order, and each image's logits are its own."""
    seen = []

    class Brightness(torch.nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x.mean(dim=(1, 2, 3))[:, None]

    images = torch.arange(num_images, dtype=torch.uint8).view(-1, 1, 1, 1)
    mean, std = torch.zeros(1), torch.full((1,), 1 / 255)
    plain = torch.contiguous_format
    logits = all_logits(Brightness(), images, mean, std, torch.device("cpu"), plain, contextlib.nullcontext())
    assert logits.flatten().tolist() == pytest.approx(list(range(num_images)), abs=1e-3)
    assert max(seen) <= 64
    assert sum(seen) == num_images
