"""`lrbench plan` and `lrbench run`: before a study, and the study.

What this does *not* do: plan (`lrbench.plan`) or run (`lrbench.runner`).
"""

import shlex
from contextlib import ExitStack
from typing import Annotated

import typer

from lrbench.commands.options import DataRoot, Device, Levels, StudyName, Typed, number, telling_of_interrupts

app = typer.Typer()

Out = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Results folder [default: results/NAME; where --set changes more than it adds seeds, "
        "results/NAME-FACTOR=LEVEL].",
        show_default=False,
    ),
]


@app.command(epilog="Example: lrbench plan digits-tuned --set seed=0-19 --pilot 4")
def plan(
    study: StudyName,
    out: Out = None,
    pilot: number("Run N short trials now, to know how long the study takes: at most an epoch, or 30 s, each.") = None,
    device: Device = "auto",
    set_: Levels = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Tell how long a study takes, what effect it will see and what not, before it trains; exit 1 if a pilot fails."""
    from lrbench.plan.command import plan as plan_command

    with Typed() as typed:
        num_pilots = typed.whole("--pilot", pilot, least=0) or 0
        levels = typed.levels(set_)
        typed.device("--device", device)
    with telling_of_interrupts():
        code = plan_command(
            study, out=out, device=device, pilot=num_pilots, levels=levels, as_json=json_, data_root=data_root
        )
    raise typer.Exit(code)


@app.command(epilog="Example: lrbench run quickstart --set epochs=2 --set seed=0-4")
def run(
    study: StudyName,
    out: Out = None,
    device: Device = "auto",
    jobs: number("Trials at once [default: one for each GPU, or as cores allow].") = None,
    time_limit: number("End a trial after this many seconds.") = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run failed trials again.")] = False,
    limit: number("Run at most this many trials now.") = None,
    set_: Levels = None,
    executor: Annotated[
        str,
        typer.Option(
            metavar="process|inline", help="process: a fresh process for each trial; inline: this one, for a debugger."
        ),
    ] = "process",
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Go on in a folder that another machine or torch began.")
    ] = False,
    checkpoint_every: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS|epoch|off",
            help="Save a trial's state so often; one that was cut off goes on from there [default: the study's].",
            show_default=False,
        ),
    ] = None,
    digest_every: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS|epoch|off",
            help="Take digests of batch, gradients, weights … so often [default: the study's, else each epoch].",
            show_default=False,
        ),
    ] = None,
    data_root: DataRoot = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Run the trials of a study that have no row yet. The same command again goes on where it stopped."""
    from lrbench.start import Zygote

    with telling_of_interrupts(), ExitStack() as stack:
        # first of all: torch is loaded elsewhere while what was typed and the study are read and planned here
        zygote = stack.enter_context(Zygote()) if executor == "process" else None
        from lrbench.checkpoints import parse_every
        from lrbench.executors import EXECUTORS
        from lrbench.progress import SilentReporter, default_reporter
        from lrbench.runner import run_study
        from lrbench.study import read_study
        from lrbench.watch import Watch

        with Typed() as typed:
            asked = {
                "jobs": typed.whole("--jobs", jobs, least=1),
                "time_limit_seconds": typed.above_zero("--time-limit", time_limit, "seconds"),
                "limit": typed.whole("--limit", limit, least=0),
                "executor": typed.one_of("--executor", executor, EXECUTORS),
                "device": typed.device("--device", device),
                "checkpoint_every": typed.every("--checkpoint-every", checkpoint_every),
            }
            levels = typed.levels(set_)
            typed.every("--digest-every", digest_every)
        chosen = read_study(study)
        if levels:
            chosen = chosen.with_levels(**levels)
        reporter = SilentReporter() if quiet else default_reporter()
        summary = run_study(
            chosen,
            out,
            **asked,
            retry=retry,
            mixed=mixed,
            watch=None if digest_every is None else Watch(digest_every=parse_every(digest_every, "--digest-every")),
            data_root=data_root,
            reporter=reporter,
            zygote=zygote,
        )
    folder = shlex.quote(str(summary.folder))
    if not quiet and not summary.interrupted:
        typer.echo(f"next: lrbench show {folder}   or   lrbench report {folder}")
    raise typer.Exit(summary.exit_code)
