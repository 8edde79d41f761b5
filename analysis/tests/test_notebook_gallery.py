"""The gallery of notebooks: each runs top to bottom on the committed results, and these runs are what is committed."""

import base64
import json
import re
import time
from pathlib import Path

import pytest

from analysis.page.notebook_gallery import EXAMPLES, execute, main, write_gallery
from analysis.page.report import templates_folder
from lrbench.errors import InputError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "reference"
COMMITTED = RESULTS / "notebooks"
MOST_SECONDS = 60.0


def paths_of_a_machine(text: str) -> list[str]:
    """Absolute paths: of this checkout, or where people's homes and temporary folders lie."""
    return re.findall(rf"{re.escape(str(ROOT))}\b|(?<![\w.])/(?:home|root|tmp|Users)/", text)


def injected(notebook) -> list:
    return [cell for cell in notebook["cells"] if "injected-parameters" in cell["metadata"].get("tags", [])]


def cells(notebook, kind: str) -> list:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_notebook_runs_from_top_to_bottom_within_a_minute(example, tmp_path):
    """Executed by papermill on the committed results: no error, no warning, something shown, nothing left behind."""
    began = time.monotonic()
    notebook = execute(example, RESULTS, tmp_path)
    assert time.monotonic() - began < MOST_SECONDS
    assert list(tmp_path.iterdir()) == []
    outputs = [output for cell in cells(notebook, "code") for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"display_data"}
    assert sum("image/svg+xml" in output["data"] for output in outputs) >= 2
    for output in outputs:
        assert not re.search(r"\b(nan|inf|None)\b", output["data"].get("text/plain", "")), output["data"]["text/plain"]
    outside = injected(notebook)  # names the way from this test's folder to the results
    assert not paths_of_a_machine(json.dumps([cell for cell in notebook["cells"] if cell not in outside]))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_template_holds_prose_and_parameters_but_no_results(example):
    """The first code cell is the parameters, with relative paths that lead from the notebook to the committed results;
    no output is in the template, and no number of a result in its prose."""
    notebook = json.loads(example.source.read_text(encoding="utf-8"))
    assert notebook["cells"][0]["source"].startswith("# ")
    first = cells(notebook, "code")[0]
    assert first["metadata"]["tags"] == ["parameters"]
    given = dict(re.findall(r'^(\w+) = "([^"]+)"$', first["source"], flags=re.M))
    assert set(given) == set(example.folders)
    for name, path in given.items():
        assert (templates_folder() / path).resolve() == RESULTS / example.folders[name]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(notebook, "code"))
    prose = "\n".join(cell["source"] for cell in cells(notebook, "markdown"))
    plain = re.sub(r"```.*?```|`[^`]*`", "", prose, flags=re.S)
    assert not re.findall(r"\d+(?:\.\d+)?\s*(?:%|points|seeds|trials|times|images)|\d\.\d", plain)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_what_is_committed_is_the_template_executed(example):
    """The committed notebook has the template's cells, each executed; its page is beside it and fetches nothing."""
    template = json.loads(example.source.read_text(encoding="utf-8"))
    made = json.loads((COMMITTED / f"{example.name}.ipynb").read_text(encoding="utf-8"))
    (given,) = injected(made)
    assert [cell["source"] for cell in made["cells"] if cell != given] == [c["source"] for c in template["cells"]]
    assert all(cell["execution_count"] for cell in cells(made, "code"))
    for name, folder in example.folders.items():
        assert f'{name} = "../{folder}"' in given["source"]
    page = (COMMITTED / f"{example.name}.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "<script" not in page
    for text in (page, json.dumps(made["cells"])):
        assert not paths_of_a_machine(text)


def test_committed_pictures_are_one_a_figure():
    """A committed notebook carries each figure once, as the PNG that every reader shows, and the page as SVG."""
    for example in EXAMPLES:
        made = json.loads((COMMITTED / f"{example.name}.ipynb").read_text(encoding="utf-8"))
        outputs = [output["data"] for cell in cells(made, "code") for output in cell["outputs"]]
        pictures = [data["image/png"] for data in outputs if "image/png" in data]
        assert not any("image/svg+xml" in data for data in outputs)
        assert all(base64.b64decode(picture)[:4] == b"\x89PNG" for picture in pictures)
        page = (COMMITTED / f"{example.name}.html").read_text(encoding="utf-8")
        assert page.count("data:image/svg+xml;base64,") == len(pictures)


def test_missing_results_are_told(tmp_path, capsys):
    """Without the committed results the folders that are missing are named, and nothing is written."""
    with pytest.raises(InputError, match="lacks cifar10-short, claims, quickstart"):
        write_gallery(tmp_path, tmp_path / "out")
    assert main([str(tmp_path)]) == 2
    assert "lacks cifar10-short" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
