"""The operator trace on one training step of ResNet-50: what it costs in time, and that it holds nothing in memory."""

import resource

import pytest

from benchmarks import clocks

BATCH = 8


def step(model, optimizer, images, labels):
    import torch

    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()


@pytest.mark.benchmark(group="operator trace", timer=clocks.synchronised)
@pytest.mark.parametrize("traced", [False, True], ids=["plain", "traced"])
def test_step_of_resnet50(benchmark, device, traced, tmp_path):
    """A step writes a line for each operator, and its memory grows by less than the activations of two images."""
    import torch
    from torchvision.models import resnet50

    from lrbench.trial.trace import OperatorTrace

    torch.manual_seed(0)
    model = resnet50(num_classes=10).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.randn(BATCH, 3, 224, 224, device=device), torch.arange(BATCH, device=device)
    path = tmp_path / "step.trace"

    def whole() -> None:
        if not traced:
            step(model, optimizer, images, labels)
            return
        with OperatorTrace(path, model=model):
            step(model, optimizer, images, labels)

    step(model, optimizer, images, labels)
    before = _peak_mib(device)
    benchmark.pedantic(whole, rounds=3)
    added = _peak_mib(device) - before
    benchmark.extra_info |= {"device": device, "batch": BATCH, "added_peak_mib": round(added, 1)}
    if traced:
        benchmark.extra_info |= {"num_operators": len(path.read_text().splitlines()), "bytes": path.stat().st_size}
        assert added < 200, "the activations of two of these images take about as much"


def _peak_mib(device: str) -> float:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
