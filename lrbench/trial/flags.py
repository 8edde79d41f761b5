"""Set the flags that a trial asks for, and read back what is in force.

Attributes are assigned, never `torch.backends.cudnn.flags(...)`: that context manager defaults to `enabled=False` and
switches cuDNN off. Only the fp32_precision settings are used, never the older allow_tf32: torch refuses a mixture.
"""

import os

import torch

from lrbench.factors import Trial

# Counts only if it is set before the first CUDA call, and changes speed: so it is equal in every arm unless the user
# has set it. torch asks for it in strict mode.
CUBLAS_WORKSPACE_CONFIG = ":4096:8"


def set_environment() -> None:
    """Set the environment variables that have to stand before the first CUDA call."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE_CONFIG)


def set_flags(trial: Trial) -> None:
    """Put every flag of the trial in force, once, before any operation: convolution_backward reads them later again."""
    torch.set_num_threads(trial.num_threads)
    torch.backends.cudnn.benchmark = trial.cudnn_benchmark
    torch.backends.cudnn.deterministic = trial.cudnn_deterministic
    torch.backends.cudnn.conv.fp32_precision = trial.cudnn_fp32_precision
    torch.backends.cuda.matmul.fp32_precision = trial.matmul_fp32_precision
    mode = trial.deterministic_algorithms
    torch.use_deterministic_algorithms(mode != "off", warn_only=mode == "warn")


def read_flags() -> dict:
    """Return the effective_ columns that are flags, as torch reports them now."""
    mode = {0: "off", 1: "warn", 2: "strict"}[torch.get_deterministic_debug_mode()]
    matmul = torch.backends.cuda.matmul.fp32_precision
    return {
        "effective_cudnn_enabled": torch.backends.cudnn.enabled,
        "effective_cudnn_benchmark": torch.backends.cudnn.benchmark,
        "effective_cudnn_deterministic": torch.backends.cudnn.deterministic,
        "effective_deterministic_algorithms": mode,
        "effective_cudnn_fp32_precision": torch.backends.cudnn.conv.fp32_precision,
        "effective_matmul_fp32_precision": "ieee" if matmul == "none" else matmul,
        "effective_num_threads": torch.get_num_threads(),
    }


def flags_hold(trial: Trial, effective: dict) -> bool:
    """Tell whether everything that read_flags returned is what the trial asked for, with cuDNN itself enabled."""
    asked = {
        "effective_cudnn_enabled": True,
        **{
            name: getattr(trial, name.removeprefix("effective_"))
            for name in effective
            if name != "effective_cudnn_enabled"
        },
    }
    return all(effective[name] == asked[name] for name in effective)
