"""What analysis must not load, and that its examples are true."""

import doctest
import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import analysis
from analysis.answers import NAMES
from analysis.tests.simulate import study_of, write_study

EVERYWHERE = [m.name.removeprefix("analysis.") for m in pkgutil.walk_packages(analysis.__path__, "analysis.")]
MODULES = [name for name in EVERYWHERE if not name.startswith("tests")]


def loaded(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_analysis_loads_nothing():
    """`import analysis` brings neither pandas, scipy nor matplotlib."""
    assert not loaded("import analysis") & {"pandas", "numpy", "scipy", "matplotlib", "seaborn", "torch"}


def test_no_module_of_analysis_loads_torch():
    """All of analysis together never imports torch, nor the slow parts before they are needed."""
    found = loaded("; ".join(f"import analysis.{name}" for name in MODULES))
    assert not found & {"torch", "torchvision", "scipy", "matplotlib", "papermill", "nbconvert"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name):
    """Every example in a docstring gives what it says."""
    assert doctest.testmod(import_module(f"analysis.{name}")).failed == 0


def test_there_are_examples():
    """The modules of words and conditions are explained by examples."""
    for name in ("page.wording", "rows.conditions", "statistics.intervals"):
        assert doctest.testmod(import_module(f"analysis.{name}")).attempted > 0


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_is_a_command(name, tmp_path):
    """`python -m analysis.NAME DIR --out DIR` prints its sentences and writes its figure, from any folder."""
    folder = write_study(tmp_path / "study", study_of(grid={"seed": "0-1", "cudnn_benchmark": [False, True]}))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"analysis.{name}", str(folder), "--out", "figures"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].endswith("?")
    assert "\n- " in done.stdout
    assert (tmp_path / "figures" / f"{name}.svg").is_file()


def test_a_command_without_a_study_exits_with_2(tmp_path):
    """Bad input is said on standard error, with the exit code of bad input."""
    done = subprocess.run(
        [sys.executable, "-m", "analysis.throughput", str(tmp_path)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "holds no study" in done.stderr
    assert "Traceback" not in done.stderr
