"""What claims ask of random generators and of the flags' doors in a new process. Plain values, for `room.fresh`.

What this does *not* do: judge; or ask of convolutions (`lrbench.claims.asked_kernels`).
"""

import random

SEEDINGS = ("torch.manual_seed", "torch.cuda.manual_seed", "nothing")


def seeded(*, seeding: str, seed: int) -> dict:
    """Seed in one of SEEDINGS; return which generators that moved, and digests of what each gives next.

    Generators: cpu, cuda:0 …, random (Python's), numpy (the global one).
    """
    import torch

    before = _states()
    if seeding == "torch.manual_seed":
        torch.manual_seed(seed)
    elif seeding == "torch.cuda.manual_seed":
        torch.cuda.manual_seed(seed)
    else:
        assert seeding == "nothing", f"{seeding!r} is none of {SEEDINGS}"
    after = _states()
    return {"moved": {name: before[name] != after[name] for name in before}, "draws": _draws()}


def _states() -> dict:
    import numpy as np
    import torch

    from lrbench.trial.digest import digest

    _, keys, *rest = np.random.get_state()
    found = {"cpu": digest([("state", torch.get_rng_state())])}
    found |= {name: digest([("state", torch.cuda.get_rng_state(name))]) for name in _cuda_devices()}
    return {**found, "random": str(hash(random.getstate())), "numpy": f"{hash(keys.tobytes())} {rest}"}


def _draws() -> dict:
    import numpy as np
    import torch

    from lrbench.trial.digest import digest

    found = {name: digest([("draws", torch.randn(10_000, device=name))]) for name in ("cpu", *_cuda_devices())}
    return {**found, "random": random.random().hex(), "numpy": float(np.random.rand()).hex()}


def _cuda_devices() -> list[str]:
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def evaluations(*, calls: list[dict]) -> list[dict]:
    """Return what `evaluated` does for each call, one after the other: each begins by seeding anew."""
    return [evaluated(**call) for call in calls]


def evaluated(*, evaluates: bool, own_generator: bool, num_workers: int) -> dict:
    """Train two steps with dropout, maybe evaluate through a DataLoader, train two more; return digests.

    `numbers` is of what torch's CPU generator gives right after the evaluation, `weights` of the network at the end.
    """
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    from lrbench.trial.digest import digest, digest_model

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(64, 8), torch.arange(64) % 2
    generator = {"generator": torch.Generator().manual_seed(1)} if own_generator else {}
    loader = DataLoader(TensorDataset(x, y), batch_size=16, num_workers=num_workers, **generator)

    def train() -> None:
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    train()
    if evaluates:
        model.eval()
        with torch.no_grad():
            seen = sum(len(model(batch)) for batch, _ in loader)
        assert seen == 64
        model.train()
    state = torch.get_rng_state()
    numbers = digest([("numbers", torch.rand(1000))])
    torch.set_rng_state(state)
    train()
    return {"numbers": numbers, "weights": digest_model(model)}


def compiled_dropout(*, device: str) -> dict:
    """Return digests of one dropout from one seed: eager twice, compiled twice, compiled with fallback_random.

    `raises` is what torch.compile says where it cannot work here (a compiler that is missing, say).
    """
    import torch
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor import config

    from lrbench.trial.digest import digest

    def drop(x):
        return torch.nn.functional.dropout(x * 2, 0.5)

    def seen(function) -> str:
        torch.manual_seed(0)
        return digest([("output", function(torch.ones(4096, device=device)))])

    found = {"eager": seen(drop), "eager again": seen(drop), "raises": ""}
    try:
        compiled = torch.compile(drop)
        found |= {"compiled": seen(compiled), "compiled again": seen(compiled)}
        torch._dynamo.reset()
        with config.patch(fallback_random=True):
            found["fallback_random"] = seen(torch.compile(drop))
    except (TorchDynamoException, RuntimeError) as error:
        found["raises"] = f"{type(error).__name__}: {error}"[:300]
    return found


def wave(*, num_numbers: list[int]) -> list[dict]:
    """Return for each CUDA device its name and, for each length, digests of randn's first numbers from one seed."""
    import torch

    from lrbench.trial.digest import digest

    found = []
    for index, name in enumerate(_cuda_devices()):
        digests = []
        for n in num_numbers:
            torch.cuda.set_device(index)
            torch.cuda.manual_seed(0)
            digests.append(digest([("draws", torch.randn(n, device=name))]))
        found.append({"gpu": torch.cuda.get_device_name(index), "digests": digests})
    return found


def door_of_flags() -> dict:
    """Return whether cuDNN is enabled before, inside and after torch.backends.cudnn.flags, by how it is called."""
    from torch.backends import cudnn

    found = {"before": cudnn.enabled}
    with cudnn.flags(deterministic=True):
        found["deterministic=True"] = cudnn.enabled
    with cudnn.flags(benchmark=True):
        found["benchmark=True"] = cudnn.enabled
    with cudnn.flags(enabled=True, deterministic=True):
        found["enabled=True, deterministic=True"] = cudnn.enabled
    cudnn.deterministic = True
    found["assigned"] = cudnn.enabled
    cudnn.deterministic = False
    found["after"] = cudnn.enabled
    return found


def strict_mode(*, device: str, net: dict, num_repeats: int) -> dict:
    """Return both cudnn flags after use_deterministic_algorithms(True), and digests and kernels of convolutions then.

    `kernels` are those of a training step in strict mode, with cudnn.deterministic=True alone, and with neither.
    """
    import torch

    from lrbench.claims import asked_kernels

    where = asked_kernels.begun(device, {"cudnn_benchmark": True})
    flags = {}
    for strict in (True, False):
        torch.use_deterministic_algorithms(strict)
        flags[str(strict)] = [torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic]
    torch.backends.cudnn.benchmark = False
    model, x = asked_kernels.built(net, where)

    def step() -> None:
        asked_kernels.training_step(model, x)

    seen = {}
    for name, strict, deterministic in [("strict", True, False), ("flag", False, True), ("neither", False, False)]:
        torch.use_deterministic_algorithms(strict)
        torch.backends.cudnn.deterministic = deterministic
        digests = []
        for _ in range(num_repeats):
            step()
            digests.append(asked_kernels.gradients_digest(model))
        seen[name] = {"digests": digests, **asked_kernels.kernels(where, step)}
    return {"flags": flags, "seen": seen}
