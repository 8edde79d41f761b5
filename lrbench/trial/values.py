"""What a trace says of a tensor: its type, shape and digest, where it lies, a few of its values. No tensor is kept."""

from pathlib import Path

import numpy
import torch
from torch import Tensor
from xxhash import xxh3_128

SAMPLE_SIZE = 16


def described(tensor: Tensor) -> str:
    """Return dtype, shape and digest of a tensor, and its strides where it does not lie row after row.

    is_contiguous does not tell: images of one channel are so in both memory formats, and strides choose the kernel.
    """
    kind = f"{str(tensor.dtype).removeprefix('torch.')}[{','.join(map(str, tensor.shape))}]"
    if tensor.device.type == "meta":
        return f"{kind} -"
    if tensor.layout is not torch.strided:
        parts = _sparse_parts(tensor)
        return f"{kind} {'+'.join(digest_of(plain(part)) for part in parts) or '-'} strides={tensor.layout}"
    strides = "" if tensor.stride() == _plain_strides(tensor) else f" strides={','.join(map(str, tensor.stride()))}"
    return f"{kind} {digest_of(plain(tensor))}{strides}"


def _plain_strides(tensor: Tensor) -> tuple[int, ...]:
    strides, stride = [], 1
    for size in reversed(tensor.shape):
        strides.append(stride)
        stride *= max(1, size)
    return tuple(reversed(strides))


def address(tensor: Tensor) -> int:
    """Return where in memory a tensor begins; 0 where it has no such place."""
    return tensor.data_ptr() if tensor.layout is torch.strided and tensor.numel() else 0


def _sparse_parts(tensor: Tensor) -> list[Tensor]:
    if tensor.layout is torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    return []  # a layout that is not known here: its bits are not read


def plain(tensor: Tensor) -> Tensor:
    """Return the values on the CPU, contiguous; a copy only where they are not."""
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.int_repr()
    return tensor.resolve_conj().resolve_neg().cpu().contiguous()


def digest_of(plain: Tensor) -> str:
    """Return the xxh3 (128 bits) of the bytes of a contiguous tensor on the CPU."""
    return xxh3_128(_bytes(plain).numpy()).hexdigest()


def _bytes(plain: Tensor) -> Tensor:
    flat = plain.reshape(-1)
    if flat.stride() != (1,):  # a single value of a larger tensor keeps its stride, and then has no view as bytes
        flat = flat.clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8)


def sample(tensor: Tensor) -> dict:
    """Return evenly spaced values and the largest magnitude, as exact texts; {} where there are none of floats."""
    if not _has_floats(tensor) or tensor.numel() == 0:
        return {}
    flat = tensor.detach().reshape(-1)
    size = min(SAMPLE_SIZE, len(flat))
    places = torch.arange(size, device=flat.device) * len(flat) // size
    values = flat[places].double().tolist()
    largest = float((flat if flat.element_size() > 1 else flat.float()).abs().max())  # float8 has no abs
    return {"values": [value.hex() for value in values], "max_abs": largest.hex()}


def _has_floats(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.layout is torch.strided and tensor.device.type != "meta"


def save_bits(path: Path, outputs: dict) -> None:
    """Keep an operator's outputs, as unsigned integers of their bits: NumPy has no bfloat16."""
    flat = {}
    for key, value in outputs.items():
        for number, tensor in enumerate(value if isinstance(value, list | tuple) else [value]):
            if isinstance(tensor, Tensor) and _has_floats(tensor):
                bits = _bytes(plain(tensor)).numpy().view(f"u{tensor.element_size()}")
                flat[f"{key}|{number}|{str(tensor.dtype).removeprefix('torch.')}"] = bits
    with open(path, "wb") as file:
        numpy.savez(file, **flat)
