"""What telling two trainings apart costs: the digest of ResNet-18's weights at the end of a trial, and the digests of
everything at a step, which are taken once an epoch, as a share of the training that they stand beside."""

from functools import wraps
from statistics import median
from time import perf_counter

import pytest

import lrbench
from benchmarks import clocks
from lrbench.watch import Watch

MOST_SHARE = 0.01  # of training, at the default interval
DIGEST_EVERY = 2  # steps, here: an epoch of digests each would be too few to time
# images in an epoch of the real job: on a CPU nobody waits for a whole one of ResNet-18
IMAGES_PER_EPOCH = {"digits-cnn": 1_294, "resnet18": 45_000}


@pytest.mark.benchmark(group="digest", timer=clocks.synchronised)
def test_digest(benchmark, device):
    """The weights of ResNet-18 give the same digest each time, and another one after the smallest change."""
    import torch

    from lrbench.trial.digest import digest_model
    from lrbench.trial.models import resnet18_small_images

    torch.manual_seed(0)
    model = resnet18_small_images(num_classes=10).to(device)
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    digest = benchmark.pedantic(digest_model, [model], rounds=10, warmup_rounds=1)
    benchmark.extra_info |= {"device": device, "num_bytes": num_bytes}
    if benchmark.stats is not None:  # there are none under --benchmark-disable
        benchmark.extra_info["bytes_per_second"] = num_bytes / benchmark.stats.stats.median
    assert digest == digest_model(model)
    with torch.no_grad():
        weight = model.fc.bias[:1]
        weight.copy_(torch.nextafter(weight, weight + 1))
    assert digest != digest_model(model)


@pytest.mark.benchmark(group="digest", timer=clocks.replayed)
@pytest.mark.parametrize("name", IMAGES_PER_EPOCH)
def test_step_digests(benchmark, device, monkeypatch, name):
    """The digests of one step cost at most a hundredth of an epoch's training, which is how often they are taken."""
    import torch

    from lrbench.trial.loop import run_here
    from lrbench.trial.steps import StepDigests

    seconds = {method: [] for method in ("before", "after")}
    for method, taken in seconds.items():
        monkeypatch.setattr(StepDigests, method, timed(getattr(StepDigests, method), taken))
    trial = lrbench.Trial(**short_job(name, device), device=device)
    num_threads = torch.get_num_threads()
    # in this process, where the clock of the digests is
    row = run_here(
        trial,
        device="cuda:0" if device == "cuda" else device,
        data_root=None,
        where={},
        watch=Watch(digest_every=DIGEST_EVERY),
    )
    torch.set_num_threads(num_threads)
    assert row["status"] == "completed", row["error"]
    digest_seconds = [sum(both) for both in zip(*seconds.values(), strict=True)]
    assert len(digest_seconds) == len(row["digest_steps"]) == row["num_steps"] // DIGEST_EVERY
    durations = iter(digest_seconds)
    benchmark.pedantic(lambda: clocks.replay(next(durations)), rounds=len(digest_seconds))
    epoch_seconds = IMAGES_PER_EPOCH[name] / row["samples_per_second"]
    share = median(digest_seconds) / epoch_seconds
    benchmark.extra_info |= {"device": device, "epoch_seconds": epoch_seconds, "share_of_training": share}
    assert share <= MOST_SHARE


def timed(method, seconds: list[float]):
    """Return the method as it is, but that the seconds of each call are kept; what the GPU has to do is done before."""

    @wraps(method)
    def inside(*arguments):
        clocks.synchronised()
        began = perf_counter()
        method(*arguments)
        seconds.append(clocks.synchronised() - began)

    return inside


def short_job(name: str, device: str) -> dict:
    """Return the factors of a job with a few dozen steps like those of the real one; ten of ResNet-18 on a CPU."""
    if name == "digits-cnn":
        return {"workload": name, "epochs": 5}
    model = {"model": "lrbench.trial.models:resnet18_small_images", "data": "synthetic", "image_size": 32}
    optimizer = {"name": "SGD", "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
    steps = {"epochs": 2, "batch_size": 32} if device == "cpu" else {"epochs": 40, "batch_size": 128}
    limit = {"train_limit": 180} if device == "cpu" else {}
    return {"workload": {**model, **limit}, "optimizer": optimizer, "base_lr": 0.1, **steps}
