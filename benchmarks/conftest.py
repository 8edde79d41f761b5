"""What the benchmarks share: the device, the rows of the trial group, what the JSON says of the machine.

Two options: `--device auto|cpu|cuda` says where the benchmarks run, `--rows DIR` where the trials' rows go. All skipped
would be a success to pytest; with `--benchmark-only` it is a failure here.
"""

from pathlib import Path

import pytest

from lrbench.place import default_device, place


def pytest_addoption(parser):
    group = parser.getgroup("lrbench")
    group.addoption("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where the benchmarks run")
    group.addoption("--rows", type=Path, default=Path("results/benchmarks"), help="folder of the trials' rows")


def pytest_collection_modifyitems(items):
    """Trials first: later benchmarks may hold a CUDA context in this process, which would share the trials' GPU."""
    items.sort(key=lambda item: item.path.name != "test_trial.py")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    """Fail where no benchmark ran, before pytest-benchmark warns of saving nothing: a warning is an error here."""
    options, benchmarks = session.config.option, session.config._benchmarksession
    if options.benchmark_only and not options.collectonly and not any(benchmarks.benchmarks):
        benchmarks.json = benchmarks.save = benchmarks.autosave = None
        session.config.get_terminal_writer().line("\nno benchmark ran: nothing was measured", red=True)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_benchmark_update_machine_info(config, machine_info):
    """Say what a comparison of two runs has to know: GPU, driver, CUDA, cuDNN, torch, cores."""
    import torch

    here = place()
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    machine_info["lrbench"] = {**here, "cudnn_version": None if cudnn is None else str(cudnn)}


@pytest.fixture(scope="session")
def device(request) -> str:
    """Where the benchmarks run, as torch calls it."""
    chosen = request.config.option.device
    return default_device() if chosen == "auto" else chosen
