"""An audit that cannot be, or is interrupted, says why and what to type, and leaves nothing behind."""

import os
import signal
import threading
from pathlib import Path

import pytest

from lrbench.audit.command import _OF_SHAPES, audit_command, run_audit
from lrbench.audit.target import Asked
from lrbench.errors import InputError


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "said"), [("nets:Quite", "Quite"), ("nets:Raises", "no such item")])
def test_a_wrong_dataset_is_refused_before_anything_trains(nets, dataset, said):
    """Nothing is left behind, and no trial was begun."""
    lines = []
    with pytest.raises(InputError, match=said) as error:
        run_audit(Asked(target="nets:Plain", input="1x8x8", dataset=dataset), Path("out"), say=lines.append)
    assert len(error.value.problems) == 1
    assert len(lines) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize("out", ["nets.py/x", "/proc/x"])
def test_a_folder_that_cannot_be_written_is_told_first(nets, out):
    """Before anything is loaded, with what to type."""
    lines = []
    with pytest.raises(InputError, match=r"cannot be written: .*\. Name another folder: --out DIR"):
        run_audit(Asked(target="nets:Plain"), Path(out), say=lines.append)
    assert lines == []


def test_an_interrupted_audit_says_how_to_go_on(nets, capsys):
    """On stderr; the interrupt itself goes on to the command line, which exits with 130."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a test before this one has left
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))  # long before ten minutes of trials are over
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            audit_command(Asked(target="nets:Plain", input="1x8x8", classes=3, batch=16, budget="10m"), Path("out"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.endswith("interrupted; the same command goes on where it stopped\n")


def test_a_shape_for_a_users_own_workload_is_refused(nets):
    """A workload has images of its own, which is known once it is loaded."""
    with pytest.raises(InputError, match=r"--input is for a model alone\. Type: lrbench audit nets:table"):
        run_audit(Asked(target="nets:table", input="1x8x9"), Path("out"))


@pytest.mark.parametrize(
    ("error", "may_be"),
    [
        ("RuntimeError: addmm: mat1 and mat2 shapes cannot be multiplied (128x64 and 99x10)", True),
        ("RuntimeError: expected input[8, 3, 8, 8] to have 1 channels, but got 3 channels instead", True),
        ("IndexError: Target 7 is out of bounds.", True),
        ("RuntimeError: Given input size: (8x1x1). Calculated output size: (8x0x0). Output size is too small", True),
        ("the process left with exit code 0 in 'train'", False),
        ("ValueError: fwd boom (at bad.py:6 in forward)", False),
        ("SystemExit: 3", False),
    ],
)
def test_other_images_are_proposed_where_these_may_not_fit(error, may_be):
    """--input and --classes are named where torch speaks of shapes or labels, and not where a process died."""
    assert bool(_OF_SHAPES.search(error)) is may_be
