"""Digests of tensors: byte-exact, and separate for every name, shape and type. sha256 for what is kept for good, xxh3
(twelve times as fast) for what is compared step by step.

torch.hash_tensor is no digest: it is an XOR, blind to order, and all-ones of even length hash to 0.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256

import torch
from xxhash import xxh3_128

Named = Iterable[tuple[str, torch.Tensor]]


def digest(named: Named) -> str:
    """Return the sha256 of named tensors, in the given order, each with its name, dtype and shape before its bytes.

    Memory format and device do not matter, -0.0 and 0.0 do. A device tensor is copied to the CPU, which synchronises.
    """
    return _digest(sha256(), named)


def fast_digest(named: Named) -> str:
    """Return the same by xxh3 (128 bits, as 32 hexadecimal digits): every bit counts, but it keeps no forger out."""
    return _digest(xxh3_128(), named)


def _digest(state, named: Named) -> str:
    for name, tensor in named:
        plain = tensor.detach()
        if plain.device.type != "cpu" or not plain.is_contiguous():
            plain = plain.to("cpu", memory_format=torch.contiguous_format).contiguous()
        flat = plain.reshape(-1)  # view refuses a zero-dimensional tensor
        if flat.stride() != (1,):  # and a single value that keeps the stride of what it was cut from
            flat = flat.clone(memory_format=torch.contiguous_format)
        state.update(f"{name}|{plain.dtype}|{tuple(plain.shape)}|".encode())
        state.update(flat.view(torch.uint8).numpy())
    return state.hexdigest()


def digest_model(model: torch.nn.Module) -> str:
    """Return the digest of every parameter and buffer of the model, by name."""
    return digest(weights_of(model))


def weights_of(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every parameter and buffer of the model that is saved with it, by name."""
    return ((name, value) for name, value in model.state_dict().items() if isinstance(value, torch.Tensor))


def gradients_of(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the gradient of every parameter that has one, by the parameter's name."""
    return ((name, value.grad) for name, value in model.named_parameters() if value.grad is not None)


def optimizer_state_of(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield what the optimizer keeps for each parameter (momentum, step counts, …); the rates are no part of it."""
    for index, kept in sorted(optimizer.state_dict()["state"].items(), key=lambda item: str(item[0])):
        yield from _flat(str(index), kept)


def _flat(name: str, value: object) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _flat(f"{name}.{key}", value[key])
    elif isinstance(value, list | tuple):  # LBFGS keeps lists of directions
        for place, item in enumerate(value):
            yield from _flat(f"{name}.{place}", item)
    else:
        yield name, torch.frombuffer(bytearray(repr(value).encode()), dtype=torch.uint8)
