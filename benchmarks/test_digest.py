"""The digest of a model's weights, on ResNet-18's: what telling two trainings apart costs at the end of each trial."""

import pytest

from benchmarks import clocks


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
