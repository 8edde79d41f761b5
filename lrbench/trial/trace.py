"""The operators of one training step, each with digests of what went in and what came out, as lines of a file.

    with OperatorTrace("a.trace", model=model):
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()

Two such files of two trials are compared line by line (`lrbench.diverge.compare_traces`). A trace sees what reaches
torch's dispatcher: what happens inside one operator (a fused or compiled kernel, a custom operator, communication) is
one line of it, and its last line says which operators were such. No tensor is kept: memory stays that of the step. It
works in a loop of one's own as in a trial. What this does *not* do: compare, or tell what is at fault.
"""

import contextlib
import json
import sys
import threading
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lrbench.diverge.traces import GENERATOR, kept_outputs, operator_to_keep
from lrbench.trial.lines import source_line
from lrbench.trial.values import address, described, digest_of, sample, save_bits

# what they return was never written: its bytes are whatever the memory held
_UNINITIALISED = {
    *("empty", "empty_like", "empty_strided", "empty_permuted", "empty_quantized", "_empty_affine_quantized"),
    *("new_empty", "new_empty_strided", "resize", "resize_", "resize_as_", "set_"),
}
# what they write into is not read before: it may be memory that was never written
_OVERWRITING = {
    *("copy_", "zero_", "fill_", "_foreach_copy_", "_foreach_zero_", "bernoulli_", "uniform_", "normal_", "random_"),
    *("exponential_", "geometric_", "cauchy_", "log_normal_", "set_", "resize_", "resize_as_"),
}
# they write to these arguments, and their schemas do not say so
_WRITES_UNSAID = {
    "native_batch_norm": ("running_mean", "running_var"),
    "cudnn_batch_norm": ("running_mean", "running_var"),
    "miopen_batch_norm": ("running_mean", "running_var"),
}
# bytes of the backend's own, parts of which are never written: an operator's last outputs, and its backward's inputs
_OPAQUE = {
    *("workspace", "reserve", "reserveSpace", "save_for_backward_reserve"),
    *("rng_state", "philox_seed", "philox_offset", "unused", "debug_attn_mask"),
}
_VISIBLE = ("aten", "prims", "prim")
_COMPILED = "fused kernels are not seen, and what was not compiled before the traced step runs uncompiled in it"
_COMMUNICATION = ("c10d", "_c10d_functional")


class OperatorTrace(TorchDispatchMode):
    """Writes a line for every operator that runs inside it, the backward's and the optimizer's among them.

    `model` gives modules and parameters their names; without it a module is called by the class of the outermost one.
    The outputs of operator number `keep` (0: of none) are kept whole beside the file, for their exact distance.
    """

    def __init__(self, path: str | Path, *, model: nn.Module | None = None, keep: int = 0):
        super().__init__()
        self._path, self._keep, self._number = Path(path), keep, 0
        self._lock = threading.Lock()  # the backward of several devices runs in a thread for each
        self._roots: list[nn.Module] = []  # held, so that an id stays that of one object
        self._module_names: dict[int, str] = {}
        self._tensor_names: dict[int, str] = {}  # by where in memory a tensor begins: parameters stay where they are
        self._gradients: dict[int, str] = {}  # the part of these that holds within one step of the optimizer
        self._inside: list[str] = []  # the modules whose forward is running, outermost first
        self._optimizer = ""
        self._after_forward = False
        self._made: dict[int, tuple[str, str]] = {}  # the autograd node's number: module and line of its forward
        self._hidden: dict[str, str] = {}
        if model is not None:
            self._name(model, "")

    def __enter__(self):
        self._quiet = warnings.catch_warnings()
        self._quiet.__enter__()  # a compiled module warns of the hooks below, which do no harm to it
        warnings.filterwarnings("ignore", message=r"Using `torch.compile\(module\)` when there are global hooks")
        self._file = open(self._path, "w", encoding="utf-8")
        self._write({"trace": 1, "torch": torch.__version__, "num_threads": torch.get_num_threads()})
        self._hooks = [
            register_module_forward_pre_hook(self._enter_module),
            register_module_forward_hook(self._leave_module, always_call=True),
            register_optimizer_step_pre_hook(self._enter_optimizer),
            register_optimizer_step_post_hook(self._leave_optimizer),
        ]
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()
        self._quiet.__exit__(*error)
        if _frames_compiled():
            self._hidden["torch.compile"] = _COMPILED
        self._write({"end": self._number, "hidden": self._hidden})
        self._file.close()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if any(kind not in (Tensor, nn.Parameter) for kind in types):
            return NotImplemented  # a subclass takes its operator apart; its parts come here
        if func.namespace == "profiler":
            return func(*args, **kwargs)
        name = str(func)
        packet = name.split(".")[1]
        silent = _WRITES_UNSAID.get(packet, ())
        given = _bound(func, args, kwargs)
        written = {k: v for k, v, writes, _ in given if writes or (k in silent and v is not None)}
        communicates = func.namespace in _COMMUNICATION and packet != "wait_tensor"
        line = {"n": 0, **self._place(), "operator": name}
        line["inputs"] = {k: _opaque(v) if k in _OPAQUE else self._value(v) for k, v, writes, _ in given if not writes}
        own = next((value for value in (*args, *kwargs.values()) if isinstance(value, torch.Generator)), None)
        if own is not None:
            line["inputs"][GENERATOR] = digest_of(own.get_state())
        elif torch.Tag.nondeterministic_seeded in func.tags:
            line["inputs"][GENERATOR] = _default_generator_state(given)
        reads = packet not in _OVERWRITING
        line["before"] = {k: self._value(v) for k, v, writes, is_out in given if writes and reads and not is_out}
        result = func(*args, **kwargs)
        outputs, line["outputs"], line["sample"] = {}, {}, {}
        if packet not in _UNINITIALISED and not _is_view(func) and not communicates:
            outputs = {**written, **_returned(func, result, written)}
            for key, value in outputs.items():
                line["outputs"][key] = self._value(value)
                if isinstance(value, Tensor) and (values := sample(value)):
                    line["sample"][key] = values
        with self._lock:
            self._number += 1
            line["n"] = self._number
            if self._number == self._keep:
                save_bits(kept_outputs(self._path), outputs)
            if why := _hides(func, packet):
                self._hidden[name] = why
            self._write(line)
        return result

    # ------------------------------------------------------------------------------------------------ where we are

    def _name(self, root: nn.Module, prefix: str) -> None:
        self._roots.append(root)
        for name, module in root.named_modules(prefix=prefix):
            self._module_names.setdefault(id(module), name)
        for name, value in (*root.named_parameters(prefix), *root.named_buffers(prefix)):
            self._tensor_names.setdefault(address(value), name)

    def _name_of(self, tensor: Tensor) -> str:
        """Return what a tensor is called; "" where it is no parameter, buffer or gradient, nor a view of one."""
        return "" if tensor.device.type == "meta" else self._tensor_names.get(address(tensor) or None, "")

    def _enter_module(self, module, inputs):
        if id(module) not in self._module_names:
            self._name(module, type(module).__name__)
        if type(module).__name__ == "OptimizedModule":
            self._hidden["torch.compile"] = _COMPILED
        self._inside.append(self._module_names[id(module)])

    def _leave_module(self, module, inputs, output):
        if self._inside:  # a module whose forward raised before its hook ran leaves nothing to take off
            self._inside.pop()
        self._after_forward = torch.is_grad_enabled()

    def _enter_optimizer(self, optimizer, args, kwargs):
        self._optimizer = type(optimizer).__name__
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and (name := self._name_of(parameter)):
                    self._gradients[address(parameter.grad)] = f"{name}.grad"
        self._tensor_names |= self._gradients

    def _leave_optimizer(self, optimizer, args, kwargs):
        self._optimizer = ""
        for place in self._gradients:  # their memory is soon another's
            del self._tensor_names[place]
        self._gradients = {}

    def _place(self) -> dict:
        """Return phase, module and source line; in the backward, those of the operator that made the node."""
        node = torch._C._current_autograd_node()
        if node is not None:
            self._after_forward = False
            module, line = self._made.get(node._sequence_nr(), ("", ""))
            if isinstance(leaf := getattr(node, "variable", None), Tensor):  # where a gradient is accumulated
                module = self._name_of(leaf)
            if self._inside:  # recomputed, by activation checkpointing
                module, line = self._inside[-1], source_line()
            return {"phase": "backward", "module": module, "line": line}
        line = source_line()
        if self._inside:
            phase, module = "forward", self._inside[-1]
        elif self._optimizer:
            phase, module = "optimizer", self._optimizer
        else:
            phase, module = "loss" if self._after_forward else "between", ""
        if phase in ("forward", "loss"):
            # The number of the node that autograd has just made for this operator; where it made none, the number is
            # an earlier operator's, and already taken.
            self._made.setdefault(torch.autograd._get_sequence_nr() - 1, (module, line))
        return {"phase": phase, "module": module, "line": line}

    # ------------------------------------------------------------------------------------------------ what is written

    def _value(self, value: object) -> object:
        """Return "dtype[shape] digest [strides=…] [name]" of a tensor, a list of these, or the text of what is none."""
        if isinstance(value, Tensor):
            return f"{described(value)} {self._name_of(value)}".rstrip()
        if isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value):
            return [self._value(item) for item in value]
        if isinstance(value, torch.ScriptObject):  # a process group, say: its text is an address
            return type(value).__name__
        return repr(value)

    def _write(self, line: dict) -> None:
        self._file.write(f"{json.dumps(line)}\n")


@contextlib.contextmanager
def tracing(path: Path, model: nn.Module):
    """Trace a training step of a trial into `path`; a request that lies there says which outputs to keep."""
    with OperatorTrace(path, model=model, keep=operator_to_keep(path)):
        yield


def _bound(func, args: tuple, kwargs: dict) -> list[tuple[str, object, bool, bool]]:
    """Return (name, value, whether it is written, whether it is an `out` argument) of each argument that was given."""
    found = []
    for place, argument in enumerate(func._schema.arguments):
        if place < len(args):
            value = args[place]
        elif argument.name in kwargs:
            value = kwargs[argument.name]
        else:
            continue
        if isinstance(value, torch.Generator):  # its text is an address; its state is written instead
            continue
        writes = argument.alias_info is not None and argument.alias_info.is_write
        found.append((argument.name, value, writes, writes and argument.kwarg_only))
    return found


def _is_view(func) -> bool:
    """Tell whether an operator only looks at its argument's memory in another way."""
    aliases = [value.alias_info for value in func._schema.returns if value.alias_info is not None]
    return bool(aliases) and not any(alias.is_write for alias in aliases)


def _returned(func, result: object, written: dict) -> dict:
    """Return what an operator returned besides the arguments that it wrote, numbered from 0."""
    known = {id(leaf) for leaf in tree_leaves(list(written.values()))}
    returned = result if isinstance(result, tuple) else (result,)
    names = [value.name for value in func._schema.returns]
    several = len(returned) > 1
    return {
        str(number): value
        for number, value in enumerate(returned)
        if value is not None and not {id(leaf) for leaf in tree_leaves(value)} & known
        if not (number < len(names) and names[number] in _OPAQUE) and not (several and _is_workspace(value))
    }


def _is_workspace(value: object) -> bool:
    """Tell whether one of several outputs is opaque bytes, as those of cuDNN's and oneDNN's layers are."""
    return isinstance(value, Tensor) and value.dtype is torch.uint8


def _opaque(value: object) -> str:
    return "opaque" if isinstance(value, Tensor) else repr(value)


def _default_generator_state(given: list) -> str:
    """Return the digest of the state that an operator without a generator of its own is going to draw from."""
    leaves = tree_leaves([value for _, value, *_ in given])
    devices = [leaf.device for leaf in leaves if isinstance(leaf, Tensor)]
    devices += [leaf for leaf in leaves if isinstance(leaf, torch.device)]
    if any(device.type == "cuda" for device in devices):
        device = next(device for device in devices if device.type == "cuda")
        return digest_of(torch.cuda.get_rng_state(device))
    return digest_of(torch.get_rng_state())


def _hides(func, packet: str) -> str:
    """Return what a trace cannot see inside an operator; "" where it is one of torch's own, a step by itself."""
    if func.namespace in _COMMUNICATION:
        return "communication: what it brings from other processes is not read"
    if packet.startswith("_fused_"):
        return "fused: several operations of the optimizer in one"
    return "" if func.namespace in _VISIBLE else "a custom operator: whatever it does is one step here"


def _frames_compiled() -> int:
    """Return how many functions torch.compile has compiled in this process."""
    compiler = sys.modules.get("torch._dynamo.utils")
    return compiler.counters["frames"]["ok"] if compiler else 0
