"""What claims ask of a network in a new process: digests of repeats, kernel names after each setting, seconds.

Every function takes the device and plain tables and returns plain values, for `room.fresh`. On a CPU no kernel has a
name: the lists are empty, and everything else is as on CUDA. Flags are assigned before any operation and read back.
What this does *not* do: judge.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module


def begun(device: str, flags: dict, warms: bool = True):
    """Put flags (factors of a trial, by name) in force, read them back, and return the torch.device."""
    import torch

    from lrbench.factors import Trial
    from lrbench.trial.flags import flags_hold, read_flags, set_environment, set_flags

    set_environment()
    trial = Trial(workload="digits-cnn", **flags)
    set_flags(trial)
    assert flags_hold(trial, read_flags()), f"asked for {flags}, in force is {read_flags()}"
    where = torch.device(device)
    if warms:  # libraries are loaded, and the profiler's too, before anything is looked at
        layer = torch.nn.Conv2d(3, 5, 3).to(where)
        kernels(where, lambda: layer(torch.zeros(2, 3, 9, 9, device=where)).sum().backward())
    return where


def built(net: dict, device, channels_last: bool = False) -> tuple:
    """Return (the network in train mode, its input) with weights and input drawn on the CPU from fixed seeds."""
    import torch

    module, _, attribute = net["model"].partition(":")
    torch.manual_seed(0)
    model = getattr(import_module(module), attribute)(**net["arguments"])
    x = torch.randn(*net["input"], generator=torch.Generator().manual_seed(1))
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return model.to(device, memory_format=memory_format).train(), x.to(device, memory_format=memory_format)


def training_step(model, x) -> None:
    """Take the gradients of the mean square of the outputs."""
    model.zero_grad(set_to_none=True)
    model(x).square().mean().backward()


def gradients_digest(model) -> str:
    from lrbench.trial.digest import digest

    return digest((name, parameter.grad) for name, parameter in model.named_parameters())


def output_digest(model, x) -> str:
    import torch

    from lrbench.trial.digest import digest

    with torch.no_grad():
        return digest([("output", model(x))])


def kernels(device, step: Callable[[], object]) -> dict:
    """Run a step once and return kernel_names, kernel_fingerprint and num_kernels of it; nothing of these on a CPU."""
    from lrbench.trial.fingerprint import kernel_fingerprint

    if device.type != "cuda":
        step()
        return {"kernel_names": [], "kernel_fingerprint": "", "num_kernels": 0}
    found = kernel_fingerprint(step)
    return {**found, "num_kernels": sum(int(name.partition(" × ")[0]) for name in found["kernel_names"])}


def seconds_of(device, step: Callable[[], object], num_steps: int) -> float:
    """Return the seconds of a step, the device being waited for before the first and after the last."""
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    wait()
    began = time.perf_counter()
    for _ in range(num_steps):
        step()
    wait()
    return (time.perf_counter() - began) / num_steps


# ------------------------------------------------------------------------------------------------------ same or not


def repeats(*, device: str, flags: dict, nets: list[dict], num_repeats: int) -> list[dict]:
    """Return for each net the digests of repeated forwards of one input and of its gradients, the first included."""
    where = begun(device, flags, warms=False)
    found = []
    for net in nets:
        model, x = built(net, where)
        forwards = [output_digest(model, x) for _ in range(num_repeats)]
        gradients = []
        for _ in range(num_repeats):
            training_step(model, x)
            gradients.append(gradients_digest(model))
        seen = kernels(where, lambda model=model, x=x: training_step(model, x))
        found.append({"what": net["what"], "forwards": forwards, "gradients": gradients, **seen})
    return found


def retrained(*, device: str, flags: dict, nets: list[dict], num_repeats: int) -> list[dict]:
    """Return for each net the digests of its weights after one step of SGD, from equal seeds each time.

    Where torch refuses an operation as nondeterministic, `raises` is what it says; `num_warnings` counts what it warns.
    """
    import warnings

    import torch

    from lrbench.trial.digest import digest_model

    where = begun(device, flags)
    found = []
    for net in nets:
        weights, raises = [], ""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                for _ in range(num_repeats):
                    model, x = built(net, where)
                    training_step(model, x)
                    torch.optim.SGD(model.parameters(), lr=0.1).step()
                    weights.append(digest_model(model))
            except RuntimeError as error:
                if "deterministic" not in str(error):
                    raise
                raises = str(error).partition(".")[0]
        told = [str(warning.message) for warning in caught if "deterministic" in str(warning.message)]
        found.append({"what": net["what"], "weights": weights, "raises": raises, "num_warnings": len(told)})
    return found


# -------------------------------------------------------------------------------------------------- one after another


def sequences(*, device: str, flags: dict, asked: list[dict], spare_mib: int = 0) -> list[list[dict]]:
    """Return for each of `asked` ({"net", "settings", "passes"}) what is seen after each setting, in their order.

    A setting holds cudnn_benchmark, cudnn_deterministic, benchmark_limit, channels_last, batch_size or thread; what it
    leaves out stays. The first call after a setting is counted under the profiler (a search launches many kernels more
    than the call itself does), and a second one gives the kernels. With `spare_mib` all memory of the device but that
    is taken before; a net that does not fit gives an empty list. Every net of one process must have a shape of its own:
    plans are kept by shape.
    """
    import torch

    where = begun(device, flags)
    torch.backends.cudnn.benchmark_limit = 10  # torch's default
    taken = _fill(where, spare_mib) if spare_mib else []
    found = []
    for one in asked:
        try:
            found.append(_sequence(where, **one))
        except torch.OutOfMemoryError:
            found.append([])
    del taken
    return found


def _fill(device, spare_mib: int) -> list:
    """Take all memory of a CUDA device but so much, by plain allocations; none on a CPU."""
    import torch

    if device.type != "cuda":
        return []
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return [torch.empty(max(0, free - spare_mib * 2**20), dtype=torch.uint8, device=device)]


def _sequence(device, net: dict, settings: list[dict], passes: str = "training") -> list[dict]:
    import torch

    found, state = [], {}
    for setting in settings:
        state |= {"thread": False, **setting}
        for name in ("benchmark", "deterministic"):
            if f"cudnn_{name}" in state:
                setattr(torch.backends.cudnn, name, state[f"cudnn_{name}"])
                assert getattr(torch.backends.cudnn, name) is state[f"cudnn_{name}"]
        if "benchmark_limit" in state:
            torch.backends.cudnn.benchmark_limit = state["benchmark_limit"]
        shape = [state.get("batch_size", net["input"][0]), *net["input"][1:]]
        model, x = built({**net, "input": shape}, device, state.get("channels_last", False))
        with _caller(state["thread"]) as call:
            found.append(_looked_at(device, model, x, passes, call))
    return found


@contextmanager
def _caller(in_a_thread: bool) -> Iterator[Callable]:
    """Give a function that calls another: in this thread, or always in one new thread."""
    if not in_a_thread:
        yield lambda function: function()
        return
    with ThreadPoolExecutor(1) as pool:
        yield lambda function: pool.submit(function).result()


def _looked_at(device, model, x, passes: str, call: Callable) -> dict:
    """Take a step twice, each under the profiler; the digest is of its outputs (forward) or of its gradients."""
    step = (lambda: output_digest(model, x)) if passes == "forward" else (lambda: training_step(model, x))
    began = time.perf_counter()
    first = kernels(device, lambda: call(step))
    first_seconds = time.perf_counter() - began
    second = kernels(device, lambda: call(step))
    digest = call(step) if passes == "forward" else gradients_digest(model)
    return {"num_kernels_first": first["num_kernels"], "first_seconds": first_seconds, "digest": digest, **second}


# ------------------------------------------------------------------------------------------------------------- seconds


def searched(*, device: str, flags: dict, nets: list[dict], benchmark_limit: int) -> list[dict]:
    """Return for each net the seconds of its first training step and of a later one, and its kernels, at this limit."""
    import torch

    where = begun(device, {**flags, "cudnn_benchmark": True})
    torch.backends.cudnn.benchmark_limit = benchmark_limit
    found = []
    for net in nets:
        model, x = built(net, where)

        def step(model=model, x=x) -> None:
            training_step(model, x)

        first = seconds_of(where, step, 1)
        later = min(seconds_of(where, step, 5) for _ in range(3))
        found.append({"what": net["what"], "first_seconds": first, "seconds": later, **kernels(where, step)})
    return found


def timed(*, device: str, flags: dict, nets: list[dict], workspace: str, num_steps: int) -> list[dict]:
    """Return for each net the seconds of a training step and its gradients, with this CUBLAS_WORKSPACE_CONFIG.

    "unset" leaves the variable out. It counts as it is set before the first call of CUDA in this process.
    """
    where = begun(device, flags, warms=False)
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    if workspace != "unset":
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace
    found = []
    for net in nets:
        model, x = built(net, where)

        def step(model=model, x=x) -> None:
            training_step(model, x)

        seconds_of(where, step, num_steps)
        seconds = sorted(seconds_of(where, step, num_steps) for _ in range(5))[2]
        found.append({"what": net["what"], "seconds": seconds, "gradients": gradients_digest(model)})
    return found


@contextmanager
def _set_to(name: str, level) -> Iterator[None]:
    """Put a setting of the process at a level, and back: for settings that are part of the plan's key, or of none."""
    import torch

    place, attribute = {
        "cudnn_deterministic": (torch.backends.cudnn, "deterministic"),
        "cudnn_fp32_precision": (torch.backends.cudnn.conv, "fp32_precision"),
        "fill_uninitialized_memory": (torch.utils.deterministic, "fill_uninitialized_memory"),
    }[name]
    before = getattr(place, attribute)
    setattr(place, attribute, level)
    assert getattr(place, attribute) == level
    try:
        yield
    finally:
        setattr(place, attribute, before)


def alternating(
    *, device: str, flags: dict, nets: list[dict], setting: str, levels: list, num_blocks: int, num_steps: int
) -> list[dict]:
    """Return for each net the seconds of a training step at two levels of a setting, (num_blocks, 2), and digests.

    Both levels are taken once before the clock runs; then each block takes both, the order turned round from one block
    to the next. `digests` are of the gradients at each level.
    """
    where = begun(device, flags)
    found = []
    for net in nets:
        model, x = built(net, where)

        def step(model=model, x=x) -> None:
            training_step(model, x)

        digests, blocks = [], []
        for level in levels:
            with _set_to(setting, level):
                seconds_of(where, step, 3)
                digests.append(gradients_digest(model))
        for block in range(num_blocks):
            seconds = {}
            for place in (0, 1) if block % 2 == 0 else (1, 0):
                with _set_to(setting, levels[place]):
                    seconds[place] = seconds_of(where, step, num_steps)
            blocks.append([seconds[0], seconds[1]])
        found.append({"what": net["what"], "seconds": blocks, "digests": digests})
    return found


def sizes(*, device: str, flags: dict, net: dict, image_sizes: list[int], num_visits: int) -> list[dict]:
    """Return the seconds of a training step at each image size: at its first visit, and the median of later ones.

    Neighbouring sizes make a pair, one of them trained with cudnn.benchmark and one without, in turns. No two sizes
    share a plan, so that switching the flag in one process mixes nothing up.
    """
    import torch

    where = begun(device, flags)
    found = []
    for place, size in enumerate(image_sizes):
        benchmark = (place % 2 == 1) is (place // 2 % 2 == 0)
        torch.backends.cudnn.benchmark = benchmark
        model, x = built({**net, "input": [*net["input"][:2], size, size]}, where)

        def step(model=model, x=x) -> None:
            training_step(model, x)

        first, *later = (seconds_of(where, step, 1) for _ in range(num_visits))
        later.sort()
        found.append({"image_size": size, "benchmark": benchmark, "first": first, "later": later[len(later) // 2]})
    return found
