"""A results folder → its report: an executed notebook, one HTML page, Markdown, and figures.

The template `report.ipynb` (prose and calls) is executed on the running interpreter's own kernel; then the page and the
Markdown are written from it. Nothing is asked of the network, and nothing is written but DIR/report and a temporary
folder: no kernel specification, history or settings of the user are read or touched. What this does *not* do: analyse.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lrbench.errors import InputError, StoreError, did_you_mean

FORMATS = ("all", "html", "md", "ipynb")


@dataclass(frozen=True, kw_only=True)
class ReportPaths:
    """Where a report was written; `written` are those of its texts that were asked for, the first to be opened."""

    html: Path
    notebook: Path
    markdown: Path
    figures: Path
    written: tuple[Path, ...]


def templates_folder() -> Path:
    """Where the report's templates live: in the wheel, or beside the package in a checkout."""
    import lrbench

    package = Path(lrbench.__file__).parent
    inside = package / "share" / "notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def write_report(
    folder: str | Path,
    out: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
    format: str = "all",
) -> ReportPaths:
    """Write the report of a results folder to `out`, or DIR/report; an earlier one is replaced.

    `progress` is called with a line of text for each part as it begins. `format` is one of FORMATS: the page, Markdown,
    the executed notebook, or all three; figures are written with each. Raises InputError where DIR holds no study or
    the format is unknown, and StoreError where the report cannot be written.
    """
    from lrbench.store import read_study_record, require_study
    from lrbench.typed import again

    if format not in FORMATS:
        raise InputError(f"--format: found {format!r}; allowed: {', '.join(FORMATS)}.{did_you_mean(format, FORMATS)}")
    folder = require_study(folder).resolve()
    go_on = again(read_study_record(folder), folder)
    out = Path(folder / "report" if out is None else out).resolve()
    say = progress or (lambda line: None)
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}. Name another folder: --out DIR") from None
    with tempfile.TemporaryDirectory(prefix="lrbench-", dir=_temporary_folder()) as scratch:
        say("starting the notebook")
        notebook = _execute(folder, out, Path(scratch), go_on, say)
    say("writing the page")
    html, markdown, executed = out / "report.html", out / "report.md", out / "report.ipynb"
    texts: dict[Path, str] = {}
    if format in ("all", "html"):
        texts[html] = _as_html(notebook, folder.name)
    if format in ("all", "md"):
        texts[markdown] = _as_markdown(notebook)
    if format in ("all", "ipynb"):
        texts[executed] = _as_json(lighter(notebook))
    for path, text in texts.items():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    return ReportPaths(html=html, notebook=executed, markdown=markdown, figures=out / "figures", written=tuple(texts))


# ---------------------------------------------------------------------------------------------------------- execution


def _execute(folder: Path, out: Path, scratch: Path, go_on: str, say: Callable[[str], None]):
    """Execute the template in `out`; paths in it are relative, so that a report can be moved and shared."""
    import nbformat
    import papermill

    def about(cell, cell_index: int) -> None:
        if name := cell.metadata.get("progress"):
            say(name)

    source = templates_folder() / "report.ipynb"
    target = scratch / "report.ipynb"
    try:
        papermill.execute_notebook(
            str(source),
            str(target),
            parameters={"folder": os.path.relpath(folder, out), "out": ".", "again": go_on},
            kernel_name="python3",
            progress_bar=False,
            request_save_on_cell_execute=False,
            cwd=str(out),
            kernel_manager_class=_own_kernel(scratch),
            on_cell_start=about,
        )
    except papermill.PapermillExecutionError as error:
        # what the user can mend comes as what it is, and not as the traceback of a notebook
        known = {"InputError": InputError, "StoreError": StoreError, "OSError": StoreError}
        if error.ename in known:
            raise known[error.ename](f"{folder}: {error.evalue}") from None
        raise
    notebook = nbformat.read(target, as_version=4)
    return _without_traces(notebook)


def _temporary_folder() -> str:
    """Where the kernel's sockets go: a socket's path may have 107 bytes, which a long TMPDIR would overrun."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= 80 else "/tmp"


def _own_kernel(scratch: Path):
    """Return a kernel manager class for the running interpreter, talking over sockets in `scratch`, not the network."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    home = {name: str(scratch) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "MPLCONFIGDIR")}
    command = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    command += ["--log-level=CRITICAL"]  # a kernel that is shut down while idle reports its own interrupt as an error

    class OnlyThis(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(argv=command, env=home, language="python", display_name="Python 3", name=kernel_name)

    class OwnKernel(AsyncKernelManager):
        def __init__(self, **named):
            super().__init__(**named)
            self.kernel_spec_manager = OnlyThis()
            self.connection_file = str(scratch / "kernel.json")
            self.transport = "ipc"
            self.ip = str(scratch / "kernel")

    return OwnKernel


def _without_traces(notebook):
    """Drop what differs from run to run and says nothing: times, paths and random names of the execution."""
    notebook.metadata.pop("papermill", None)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    return notebook


# --------------------------------------------------------------------------------------------------------------- pages


def lighter(notebook):
    """Keep one picture of each figure, the PNG, which Jupyter, VS Code and GitHub all show and a palette makes light.

    The page is made before this: it has the SVG.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output["data"].pop("image/svg+xml", None)
    return notebook


def _as_json(notebook) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _as_html(notebook, title: str) -> str:
    return _converted(notebook, "HTMLExporter", "page", title, ["text/html", "image/svg+xml", "text/plain"])


def _as_markdown(notebook) -> str:
    text = _converted(notebook, "MarkdownExporter", "text", "", ["text/markdown", "image/svg+xml", "text/plain"])
    return text.strip() + "\n"


def _converted(notebook, exporter: str, template: str, title: str, priority: list[str]) -> str:
    import nbconvert
    from traitlets.config import Config

    from analysis.figures import both_ways

    config = Config()
    config.NbConvertBase.display_data_priority = priority
    config.HTMLExporter.exclude_anchor_links = True
    made = getattr(nbconvert, exporter)(
        config=config, template_name=template, extra_template_basedirs=[str(templates_folder())]
    )
    made.register_filter("both_ways", both_ways)
    return made.from_notebook_node(notebook, {"metadata": {"name": title}})[0]
