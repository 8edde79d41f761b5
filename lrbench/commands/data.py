"""`lrbench data list` and `lrbench data fetch`: which data sets are here, and the one door to the network."""

from typing import Annotated

import typer

from lrbench.commands.options import DataRoot
from lrbench.commands.usage import Group

app = typer.Typer(
    cls=Group,
    help="See which data sets are here, and fetch one: nothing else ever downloads.",
    no_args_is_help=True,
)


@app.command("list", epilog="Example: lrbench data list --data-root ~/data")
def data_list(data_root: DataRoot = None) -> None:
    """List the data sets that can be named, and whether they are here."""
    from lrbench.data_fetch import available

    for name, where, present in available(data_root):
        typer.echo(f"{'here   ' if present else 'absent '} {name:28} {where}")


@app.command("fetch", epilog="Example: lrbench data fetch CIFAR10 --data-root ~/data")
def data_fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set of torchvision, e.g. CIFAR10.")],
    data_root: DataRoot = None,
) -> None:
    """Download a data set of torchvision into the data root."""
    from lrbench.data_fetch import fetch

    typer.echo(f"{name} is in {fetch(name, data_root)}")
