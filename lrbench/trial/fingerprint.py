"""Which CUDA kernels one training step runs: the only public sign of the plan that cuDNN chose.

It tells "another algorithm was chosen" from "the same algorithm is nondeterministic".
"""

from collections import Counter
from collections.abc import Callable
from hashlib import sha256

import torch


def kernel_fingerprint(step: Callable[[], object]) -> dict:
    """Run `step` once under the profiler; return kernel_names and kernel_fingerprint.

    The names are sorted and counted ("3 × name"), so the order of streams does not matter.
    """
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        step()
        torch.cuda.synchronize()
    kernels = Counter(
        event.name
        for event in profile.events()
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.name.startswith(("Memcpy", "Memset"))
    )
    names = [f"{count} × {name}" for name, count in sorted(kernels.items())]
    return {"kernel_names": names, "kernel_fingerprint": sha256("\n".join(names).encode()).hexdigest()}
