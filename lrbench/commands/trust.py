"""`lrbench audit`, `diverge` and `claims`: what can be relied on, where runs part, and what people say about it."""

from pathlib import Path
from typing import Annotated

import typer

from lrbench.commands.options import DataRoot, Typed, number

app = typer.Typer()


@app.command(epilog="Example: lrbench claims --only S,L,R")
def claims(
    only: Annotated[
        str | None,
        typer.Option(metavar="AREA|ID,…", help="Areas or ids, e.g. S,L1,R [default: all].", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write [default: results/claims].", show_default=False)
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the claims with their verdicts as JSON.")] = False,
) -> None:
    """Test what people say about schedules, flags and resuming, on this machine; exit 1 only where a gate fails."""
    from lrbench.claims.run import DEFAULT_FOLDER, claims_command

    code = claims_command(only, json_, out)
    from analysis.page.claims_page import write_page

    page = write_page(out or DEFAULT_FOLDER)
    typer.echo(f"page: {page.html}", err=json_)
    raise typer.Exit(code)


@app.command(epilog="Example: lrbench audit mynet:Net --input 3x32x32 --classes 10 --batch 128")
def audit(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="A workload's name, torchvision:NAME, or your model or workload as module:attr."
        ),
    ],
    input_: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="CxHxW",
            help="Of a model alone: the shape of its images [default: 3x32x32].",
            show_default=False,
        ),
    ] = None,
    classes: number("Of a model alone: how many classes [default: 10].") = None,
    batch: number("Images in a step [default: the recipe's, else 128].") = None,
    budget: Annotated[str, typer.Option(metavar="TIME", help="How long it may take: 90s, 2m, 1h.")] = "2m",
    replicates: number("Runs of each condition [default: what fits].") = None,
    epochs: number("Whole epochs in a run [default: a few steps].") = None,
    steps: number("Training steps in a run [default: what fits, 12 to 40].") = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="module:attr", help="Your Dataset: is what its loader gives repeatable?", show_default=False
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Results folder [default: results/audit-TARGET].", show_default=False),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Tell whether a training is reproducible, what breaks it, what the flags cost; exit 1 if no trial completed."""
    with Typed() as typed:
        numbers = {
            "classes": typed.whole("--classes", classes, least=2) or 10,
            "batch": typed.whole("--batch", batch, least=1) or 0,
            "replicates": typed.whole("--replicates", replicates, least=2) or 0,
            "epochs": typed.whole("--epochs", epochs, least=1) or 0,
            "steps": typed.whole("--steps", steps, least=1) or 0,
        }
        typed.device("--device", device)
    from lrbench.audit.command import audit_command
    from lrbench.audit.target import Asked

    asked = Asked(
        target=target,
        input=input_ or "",
        budget=budget,
        **numbers,
        device=device,
        dataset=dataset or "",
        data_root=str(data_root or ""),
    )
    raise typer.Exit(audit_command(asked, out, json_))


@app.command(epilog="Example: lrbench diverge digits-cnn --set-b num_threads=2")
def diverge(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A workload, module:attr, results/x#TRIAL_ID, a trial (.json, .toml) or a .trace."
        ),
    ],
    b: Annotated[
        str | None, typer.Argument(metavar="[B]", help="The same [default: A a second time].", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FACTOR=LEVEL", help="A factor's level in both.")
    ] = None,
    set_a: Annotated[list[str] | None, typer.Option("--set-a", metavar="FACTOR=LEVEL", help="In A alone.")] = None,
    set_b: Annotated[list[str] | None, typer.Option("--set-b", metavar="FACTOR=LEVEL", help="In B alone.")] = None,
    epochs: number("Epochs of both.") = None,
    steps: number("Train and compare no more than so many steps.") = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Where a trial says auto: auto, cpu, cuda or cuda:N.")
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to write [default: results/diverge/A-B].", show_default=False),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Find where two trials part: the step, the operator, and how far; exit 1 where they differ."""
    with Typed() as typed:
        num_epochs = typed.whole("--epochs", epochs, least=1)
        num_steps = typed.whole("--steps", steps, least=1)
        typed.device("--device", device)
        levels = {
            "levels": typed.levels(set_) | ({} if num_epochs is None else {"epochs": num_epochs}),
            "levels_a": typed.levels(set_a, "--set-a"),
            "levels_b": typed.levels(set_b, "--set-b"),
        }
    from lrbench.diverge.command import diverge_command

    raise typer.Exit(
        diverge_command(a, b, **levels, steps=num_steps, device=device, out=out, as_json=json_, data_root=data_root)
    )
