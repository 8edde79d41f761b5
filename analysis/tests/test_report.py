"""The report: written by a process with a home of its own, so that what it leaves behind can be seen."""

import ast
import base64
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.figures import both_ways
from analysis.figures.colours import DARK, INK
from analysis.page.report import ReportPaths, templates_folder, write_report
from analysis.tests.simulate import Truth, study_of, write_study
from analysis.tests.test_colours import contrast
from lrbench.errors import InputError

SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "MultiStepLR", "milestones": ["50%", "75%"]}]
GRID = {"seed": "0-2", "cudnn_benchmark": [False, True], "scheduler": SCHEDULERS}
QUESTION = "Does <b>cudnn_benchmark</b> pay & is it `safe`?"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, ReportPaths, subprocess.CompletedProcess, Path]:
    """A report of a study with a failed trial, in a folder whose name has spaces, written from another folder."""
    base = tmp_path_factory.mktemp("reports")
    study = study_of(grid=GRID, question=QUESTION)
    folder = write_study(base / "a study, with spaces", study, Truth(failures={3: "diverged"}), num_planned=25)
    home, elsewhere = base / "home", base / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    code = "import sys; from analysis.page.report import write_report; write_report(sys.argv[1], progress=print)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON", "XDG", "MPL"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "../a study, with spaces"],
        env={**environment, "HOME": str(home)},
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    out = folder / "report"
    names = ("report.html", "report.md", "report.ipynb")
    html, markdown, notebook = (out / name for name in names)
    paths = ReportPaths(
        html=html, notebook=notebook, markdown=markdown, figures=out / "figures", written=(html, markdown, notebook)
    )
    return folder, paths, done, home


def test_figures_need_no_scrolling_and_tables_show_that_they_scroll(written):
    """A figure is never wider than its column; a table that is has a bar and a shadow at its side."""
    _, paths, _, _ = written
    style = paths.html.read_text(encoding="utf-8").partition("</style>")[0]
    (image,) = re.findall(r"\nfigure img \{([^}]*)\}", style)
    assert "max-width: 100%" in image
    assert "min-width" not in image
    (table,) = re.findall(r"\n\.table \{([^}]*)\}", style)
    assert "overflow: auto" in table
    assert "scrollbar-color" in table
    assert "linear-gradient" in table


def test_it_says_what_it_does_and_nothing_else(written):
    """Progress lines come one by one; nothing, no warning either, is written to standard error."""
    _, _, done, _ = written
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "starting the notebook"
    assert done.stdout.splitlines()[-1] == "writing the page"
    assert "a section for each answer" in done.stdout


def test_it_leaves_nothing_at_home(written):
    """No kernel specification, history, font cache or setting appears in the user's home, nor where it was started."""
    _, _, _, home = written
    assert list(home.rglob("*")) == []
    assert list((home.parent / "elsewhere").rglob("*")) == []


class Fetched(HTMLParser):
    """Collects what a browser would fetch by itself: every src and every href that is not a link in the text."""

    def __init__(self):
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "poster", "data", "action") or (name == "href" and tag != "a"):
                self.found.append((tag, value))


def test_the_page_asks_nothing_of_the_network(written):
    """Every picture is inside the page; there is no script, no style sheet, no font and no import to fetch."""
    _, paths, _, _ = written
    text = paths.html.read_text(encoding="utf-8")
    page = Fetched()
    page.feed(text)
    assert len([1 for tag, _ in page.found if tag == "img"]) == len(list(paths.figures.glob("*.svg"))) >= 8
    assert all(value.startswith("data:image/svg+xml;base64,") for _, value in page.found)
    assert not page.tags & {"script", "link", "iframe", "object", "embed"}
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:)", text)


def test_the_page_is_text_and_not_markup_of_the_study(written):
    """A question with angle brackets and ampersands stands in the page as it was typed."""
    _, paths, _, _ = written
    text = paths.html.read_text(encoding="utf-8")
    assert "Does &lt;b&gt;<code>cudnn_benchmark</code>&lt;/b&gt; pay &amp; is it" in text
    assert "<b>cudnn" not in text


def test_the_first_lines_are_the_headline(written):
    """What is missing and what failed lead, then that the flags are inert."""
    _, paths, _, _ = written
    text = paths.markdown.read_text(encoding="utf-8").partition("## In short")[2]
    lines = [line for line in text.splitlines() if line.startswith("- ")]
    assert lines[0] == "- The study is not finished: 1 trial of 25 still to run."
    assert lines[1].startswith("- 23 of 24 trials completed; 1 diverged: ")
    assert any("cuDNN flags are inert" in line for line in lines)


def test_the_first_page_goes_from_question_to_action(written):
    """What must be known, the study's questions, what to do, the figure; then the other answers."""
    _, paths, _, _ = written
    text = paths.markdown.read_text(encoding="utf-8").partition("## In short")[2].partition("## All conditions")[0]
    order = ["trials completed", "](#schedulers)", "](#throughput)", "### What to do", "figures/summary.svg"]
    order += ["### The other answers", "](#time_to_target)", "](#applied_lr)"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_markdown_links_its_figures(written):
    """Every figure that report.md shows lies beside it, as SVG and as PNG."""
    _, paths, _, _ = written
    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", paths.markdown.read_text(encoding="utf-8"))
    assert len(links) == len(list(paths.figures.glob("*.svg"))) >= 8
    for link in links:
        assert (paths.markdown.parent / link).read_text(encoding="utf-8").lstrip().startswith("<?xml")
        assert (paths.markdown.parent / link).with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_no_path_of_this_machine_is_in_a_report(written):
    """A report can be moved and shared: paths in it are relative, and it does not tell where it was written."""
    folder, paths, _, _ = written
    for path in (paths.html, paths.markdown, paths.notebook):
        assert str(folder.parent) not in path.read_text(encoding="utf-8")


def test_a_figure_is_in_the_notebook_once(written):
    """Each as a PNG with a palette, which is small and which every reader of notebooks shows; the page has the SVG."""
    _, paths, _, _ = written
    cells = json.loads(paths.notebook.read_text(encoding="utf-8"))["cells"]
    shown = [output["data"] for cell in cells for output in cell.get("outputs", []) if "data" in output]
    pictures = [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]
    assert len(pictures) == len(list(paths.figures.glob("*.png"))) >= 8
    assert not any("image/svg+xml" in data for data in shown)
    assert all(picture[25] == 3 for picture in pictures)  # the colour type in a PNG's header: 3 is a palette
    assert paths.notebook.stat().st_size < 1_500_000


def test_the_notebook_ran_to_its_end(written):
    """Every code cell was executed and none failed; the injected parameters are relative."""
    _, paths, _, _ = written
    cells = json.loads(paths.notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])
    assert any('folder = ".."' in "".join(cell["source"]) for cell in code)


def test_no_ink_is_lost_in_the_dark(written):
    """Each colour of each figure stands out from a dark page by itself, or has another for it."""
    _, paths, _, _ = written
    found = {}
    for path in paths.figures.glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        found |= dict.fromkeys(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", text), path.name)
        assert all(f'[style*="fill: {ink}"]' in both_ways(text) for ink in DARK if f"fill: {ink}" in text)
    assert INK in found
    fixed = {ink: name for ink, name in found.items() if ink not in DARK}
    assert {ink: name for ink, name in fixed.items() if contrast(ink, DARK["#ffffff"]) < 2.5} == {}


def test_every_way_back_leads_to_its_rows(written):
    """Each folded line of Python, typed where the notebook lies, gives as many rows as it says."""
    import lrbench

    folder, paths, _, _ = written
    blocks = re.findall(r"```python\n(.*?)\n```", paths.markdown.read_text(encoding="utf-8"), re.DOTALL)
    assert "DIR = '..'" in blocks.pop([block.startswith("import") for block in blocks].index(True))
    lines = 0
    for block in blocks:
        known = {"lrbench": lrbench, "DIR": str(folder)}
        for line in block.splitlines():
            code, _, said = line.partition("  # ")
            first, number = code.startswith("rows = "), int(said.split()[0].replace(",", ""))
            found = eval(code.removeprefix("rows = "), known)
            known |= {"rows": found} if first else {}
            assert len(found) == number, line
            lines += 1
    assert lines > 2 * len(blocks) > 16


def test_a_report_in_one_format_is_that_alone(tmp_path):
    """--format md writes the Markdown and its figures; a format that there is not is refused with those there are."""
    folder = write_study(tmp_path / "study", study_of(grid={"seed": [0]}))
    paths = write_report(folder, tmp_path / "out", format="md")
    assert paths.written == (paths.markdown,)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.md", "figures"}
    with pytest.raises(InputError, match="'pdf'; allowed: all, html, md, ipynb"):
        write_report(folder, tmp_path / "out", format="pdf")


def test_the_template_defines_nothing():
    """The template is prose and calls: no function, class or lambda, and each cell of code is a few lines."""
    cells = json.loads((templates_folder() / "report.ipynb").read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        assert cell.get("outputs", []) == []
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            kinds = {type(node) for node in ast.walk(tree)}
            assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda}
            assert len(tree.body) <= 3


def test_a_folder_without_a_study_is_refused(tmp_path):
    """A folder that holds no study is an InputError that says what to type."""
    with pytest.raises(InputError, match="lrbench run quickstart"):
        write_report(tmp_path)


def test_a_report_that_cannot_be_written_is_refused(tmp_path):
    """An --out that is a file is an InputError that names it."""
    folder = write_study(tmp_path / "study", study_of(grid={"seed": [0]}))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/report cannot be written.*--out"):
        write_report(folder, tmp_path / "file" / "report")


def test_a_damaged_folder_is_refused_in_words(tmp_path):
    """A part that was damaged after it was written is an InputError that names it, not a notebook's traceback."""
    folder = write_study(tmp_path / "study", study_of(grid={"seed": [0]}))
    (part,) = (folder / "trials").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"{part.name} cannot be read"):
        write_report(folder)


def test_a_damaged_record_is_refused_in_words(tmp_path):
    """A study.json that is no record of a study is an InputError before any notebook starts."""
    folder = write_study(tmp_path / "study", study_of(grid={"seed": [0]}))
    (folder / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study.json is damaged"):
        write_report(folder)
