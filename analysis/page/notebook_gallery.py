"""The gallery of notebooks: worked examples, executed top to bottom on committed results, as notebooks and as pages.

`python -m analysis.page.notebook_gallery results/reference` executes them on `results/reference/*` and writes
`results/reference/notebooks`. What this does *not* do: hold any prose or number; both are in the notebooks.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis.page import report
from lrbench.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Example:
    """A worked example: the notebook's name, and the parameters that name folders of the results, with the folders."""

    name: str
    folders: dict[str, str]

    @property
    def source(self) -> Path:
        return report.templates_folder() / f"{self.name}.ipynb"


EXAMPLES = (
    Example(name="choosing_a_schedule", folders={"folder": "cifar10-short"}),
    Example(name="what_the_flags_cost_and_buy", folders={"folder": "quickstart", "claims": "claims"}),
    Example(
        name="how_much_is_luck",
        folders={"folder": "cifar10-short", "second": "quickstart", "claims": "claims"},
    ),
)


def write_gallery(results: Path, out: Path, say: Callable[[str], None] = lambda line: None) -> list[Path]:
    """Execute every example on the folders of `results`; write NAME.ipynb and NAME.html to `out`, and return the pages.

    Paths in them are relative to `out`, and the same results give the same bytes. Raises InputError where a folder of
    results is missing, or `out` cannot be written.
    """
    results, out = results.resolve(), out.resolve()
    missing = sorted({name for e in EXAMPLES for name in e.folders.values() if not (results / name).is_dir()})
    if missing:
        raise InputError(f"{results} lacks {', '.join(missing)}. Name the folder of the committed results")
    pages = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for example in EXAMPLES:
            say(example.name)
            notebook = execute(example, results, out)
            (out / f"{example.name}.html").write_text(report._as_html(notebook, _title(notebook)), encoding="utf-8")
            (out / f"{example.name}.ipynb").write_text(report._as_json(report.lighter(notebook)), encoding="utf-8")
            pages.append(out / f"{example.name}.html")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}. Name another: --out DIR") from None
    return pages


def execute(example: Example, results: Path, cwd: Path):
    """Return the executed notebook; its paths lead from `cwd` to the folders of `results`. Writes nothing there."""
    import nbformat
    import papermill

    parameters = {name: os.path.relpath(results / folder, cwd) for name, folder in example.folders.items()}
    with tempfile.TemporaryDirectory(prefix="lrbench-", dir=report._temporary_folder()) as scratch:
        target = Path(scratch) / example.source.name
        papermill.execute_notebook(
            str(example.source),
            str(target),
            parameters=parameters,
            kernel_name="python3",
            progress_bar=False,
            request_save_on_cell_execute=False,
            cwd=str(cwd),
            kernel_manager_class=report._own_kernel(Path(scratch)),
        )
        return report._without_traces(nbformat.read(target, as_version=4))


def _title(notebook) -> str:
    """The notebook's first heading."""
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; exits with 2 where the results are not there."""
    parser = argparse.ArgumentParser(prog="python -m analysis.page.notebook_gallery", description=__doc__)
    parser.add_argument("results", metavar="DIR", type=Path, help="the folder of the results, results/reference")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write [default: DIR/notebooks]")
    options = parser.parse_args(arguments)
    try:
        pages = write_gallery(options.results, options.out or options.results / "notebooks", say=print)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(*pages, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
