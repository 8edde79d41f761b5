"""Where a study runs: machine, GPUs, versions, git state. No torch: its version is read from its files.

`place()` is what must agree before a folder is continued; `started_from()` adds what is only recorded.
"""

import os
import platform
import socket
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import lrbench
from lrbench import nvml
from lrbench.calls import torch_version_file

# variables that change the speed or the bits of training; those that are set stand in every row
ENVIRONMENT = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "CUDNN_DETERMINISTIC",
    "KMP_AFFINITY",
    "MALLOC_ARENA_MAX",
    "MKL_CBWR",
    "MKL_NUM_THREADS",
    "NCCL_ALGO",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "TORCHINDUCTOR_CACHE_DIR",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "TORCH_CUDNN_V8_API_DISABLED",
    "TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT",
)


@cache
def cpu_model() -> str:
    """Return the processor as the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def place() -> dict:
    """Return what has to be the same for two runs to be pooled: machine, cores, GPUs, driver, torch."""
    torch = torch_version_file()
    return {
        "hostname": socket.gethostname(),
        "cpu_model": cpu_model(),
        "num_cores": os.cpu_count(),
        "gpus": [gpu["name"] for gpu in nvml.visible_gpus()],
        "driver_version": nvml.driver_version(),
        "torch_version": torch["version"],
        "cuda_version": torch["cuda"],
        "lrbench_version": lrbench.__version__,
    }


def default_device() -> str:
    """Return "cuda" where torch was built for CUDA and a GPU can be used, else "cpu"; decided without touching CUDA."""
    return "cuda" if torch_version_file()["cuda"] and nvml.visible_gpus() else "cpu"


def git_state(folder: Path) -> dict:
    """Return git_commit and git_dirty of the checkout that `folder` lies in; null outside one."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=10)
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    status = git("status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit, "git_dirty": None if status is None else bool(status)}


@cache
def common_columns(folder: str) -> dict:
    """Return the `where` columns that are the same for every trial of a run started in `folder`."""
    torch = torch_version_file()
    return {
        "hostname": socket.gethostname(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu_model": cpu_model(),
        "num_cores": os.cpu_count(),
        "driver_version": nvml.driver_version(),
        "python_version": platform.python_version(),
        "torch_version": torch["version"],
        "torchvision_version": _version("torchvision"),
        "numpy_version": _version("numpy"),
        "lrbench_version": lrbench.__version__,
        "cuda_version": torch["cuda"],
        **git_state(Path(folder)),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def environment() -> dict[str, str]:
    """Return the variables of ENVIRONMENT that are set now."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
