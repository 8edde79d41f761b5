"""The claims' answer and page, from tables written by hand."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis.claims import answer, matrix, place_of, read_findings
from analysis.page.claims_page import write_page
from lrbench.claims import tables
from lrbench.errors import InputError

VOID = {"meta", "img", "wbr", "br", "hr", "link", "input"}


def claim(id: str, verdict: str, gate_result: str = "no gate", **more) -> dict:
    gate = gate_result != "no gate"
    return {
        "id": id,
        "area": id[0],
        "statement": f"{id} is so",
        "where": "C",
        "kind": "E",
        "expected": "yes",
        "source": "the notes",
        "gate": gate,
        "gate_result": gate_result,
        "verdict": verdict,
        "seen": "it was seen",
        "num_evidence": 0,
        "device": "cpu",
        "started_at": "2026-11-22T10:00:00+00:00",
        "torch_version": "2.15.0",
        "cpu_model": "a CPU",
        "gpus": "",
        **more,
    }


def cell(row: int, scheduler: str, what: str, text: str) -> dict:
    return {"id": "S11", "row": row, "scheduler": scheduler, "what": what, "cell": text, "holds": True}


CLAIMS = [
    claim("S1", "supported"),
    claim("S3", "refuted", statement="T_max <resets> & more | so", seen="CosineAnnealingLR(T_max=3) climbs back"),
    claim("S11", "supported", "passed"),
    claim("L2", "inconclusive"),
    claim("R1", "supported", "passed", started_at="2026-11-23T09:00:00+00:00"),
    claim("R4", "not testable here"),
]
EVIDENCE = [
    {"id": "S1", "row": 0, "scheduler": "StepLR(step_size=3)", "max_relative_error": 1.5e-16, "holds": True},
    {"id": "S1", "row": 1, "scheduler": "REXLR()", "max_relative_error": 0.0, "holds": False},
    cell(0, "StepLR", "pickling", "yes"),
    cell(1, "StepLR", "nesting", "no: pytorch#1 says so"),
    cell(2, "ConstantLR", "pickling", "n/a: it holds nothing"),
    cell(3, "ConstantLR", "nesting", "yes"),
]


def write(folder: Path, claims: list[dict], evidence: list[dict] = EVIDENCE) -> Path:
    tables.write(folder / "claims.parquet", claims, tables.CLAIMS)
    tables.write(folder / "evidence.parquet", evidence, tables.EVIDENCE)
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return write(tmp_path, CLAIMS)


class Balanced(HTMLParser):
    """Fails on a tag that is closed out of order or never; gathers what the page would ask the network for."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.asks = [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        sources = [given[key] for key in ("src", "href", "srcset") if key in given]
        self.asks += [source for source in sources if not source.startswith(("data:", "#"))]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_answer_counts_the_verdicts_and_names_what_was_refuted(folder):
    """The first sentences say how many verdicts of each word there are and how the gates stand; each refuted claim
    follows with what was seen."""
    found = answer(read_findings(folder))
    assert found.sentences == (
        "Of 6 claims, 3 supported, 1 refuted, 1 inconclusive and 1 not testable here.",
        "2 of 2 gates passed, and none failed.",
        "Refuted, S3: CosineAnnealingLR(T_max=3) climbs back.",
    )
    assert list(found.table["id"]) == ["S1", "S3", "S11", "L2", "R1", "R4"]


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        (("failed", "passed"), "1 gate of 2 failed: R1."),
        (("failed", "failed"), "2 gates of 2 failed: R1 and R2."),
        (("passed", "not tested"), "1 of 2 gates passed, and none failed; R2 could not be tested here."),
    ],
)
def test_a_failed_gate_leads(results, sentence, tmp_path):
    """Failed gates are named at the top; one that could not be tested is not counted among the passed."""
    rows = [claim(id, "supported", result) for id, result in zip(("R1", "R2"), results, strict=True)]
    assert answer(read_findings(write(tmp_path, rows))).sentences[1] == sentence


def test_no_claim_yet_is_said(tmp_path):
    """An empty catalogue gives a sentence and a page, and no error."""
    write(tmp_path, [], [])
    assert answer(read_findings(tmp_path)).sentences == ("No claim has been tested yet.",)
    assert "No claim has been tested yet" in write_page(tmp_path).html.read_text(encoding="utf-8")


def test_the_matrix_keeps_the_order_in_which_it_was_written(folder):
    """A row for each scheduler, a column for each thing, none sorted by name, each cell as it was."""
    table = matrix(read_findings(folder))
    assert list(table.index) == ["StepLR", "ConstantLR"]
    assert list(table.columns) == ["pickling", "nesting"]
    assert table.loc["StepLR", "nesting"] == "no: pytorch#1 says so"


def test_a_missing_cell_is_shown_as_missing(tmp_path):
    """A cell without evidence is a question mark on the page and is named, and never a tick."""
    write(tmp_path, [claim("S11", "refuted", "failed")], EVIDENCE[2:5])
    paths = write_page(tmp_path)
    assert "| ConstantLR | – | ? |" in paths.markdown.read_text(encoding="utf-8")
    assert "ConstantLR</code>, nesting: empty" in paths.html.read_text(encoding="utf-8")


def test_the_place_names_all_that_differs(folder):
    """Machine, torch and the first and last day, in one line."""
    assert place_of(read_findings(folder).claims) == ("torch 2.15.0 · a CPU, no CUDA device · 2026-11-22 to 2026-11-23")


def test_the_page_is_whole_and_asks_nothing_of_the_network(folder):
    """Every tag is closed in order, every picture is inside, every link is to the page itself; light and dark."""
    text = write_page(folder).html.read_text(encoding="utf-8")
    page = Balanced(text)
    assert page.asks == []
    assert "@import" not in text
    assert not re.search(r"url\((?!data:)", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_a_statement_is_shown_as_it_is_written(folder):
    """Signs that HTML or Markdown would read are escaped; what a reader would type is set as code."""
    paths = write_page(folder)
    page, text = (path.read_text(encoding="utf-8") for path in (paths.html, paths.markdown))
    assert "<code>T_max</code> &lt;resets&gt; &amp; more | so" in page
    assert "<code>CosineAnnealingLR(T_max=3)</code> climbs back" in page
    assert "| S3 | T\\_max \\<resets> & more \\| so | refuted |" in text


def test_each_claim_shows_its_own_evidence(folder):
    """The fold below a claim holds its rows, with the columns that say something there, and no other claim's."""
    text = write_page(folder).html.read_text(encoding="utf-8")
    article = text[text.index('id="S1"') : text.index('id="S3"')]
    assert "2 rows of evidence" in article
    assert re.findall(r"<th[^>]*>([^<]*)</th>", article) == ["scheduler", "max relative error", "holds"]
    assert "1.5e-16" in article
    assert "<td>no</td>" in article
    assert "evidence" not in text[text.index('id="S3"') : text.index('id="S11"')]


def test_the_same_tables_give_the_same_page(folder, tmp_path):
    """Page, Markdown and figure are the same bytes when written again, wherever they go."""
    first, second = write_page(folder), write_page(folder, tmp_path / "elsewhere")
    for name in ("html", "markdown", "figure"):
        assert getattr(first, name).read_bytes() == getattr(second, name).read_bytes()


def test_a_folder_without_claims_is_told(tmp_path):
    """A folder that holds no claims is bad input, with the line to type; the module's own door exits with 2."""
    with pytest.raises(InputError, match="lrbench claims --out"):
        read_findings(tmp_path)
    done = subprocess.run([sys.executable, "-m", "analysis.claims", tmp_path], capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds no claims" in done.stderr


def test_the_module_is_a_door_of_its_own(folder):
    """`python -m analysis.claims DIR` prints the sentences and writes the page."""
    done = subprocess.run([sys.executable, "-m", "analysis.claims", folder], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("- Of 6 claims, 3 supported")
    assert done.stdout.splitlines()[-1] == f"page: {folder}/claims.html"
    assert (folder / "claims.md").is_file()
