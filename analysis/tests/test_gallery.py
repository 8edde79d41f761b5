"""The gallery: one page of every scheduler that asks for nothing, with a figure of each beside it."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from analysis.page.gallery import write_gallery
from lrbench.errors import InputError
from lrbench.explanation import explanation, names

VOID = {"meta", "br", "wbr", "path", "use", "polyline", "link", "rect"}


def schedule(**named):
    """What lrbench.preview computes, by hand: two epochs of one group."""
    given = {"label": "StepLR(step_size=1)", "base_lr": 0.1, "epochs": 2, "steps_per_epoch": 1, "lr": [[0.1, 0.05]]}
    given = {**given, "best_case": [], "warnings": (), "mean_share": [0.75], "on_log_scale": False, **named}
    return SimpleNamespace(**given)


class Page(HTMLParser):
    """What a page holds: (tag, attributes) in order, its text, and the tags left open."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a gallery of three, and its page."""
    folder = tmp_path_factory.mktemp("gallery") / "new"
    warned = schedule(warnings=("falls below 0 & <further>",), lr=[[0.1, -0.1], [0.1, 0.1]], mean_share=[0.0, 1.0])
    waiting = schedule(label="ReduceLROnPlateau(), metric never improves", best_case=[[0.1, 0.1]])
    entries = [("StepLR", schedule()), ("PerGroupLR", warned), ("ReduceLROnPlateau", waiting)]
    page = write_gallery([(explanation(name), drawn) for name, drawn in entries], folder, "torch 9.8.7")
    return folder, page.read_text(encoding="utf-8")


def test_the_page_asks_for_nothing(written):
    """No script, no sheet, no picture from elsewhere: what it names are its own parts, and links."""
    page = Page(written[1])
    assert not {"script", "link", "iframe", "img", "object"} & {tag for tag, _ in page.tags}
    assert page.all("src") == []
    assert not re.search(r"url\((?!#)|@import|@font-face", written[1])
    outside = [link for link in page.all("href") if not link.startswith("#")]
    assert outside
    assert all(link.startswith("https://github.com/pytorch/pytorch/issues/") for link in outside)


def test_the_page_is_whole(written):
    """Every tag that is opened is closed, every id stands once, and every link within the page leads somewhere."""
    page = Page(written[1])
    assert page.open == []
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    inside = {link[1:] for link in page.all("href") + page.all("xlink:href") if link.startswith("#")}
    inside |= set(re.findall(r"url\(#([^)]+)\)", written[1]))
    assert inside <= set(ids)


def test_each_scheduler_has_its_words_and_its_curve(written):
    """Formula, traps with their issues, arguments, what to type, what warns; the page is the one file that there is."""
    folder, text = written
    page = Page(text)
    for name in ("StepLR", "PerGroupLR", "ReduceLROnPlateau"):
        told = explanation(name)
        for words in (told.formula, told.study_line, told.preview_line, told.import_line, *(t.says for t in told.own)):
            assert words in page.text
        assert all(argument.says in page.text for argument in told.arguments if argument.name != "optimizer")
    assert [path.name for path in folder.rglob("*")] == ["index.html"]
    assert "Warning: falls below 0 & <further>." in page.text
    assert "group 1: first 0.1, last 0.1, area 100% of a constant rate." in page.text
    assert "3 schedulers, each from a base rate of 0.1 over 2 epochs · torch 9.8.7" in page.text
    assert ("svg", "ReduceLROnPlateau") in [(tag, attributes.get("aria-label")) for tag, attributes in page.tags]


def test_the_thumbnails_are_the_curves(written):
    """A rate is a place between the top (the largest) and the bottom (0): half is half-way, below 0 is the bottom."""
    curves = re.findall(r'<polyline( class="best")? points="([^"]+)"', written[1])
    assert curves == [
        ("", "0.0,2.0 60.0,2.0 60.0,22.0 120.0,22.0"),
        ("", "0.0,2.0 60.0,2.0 60.0,22.0 120.0,22.0"),
        (' class="best"', "0.0,2.0 120.0,2.0"),
        ("", "0.0,2.0 60.0,2.0 60.0,42.0 120.0,42.0"),
        ("", "0.0,2.0 120.0,2.0"),
    ]


def test_dark_readers_get_dark_figures(written):
    """Figures name the page's colours, all of which the page has twice; none is left fixed."""
    svgs = re.findall(r"<svg role.*?</svg>", written[1], flags=re.S)
    assert len(svgs) == 3
    assert all(not re.search(r"#[0-9a-f]{6}\b", svg) for svg in svgs)
    light, dark = written[1].split("@media screen and (prefers-color-scheme: dark)")
    for variable in {name for svg in svgs for name in re.findall(r"var\((--\w+)\)", svg)}:
        assert f"{variable}:" in light
        assert f"{variable}:" in dark


def test_the_same_gallery_is_the_same_bytes(tmp_path):
    """Nothing of the day or of the machine is in the page or in the figures."""
    entries = [(explanation("StepLR"), schedule())]
    for number in range(2):
        write_gallery(entries, tmp_path / str(number), "torch")
    files = sorted(path.relative_to(tmp_path / "0") for path in (tmp_path / "0").rglob("*.*"))
    assert [path.name for path in files] == ["index.html"]
    assert all((tmp_path / "0" / path).read_bytes() == (tmp_path / "1" / path).read_bytes() for path in files)


def test_a_gallery_that_cannot_be_written_is_an_input_error(tmp_path):
    """A file in the way of the folder is told, with the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--gallery .*file/inside cannot be written: Not a directory"):
        write_gallery([(explanation("StepLR"), schedule())], tmp_path / "file" / "inside", "torch")


@pytest.mark.slow
def test_the_command_draws_every_scheduler(tmp_path):
    """`lrbench preview --gallery DIR` writes one page with a section for each class that is explained."""
    command = [sys.executable, "-W", "error", "-m", "lrbench", "preview", "--gallery", str(tmp_path / "gallery")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"gallery: {tmp_path}/gallery/index.html\n"
    page = Page((tmp_path / "gallery" / "index.html").read_text(encoding="utf-8"))
    assert set(names()) <= set(page.all("id"))


@pytest.mark.parametrize("arguments", [[], ["StepLR(3)", "--gallery", "there"]], ids=["nothing", "both"])
def test_a_preview_of_nothing_and_of_both_is_refused(arguments, tmp_path):
    """Schedules to draw, or a gallery: one of them, or exit code 2 with what to type."""
    command = [sys.executable, "-m", "lrbench", "preview", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "or --gallery DIR alone" in done.stderr
    assert list(tmp_path.iterdir()) == []
