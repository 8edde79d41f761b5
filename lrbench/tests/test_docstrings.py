"""The examples in docstrings, which are promises too."""

import doctest
from importlib import import_module

import pytest

from lrbench.tests.test_walls import MODULES

OURS = sorted(name for name in MODULES if name.split(".")[0] == "lrbench" and name != "lrbench.__main__")


@pytest.mark.parametrize("name", OURS)
def test_the_examples_of_a_module_hold(name):
    """What a docstring shows is what the function gives."""
    assert doctest.testmod(import_module(name)).failed == 0


def test_there_are_examples():
    """The examples are found: pure functions of the spine have them."""
    with_examples = {name for name in OURS if doctest.testmod(import_module(name)).attempted}
    assert {"lrbench.seeds", "lrbench.errors", "lrbench.calls", "lrbench.progress"} <= with_examples


@pytest.mark.parametrize("name", OURS)
def test_a_module_says_what_it_is(name):
    """Every module opens with a sentence about itself."""
    assert (import_module(name).__doc__ or "").strip()
