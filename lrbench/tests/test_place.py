"""Where a study runs: what must agree before rows are pooled, and what is recorded."""

import os
import platform
import subprocess

import numpy
import pytest
import torch
import torchvision

from lrbench import nvml
from lrbench.place import common_columns, default_device, environment, git_state, place
from lrbench.record import BY_NAME, check_row


def test_versions_are_those_of_the_installed_packages():
    """Versions are read without importing, and are what the imported packages say of themselves."""
    columns = common_columns(os.getcwd())
    assert columns["torch_version"] == torch.__version__
    assert columns["cuda_version"] == torch.version.cuda
    assert columns["torchvision_version"].split("+")[0] == torchvision.__version__.split("+")[0]
    assert columns["numpy_version"] == numpy.__version__
    assert columns["python_version"] == platform.python_version()


def test_the_common_columns_are_columns():
    """Everything recorded about the place is a column of that group, with its type."""
    columns = common_columns(os.getcwd())
    check_row(columns)
    assert {BY_NAME[name].group for name in columns} == {"where"}


def test_a_place_is_what_changes_speed_or_bits():
    """Machine, cores, GPUs, driver and versions must agree; nothing that changes from run to run is among them."""
    assert place() == place()
    assert set(place()) == {
        "hostname",
        "cpu_model",
        "num_cores",
        "gpus",
        "driver_version",
        "torch_version",
        "cuda_version",
        "lrbench_version",
    }


def test_the_default_device_is_the_one_that_torch_can_use():
    """ "cuda" where torch finds a GPU, "cpu" elsewhere: decided without touching CUDA, and right all the same."""
    assert default_device() == ("cuda" if torch.cuda.is_available() else "cpu")


def test_no_gpu_is_an_answer():
    """Without a driver there are no GPUs and no driver version, and nothing raises."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert nvml.visible_gpus() == []
    assert nvml.driver_version() is None


@pytest.mark.gpu
def test_visible_gpus_are_those_that_cuda_may_use(monkeypatch):
    """CUDA_VISIBLE_DEVICES hides GPUs by number or by UUID, and ends at the first name that is none."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (first, *_) = nvml.visible_gpus()
    for value, wanted in [("0", ["0"]), (first["uuid"], [first["uuid"]]), ("", []), ("99,0", []), ("0,99", ["0"])]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert [gpu["id"] for gpu in nvml.visible_gpus()] == wanted


def test_the_state_of_a_checkout_is_its_commit_and_whether_files_changed(tmp_path):
    """A clean checkout is not dirty, an untracked file leaves it clean, a changed tracked file makes it dirty."""

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "--quiet", "--message", "first")
    (tmp_path / "untracked").write_text("2")
    assert git_state(tmp_path) == {"git_commit": git("rev-parse", "HEAD"), "git_dirty": False}
    (tmp_path / "file").write_text("3")
    assert git_state(tmp_path)["git_dirty"] is True


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    """A folder that git knows nothing of has no commit, and is neither clean nor dirty."""
    assert git_state(tmp_path) == {"git_commit": None, "git_dirty": None}


def test_the_environment_is_what_changes_speed_or_bits(monkeypatch):
    """Variables that matter and are set are recorded with their value; others and unset ones are not."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    monkeypatch.setenv("HOME", "/nowhere")
    found = environment()
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["CUBLAS_WORKSPACE_CONFIG"] == ""
    assert not {"NVIDIA_TF32_OVERRIDE", "HOME"} & set(found)
