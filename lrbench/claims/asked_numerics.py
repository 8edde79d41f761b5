"""Asked in fresh processes: what operations give at a number of threads, and rows of a batch alone. Digests, as JSON.

torch is imported when a function is called. What this does *not* do: compare the answers of two processes.
"""

from lrbench.ulps import ulps

NUM_ELEMENTS = 2**20


def at_threads(num_threads: int) -> dict:
    """Return what `operations` and `training_step` give in this process, with so many threads."""
    return {"operations": operations(num_threads), "training_step": training_step(num_threads)}


def operations(num_threads: int) -> dict[str, str]:
    """Return the digest of what each operation gives for the same random float32 numbers, by its name.

    In the order in which they are tried; every one is large enough for torch to share it out among threads.
    """
    import torch
    from torch.nn import functional

    from lrbench.trial.digest import fast_digest

    torch.set_num_threads(num_threads)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(NUM_ELEMENTS, generator=generator)
    square, other = x.reshape(1024, 1024), torch.randn(1024, 1024, generator=generator)
    images = x.reshape(64, 16, 32, 32)
    kernel, vector = torch.randn(32, 16, 3, 3, generator=generator), other[0]
    weight = kernel.clone().requires_grad_()
    tried = {
        "add": lambda: x + x.flip(0),
        "exp": lambda: x.exp(),
        "sort": lambda: x.sort().values,
        "cumsum": lambda: x.cumsum(0),
        "sum": lambda: x.sum(),
        "mean": lambda: x.mean(),
        "norm": lambda: torch.linalg.vector_norm(x),
        "sum over columns": lambda: square.sum(0),
        "sum over rows": lambda: square.sum(1),
        "softmax": lambda: square.softmax(1),
        "matrix x vector": lambda: square @ vector,
        "matrix x matrix": lambda: square @ other,
        "convolution": lambda: functional.conv2d(images, kernel, padding=1),
        "convolution, gradient of the weights": lambda: _gradient(
            functional.conv2d(images, weight, padding=1).square().mean(), weight
        ),
        "batch_norm": lambda: functional.batch_norm(images, None, None, training=True),
        "index_add": lambda: torch.zeros(1024).index_add(0, torch.arange(NUM_ELEMENTS) % 1024, x),
    }
    return {name: fast_digest([(name, operation())]) for name, operation in tried.items()}


def _gradient(loss, weight):
    import torch

    return torch.autograd.grad(loss, weight)[0]


def training_step(num_threads: int) -> list[list[str]]:
    """Return [operator, digest of its outputs] for every operator of one training step, backward and update included.

    As torch dispatches them, in their order. While all that came before is equal, so are an operator's inputs: the
    first digest that differs between two processes is that of the source. Uninitialised memory has no digest.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    from lrbench.trial.digest import fast_digest
    from lrbench.trial.models import small_cnn

    seen = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            if "empty" not in str(function):
                written = [
                    value
                    for argument, value in zip(function._schema.arguments, args, strict=False)
                    if argument.alias_info is not None and argument.alias_info.is_write
                ]
                tensors = [leaf for leaf in tree_leaves((found, written)) if isinstance(leaf, torch.Tensor)]
                seen.append([str(function), fast_digest((str(place), leaf) for place, leaf in enumerate(tensors))])
            return found

    torch.set_num_threads(num_threads)
    torch.manual_seed(0)
    model = small_cnn(num_classes=10, in_channels=1, image_size=28)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    images, labels = torch.randn(256, 1, 28, 28), torch.arange(256) % 10
    with Recorder():
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return seen


def rows_alone(device: str, batch_size: int) -> dict[str, dict]:
    """Return for each network how its rows of a batch differ from the same rows alone: a batch of one each.

    {"num_rows", "num_differ", "max_ulp", "max_relative_l2"} in evaluation mode, where no row may hang on another.
    """
    import torch
    from torch import nn

    from lrbench.trial import models

    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.randn(batch_size, 3, 32, 32)
    convolution = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1))
    networks = {
        "linear layer": nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)),
        "two linear layers": nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 256), nn.ReLU(), nn.Linear(256, 10)),
        "two convolutions": convolution,
        "small_cnn": models.small_cnn(num_classes=10, in_channels=3, image_size=32),
        "element by element": nn.GELU(),
    }
    found = {}
    with torch.no_grad():
        for name, network in networks.items():
            network, x = network.eval().to(device), images.to(device)
            together = network(x).cpu()
            alone = torch.cat([network(x[row : row + 1]) for row in range(batch_size)]).cpu()
            found[name] = compared(together.flatten(1), alone.flatten(1))
    return found


def compared(rows, others) -> dict:
    """Return how many rows of two float32 matrices differ in any bit, and by how much at most."""
    bits, other_bits = (values.contiguous().numpy().view("u4") for values in (rows, others))
    norms = (rows.double() - others.double()).norm(dim=1) / others.double().norm(dim=1)
    return {
        "num_rows": len(rows),
        "num_differ": int((bits != other_bits).any(axis=1).sum()),
        "max_ulp": int(ulps(bits, other_bits).max()),
        "max_relative_l2": float(norms.max()),
    }
