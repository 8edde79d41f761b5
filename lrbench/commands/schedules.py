"""`lrbench preview` and `lrbench explain`: schedules without training."""

from pathlib import Path
from typing import Annotated

import typer

from lrbench.commands.options import Typed, level, number
from lrbench.errors import InputError

app = typer.Typer()


@app.command(epilog='Example: lrbench preview "StepLR(step_size=30, gamma=0.1)" --lr 0.05 --epochs 100')
def preview(
    schedules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCHEDULE…", help='A study, or schedulers as torch writes them: "StepLR(step_size=30)".'
        ),
    ] = None,
    lr: number("Base learning rate [default: 0.1, or the study's].") = None,
    epochs: number("Epochs [default: 100, or the study's].") = None,
    steps_per_epoch: number("Optimizer steps in an epoch, for schedules stepped per step [default: 100].") = None,
    interval: Annotated[
        str, typer.Option(metavar="epoch|step", help="Step typed schedulers once per epoch or per step.")
    ] = "epoch",
    warmup: Annotated[
        str | None, typer.Option(help="Warm-up, e.g. '{kind=\"linear\", fraction=0.1}'.", show_default=False)
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="What ReduceLROnPlateau sees: 0.9,0.5,0.5 or a file (JSON list, lines).", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figure there: .png or .svg.", show_default=False)] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the rates as JSON, one value an epoch.")] = False,
    gallery: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a page of every scheduler there instead.", show_default=False),
    ] = None,
) -> None:
    """Draw learning-rate schedules without training."""
    if bool(schedules) == (gallery is not None):
        raise InputError(
            'give a study, or schedulers as torch writes them ("StepLR(step_size=30)"), to draw; or --gallery DIR alone'
        )
    with Typed() as typed:
        asked = {
            "lr": typed.from_zero("--lr", lr),
            "epochs": typed.whole("--epochs", epochs, least=1),
            "steps_per_epoch": typed.whole("--steps-per-epoch", steps_per_epoch, least=1) or 100,
            "interval": typed.one_of("--interval", interval, ("epoch", "step")),
            "warmup": None if warmup is None else level(warmup),
        }
    from lrbench.preview import gallery_command, preview_command

    if gallery is not None:
        gallery_command(gallery)
        return
    preview_command(schedules, **asked, out=out, as_json=json_, metric=metric)


@app.command(epilog="Example: lrbench explain ReduceLROnPlateau")
def explain(
    scheduler: Annotated[
        str | None,
        typer.Argument(
            metavar="[SCHEDULER]",
            help='A scheduler, by its name or called: "StepLR(step_size=30)" [default: all, a line each].',
            show_default=False,
        ),
    ] = None,
) -> None:
    """Tell what a scheduler's arguments do, what goes wrong with it, and what to type."""
    from lrbench.explain import explain_command

    explain_command(scheduler)
