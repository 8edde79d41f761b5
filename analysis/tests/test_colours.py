"""Colours: the same for a scheduler wherever it stands, and told apart by every reader, on paper and in the dark."""

import doctest
import re
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from analysis.figures import colours, frame, marks
from analysis.figures.colours import DARK, HUES, INK, QUIET, colour_of, colours_of, is_scheduler, line_of, marker_of

TORCH = (
    "LambdaLR",
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "SequentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
    "ChainedScheduler",
    "ReduceLROnPlateau",
    "CyclicLR",
    "CosineAnnealingWarmRestarts",
    "OneCycleLR",
)
# linear RGB as seen without each of the three cones (Machado, Oliveira and Fernandes, 2009, severity 1)
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """WCAG 2's contrast ratio of two colours, 1 to 21."""
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab(colour: str, sight) -> np.ndarray:
    """CIE L*a*b* of a colour as it is seen."""
    seen = np.clip(np.asarray(sight) @ linear(colour), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    f = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_measures_measure():
    """Black on white is 21 to 1; a red and a green are near each other without red cones."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    far, near = (np.linalg.norm(lab("#a05000", SIGHT[s]) - lab("#507000", SIGHT[s])) for s in ("normal", "protanopia"))
    assert far > 2 * near


@pytest.mark.parametrize("sight", SIGHT)
def test_every_reader_tells_the_hues_apart(sight):
    """Any two hues are at least 13 apart in L*a*b* (2.3 is just seen), whatever cones a reader has."""
    for a, b in combinations(HUES, 2):
        assert np.linalg.norm(lab(a, SIGHT[sight]) - lab(b, SIGHT[sight])) > 13, (a, b)


@pytest.mark.parametrize("ground", ["#ffffff", DARK["#ffffff"]], ids=["light", "dark"])
def test_hues_stand_out_on_paper_and_in_the_dark(ground):
    """Lines and dots have a contrast of 3 to 1 at least, words one of 4.5 to 1 (WCAG 2.2, 1.4.3 and 1.4.11)."""
    words = (INK, QUIET) if ground == "#ffffff" else (DARK[INK], DARK[QUIET])
    assert min(contrast(hue, ground) for hue in HUES) >= 3
    assert min(contrast(word, ground) for word in words) >= 4.5


def test_every_scheduler_of_torch_has_a_look_of_its_own():
    """Colour and marker and line together are another for each of torch's classes; the baseline alone is grey."""
    looks = {(colour_of(name), marker_of(name), str(line_of(name))) for name in TORCH}
    assert len(looks) == len(TORCH)
    assert [name for name in TORCH if colour_of(name) == HUES[0]] == ["ConstantLR"]
    assert all(is_scheduler(name) for name in TORCH)


def test_a_scheduler_has_one_colour_everywhere():
    """By its class, its call or its short name, and in another process too, where Python's own hashes differ."""
    assert colour_of("StepLR") == colour_of("StepLR(step_size=3, gamma=0.1)") == colour_of("StepLR(gamma=0.1, …)")
    code = "from analysis.figures.colours import colour_of; print(colour_of('REXLR'), colour_of('my_module_LR(a=1)'))"
    said = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert said == {f"{colour_of('REXLR')} {colour_of('my_module_LR')}\n"}


def test_arms_of_one_class_are_shades():
    """Three steps of one class are three colours, the first the class's own; what is no scheduler is blue."""
    found = colours_of(["StepLR(step_size=1)", "StepLR(step_size=2)", "StepLR(step_size=3)", "True"])
    assert len(set(found.values())) == 4
    assert found["StepLR(step_size=1)"] == colour_of("StepLR")
    assert found["True"] == colours.BLUE


def test_the_dark_page_is_the_ground_of_dark_figures():
    """The style sheet's dark page has the colour that figures turn their ground to."""
    from analysis.page.report import templates_folder

    sheet = (templates_folder() / "page" / "page.css").read_text(encoding="utf-8")
    assert re.search(r"prefers-color-scheme: dark.*?--page: (#\w+)", sheet, re.DOTALL)[1] == DARK["#ffffff"]


@pytest.mark.parametrize("module", [frame, marks], ids=lambda module: module.__name__)
def test_examples_in_docstrings_are_true(module):
    """Every example of the figures' modules gives what it says."""
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 0
