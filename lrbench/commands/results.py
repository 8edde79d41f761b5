"""`lrbench show`, `report`, `compare`, `export` and `compact`: what there is to do with a results folder."""

from pathlib import Path
from typing import Annotated

import typer

from lrbench.commands.options import Folder, Typed, telling_of_interrupts

app = typer.Typer()


@app.command(epilog="Example: lrbench report results/quickstart --format html")
def report(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write [default: DIR/report].", show_default=False)
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="all|html|md|ipynb", help="The figures are written with each.")
    ] = "all",
) -> None:
    """Write the report of a study: HTML, Markdown, an executed notebook and the figures."""
    from lrbench.store import read_study_record

    with Typed() as typed:
        typed.one_of("--format", format_, ("all", "html", "md", "ipynb"))
    read_study_record(folder)  # a folder that holds no study is told before the slow imports
    from analysis.page.report import write_report

    with telling_of_interrupts():
        paths = write_report(folder, out, progress=lambda text: typer.echo(text, err=True), format=format_)
    typer.echo(f"report: {paths.written[0]}")


@app.command(epilog="Example: lrbench show results/quickstart")
def show(folder: Folder) -> None:
    """Print the main table of a study, and its failures."""
    from lrbench.store import load, read_study_record

    record = read_study_record(folder)
    from analysis.page.show import print_study

    print_study(load(folder), record, folder)


@app.command(epilog="Example: lrbench compact results/quickstart")
def compact(folder: Folder) -> None:
    """Merge a study's rows into one parquet file."""
    from lrbench.store import compact as compact_folder

    compact_folder(folder)
    files = sorted(path.name for path in (folder / "trials").glob("part-*.parquet"))
    typer.echo(f"{folder}/trials/{files[0]}" if files else f"{folder} has no rows yet")


@app.command(epilog="Example: lrbench export results/quickstart --to csv")
def export(
    folder: Folder,
    to: Annotated[
        str, typer.Option("--to", metavar="csv|tensorboard|mlflow", help="The tool to write for.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write [default: DIR/export/TO].", show_default=False)
    ] = None,
) -> None:
    """Write a study's rows for another tool: CSV files, TensorBoard's event files, or an MLflow store."""
    from lrbench.export import export_command

    raise typer.Exit(export_command(folder, to, out))


@app.command(epilog="Example: lrbench compare results/laptop results/server --out results/laptop-server")
def compare(
    folder_a: Annotated[Path, typer.Argument(metavar="DIR_A", help="A study's results folder.")],
    folder_b: Annotated[Path, typer.Argument(metavar="DIR_B", help="Another: other machine, torch or commit.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the page there [default: no page].", show_default=False)
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Compare two results folders: what differs between them, and what changed in cost, bits and accuracy."""
    from lrbench.store import read_study_record

    for folder in (folder_a, folder_b):  # a folder that holds no study is told before the slow imports
        read_study_record(folder)
    from analysis.page.folders_page import compare_command

    raise typer.Exit(compare_command(folder_a, folder_b, out, json_))
