"""sha256 of tensors: byte-exact, and separate for every name, shape and type.

torch.hash_tensor is no digest: it is an XOR, blind to order, and all-ones of even length hash to 0.
"""

from collections.abc import Iterable
from hashlib import sha256

import torch


def digest(named: Iterable[tuple[str, torch.Tensor]]) -> str:
    """Return the sha256 of named tensors, in the given order, each with its name, dtype and shape before its bytes.

    Memory format and device do not matter, -0.0 and 0.0 do. A device tensor is copied to the CPU, which synchronises.
    """
    state = sha256()
    for name, tensor in named:
        plain = tensor.detach().to("cpu", memory_format=torch.contiguous_format).contiguous()
        state.update(f"{name}|{plain.dtype}|{tuple(plain.shape)}|".encode())
        state.update(plain.reshape(-1).view(torch.uint8).numpy())  # reshape: view refuses a zero-dimensional tensor
    return state.hexdigest()


def digest_model(model: torch.nn.Module) -> str:
    """Return the digest of every parameter and buffer of the model, by name."""
    return digest((name, value) for name, value in model.state_dict().items() if isinstance(value, torch.Tensor))
