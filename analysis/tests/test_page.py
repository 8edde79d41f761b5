"""The report in a browser: at the width of a desk and of a phone, in the light and in the dark."""

import pytest

from analysis.page.report import write_report
from analysis.statistics.verdicts import VERDICTS
from analysis.tests import browser
from analysis.tests.simulate import Truth, study_of, write_study

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not browser.CHROMIUM, reason=browser.WHY_NOT)]

SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": "30%"}, "CosineAnnealingLR"]
GRID = {"seed": "0-7", "cudnn_benchmark": [False, True], "scheduler": SCHEDULERS}
WIDTHS = {"desk": 1280, "phone": 390}

SIZES = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
BADGES = "[...document.querySelectorAll('.badge')].map(b => b.innerText.replace(/^\\S+\\s+/, ''))"
ANCHORS = "[...document.querySelectorAll('.contents a')].map(a => !!document.querySelector(a.getAttribute('href')))"
CONTENTS = "[...document.querySelectorAll('.contents')].filter(c => c.checkVisibility()).map(c => c.localName)"
WIDE = "[...document.querySelectorAll('figure img')].filter(i => i.getBoundingClientRect().right > innerWidth).length"
LONG = (  # the longest kind of verdict there is, in place of each
    "document.querySelectorAll(':not(td) > .badge').forEach(b => b.lastChild.textContent ="
    " ' of 2 settings: 1 equivalent within margin, 1 inconclusive')"
)
BROKEN = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
NO_TEXT = "[...document.images].filter(i => i.alt.split(' ').length < 3).length"
TAP = (
    "(() => { const f = document.querySelector('figure'); const before = f.querySelector('img').clientWidth;"
    " f.querySelector('img').click(); return [before, f.querySelector('img').clientWidth,"
    " document.documentElement.scrollWidth]; })()"
)
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
# the upper left corner of the first figure, drawn anew: its ground
CORNER = (
    "(async () => { const i = document.querySelector('figure img'); await i.decode();"
    " const c = new OffscreenCanvas(40, 40), x = c.getContext('2d'); x.drawImage(i, 0, 0);"
    " return 'rgb(' + [...x.getImageData(1, 1, 1, 1).data].slice(0, 3).join(', ') + ')'; })()"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of a study in which one scheduler is surely better."""
    study = study_of(grid=GRID, question="Is one better?")
    truth = Truth(effects={"CosineAnnealingLR": 0.03}, accuracy=0.9)
    folder = write_study(tmp_path_factory.mktemp("page") / "study", study, truth)
    return write_report(folder, format="html").html


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_page_opens_without_a_complaint(page, width):
    """No error or warning in the console, nothing asked of the network, every figure drawn and told in words."""
    seen = browser.look(page, width, [BROKEN, NO_TEXT, ANCHORS])
    assert seen.errors == ()
    assert seen.requests == ()
    broken, without_text, anchors = seen.values
    assert (broken, without_text) == (0, 0)
    assert len(anchors) > 10
    assert all(anchors)


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_page_never_scrolls_sideways(page, width):
    """The page is as wide as its window, and no figure leaves it; wide tables scroll by themselves."""
    (whole, inside), outside, _, long = browser.look(page, width, [SIZES, WIDE, LONG, SIZES]).values
    assert whole == inside <= width
    assert outside == 0
    assert long == [inside, inside]  # a verdict that is longer than a line is folded


def test_the_verdicts_are_words(page):
    """The badges say in words that one scheduler is better, and each word is one of those that verdicts have."""
    (words,) = browser.look(page, 1280, [BADGES]).values
    assert "better" in words
    assert set(words) <= {*VERDICTS, "differs between settings", "differs between factors"}


def test_the_contents_fit_the_window(page):
    """Beside the text at a desk; behind a fold on a phone."""
    assert browser.look(page, 1280, [CONTENTS]).values == (["nav"],)
    assert browser.look(page, 390, [CONTENTS]).values == (["details"],)


def test_a_tap_enlarges_a_figure_on_a_phone(page):
    """It grows to the size it has at a desk and scrolls in its own place: the page itself stays as it was."""
    ((before, after, whole),) = browser.look(page, 390, [TAP]).values
    assert before <= 390
    assert after == 704
    assert whole == 390


def test_figures_turn_dark_with_the_page(page):
    """The ground of a figure is the page's own, white in the light and nearly black in the dark."""
    grounds = {}
    for dark in (False, True):
        ground, background = browser.look(page, 1280, [CORNER, BACKGROUND], dark=dark).values
        assert ground == background
        grounds[dark] = ground
    assert grounds == {False: "rgb(255, 255, 255)", True: "rgb(17, 21, 26)"}
