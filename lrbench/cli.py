"""The command line. `--help` answers before torch, pandas or scipy are loaded: every command imports what it needs.

Exit codes: 0 all is well, 1 some trials failed or the run could not go on, 2 bad input, 130 interrupted.
"""

import re
import signal
import sys
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from lrbench.errors import InputError, RunError, StoreError

app = typer.Typer(
    name="lrbench",
    help="Which learning-rate schedule, what do the cuDNN flags cost and buy, and is my training reproducible?",
    epilog="Start with: lrbench run quickstart && lrbench report results/quickstart",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(
    help="See which data sets are here, and fetch one: nothing else ever downloads.", no_args_is_help=True
)
app.add_typer(data_app, name="data")

DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", envvar="LRBENCH_DATA", help="Folder of the data sets.", show_default=False),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A study's results folder, e.g. results/quickstart.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        import lrbench

        typer.echo(f"lrbench {lrbench.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """The options that stand before a command."""


@app.command(epilog="Example: lrbench plan digits-tuned --set seed=0-19 --pilot 4")
def plan(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A study file, or a built-in study such as quickstart.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The results folder that it is meant for [default: results/NAME].", show_default=False),
    ] = None,
    pilot: Annotated[
        int, typer.Option(metavar="N", help="Run N trials of one epoch now, to know how long the study takes.")
    ] = 0,
    device: Annotated[str, typer.Option(help="Where the study says auto: auto, cpu, cuda or cuda:N.")] = "auto",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FACTOR=LEVEL", help="Fix a factor at another level, or vary it (a list, 0-4)."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Tell how long a study takes, what effect it will see and what not, before it trains; exit 1 if a pilot fails."""
    from lrbench.plan.command import plan as plan_command

    _at_least("--pilot", pilot, 0)
    code = plan_command(
        study, out=out, device=device, pilot=pilot, levels=_levels(set_ or []), as_json=json_, data_root=data_root
    )
    raise typer.Exit(code)


@app.command(epilog="Example: lrbench run quickstart --set epochs=2 --set seed=0-4 --out results/short")
def run(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A study file, or a built-in study such as quickstart.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Results folder [default: results/NAME].", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="Where the study says auto: auto, cpu, cuda or cuda:N.")] = "auto",
    jobs: Annotated[
        int | None,
        typer.Option(help="Trials at once [default: one for each GPU, or as cores allow].", show_default=False),
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(help="End a trial after this many seconds.", show_default=False)
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run failed trials again.")] = False,
    limit: Annotated[int | None, typer.Option(help="Run at most this many trials now.", show_default=False)] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FACTOR=LEVEL", help="Fix a factor at another level, or vary it (a list, 0-4)."),
    ] = None,
    executor: Annotated[
        str, typer.Option(help="process: a fresh process for each trial; inline: this one, for a debugger.")
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

    with ExitStack() as stack:  # torch is loaded elsewhere while the study is read and planned here
        zygote = stack.enter_context(Zygote()) if executor == "process" else None
        from lrbench.checkpoints import parse_every
        from lrbench.progress import SilentReporter, default_reporter
        from lrbench.runner import run_study
        from lrbench.study import read_study
        from lrbench.watch import Watch

        chosen = read_study(study)
        if set_:
            chosen = chosen.with_levels(**_levels(set_))
        reporter = SilentReporter() if quiet else default_reporter()
        summary = run_study(
            chosen,
            out,
            device=device,
            jobs=jobs,
            time_limit_seconds=time_limit,
            retry=retry,
            limit=limit,
            executor=executor,
            mixed=mixed,
            checkpoint_every=checkpoint_every,
            watch=None if digest_every is None else Watch(digest_every=parse_every(digest_every, "--digest-every")),
            data_root=data_root,
            reporter=reporter,
            zygote=zygote,
        )
    if not quiet and not summary.interrupted:
        typer.echo(f"next: lrbench show {summary.folder}   or   lrbench report {summary.folder}")
    raise typer.Exit(summary.exit_code)


@app.command(epilog="Example: lrbench report results/quickstart --format html")
def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="Where to write [default: DIR/report].", show_default=False)] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="all|html|md|ipynb", help="The figures are written with each.")
    ] = "all",
) -> None:
    """Write the report of a study: HTML, Markdown, an executed notebook and the figures."""
    from lrbench.store import read_study_record

    _one_of("--format", format_, ("all", "html", "md", "ipynb"))
    read_study_record(folder)  # a folder that holds no study is told before the slow imports
    from analysis.page.report import write_report

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


@app.command(epilog='Example: lrbench preview "StepLR(step_size=30, gamma=0.1)" --lr 0.05 --epochs 100')
def preview(
    schedules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCHEDULE…", help='A study, or schedulers as torch writes them: "StepLR(step_size=30)".'
        ),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Base learning rate [default: 0.1, or the study's].", show_default=False)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs [default: 100, or the study's].", show_default=False)
    ] = None,
    steps_per_epoch: Annotated[
        int, typer.Option(help="Optimizer steps in an epoch, for schedules stepped per step.")
    ] = 100,
    interval: Annotated[str, typer.Option(help="Step typed schedulers once per epoch or per step.")] = "epoch",
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
    from lrbench.preview import gallery_command, preview_command

    if bool(schedules) == (gallery is not None):
        raise InputError(
            'give a study, or schedulers as torch writes them ("StepLR(step_size=30)"), to draw; or --gallery DIR alone'
        )
    if gallery is not None:
        gallery_command(gallery)
        return
    _one_of("--interval", interval, ("epoch", "step"))
    _at_least("--epochs", epochs, 1)
    _at_least("--steps-per-epoch", steps_per_epoch, 1)
    preview_command(
        schedules,
        lr=lr,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        interval=interval,
        warmup=None if warmup is None else _level(warmup),
        out=out,
        as_json=json_,
        metric=metric,
    )


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


@app.command(epilog="Example: lrbench claims --only S,L,R")
def claims(
    only: Annotated[
        str | None,
        typer.Option(metavar="AREA|ID,…", help="Areas or ids, e.g. S,L1,R [default: all].", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write [default: results/claims].", show_default=False)
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
    classes: Annotated[int, typer.Option(help="Of a model alone: how many classes.")] = 10,
    batch: Annotated[
        int | None, typer.Option(help="Images in a step [default: the recipe's, else 128].", show_default=False)
    ] = None,
    budget: Annotated[str, typer.Option(metavar="TIME", help="How long it may take: 90s, 2m, 1h.")] = "2m",
    replicates: Annotated[
        int | None, typer.Option(help="Runs of each condition [default: what fits].", show_default=False)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Whole epochs in a run [default: a few steps].", show_default=False)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Training steps in a run [default: what fits, 12 to 40].", show_default=False)
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="module:attr", help="Your Dataset: is what its loader gives repeatable?", show_default=False
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Results folder [default: results/audit-TARGET].", show_default=False)
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Tell whether a training is reproducible, what breaks it, what the flags cost; exit 1 if no trial completed."""
    from lrbench.audit.command import audit_command
    from lrbench.audit.target import Asked

    _at_least("--batch", batch, 1)
    _at_least("--replicates", replicates, 2)
    _at_least("--epochs", epochs, 1)
    _at_least("--steps", steps, 1)
    asked = Asked(
        target=target,
        input=input_ or "",
        classes=classes,
        batch=batch or 0,
        budget=budget,
        replicates=replicates or 0,
        epochs=epochs or 0,
        steps=steps or 0,
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
    epochs: Annotated[int | None, typer.Option(help="Epochs of both.", show_default=False)] = None,
    steps: Annotated[
        int | None, typer.Option(help="Train and compare no more than so many steps.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="Where a trial says auto: auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Where to write [default: results/diverge].", show_default=False)
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Find where two trials part: the step, the operator, and how far; exit 1 where they differ."""
    from lrbench.diverge.command import diverge_command

    _at_least("--epochs", epochs, 1)
    _at_least("--steps", steps, 1)
    levels = _levels(set_ or []) | ({} if epochs is None else {"epochs": epochs})
    raise typer.Exit(
        diverge_command(
            a,
            b,
            levels=levels,
            levels_a=_levels(set_a or []),
            levels_b=_levels(set_b or []),
            steps=steps,
            device=device,
            out=out,
            as_json=json_,
            data_root=data_root,
        )
    )


@data_app.command("list", epilog="Example: lrbench data list --data-root ~/data")
def data_list(data_root: DataRoot = None) -> None:
    """List the data sets that can be named, and whether they are here."""
    from lrbench.data_fetch import available

    for name, where, present in available(data_root):
        typer.echo(f"{'here   ' if present else 'absent '} {name:28} {where}")


@data_app.command("fetch", epilog="Example: lrbench data fetch CIFAR10 --data-root ~/data")
def data_fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set of torchvision, e.g. CIFAR10.")],
    data_root: DataRoot = None,
) -> None:
    """Download a data set of torchvision into the data root."""
    from lrbench.data_fetch import fetch

    typer.echo(f"{name} is in {fetch(name, data_root)}")


def _levels(settings: list[str]) -> dict:
    """Read `factor=level` as in a study file: a TOML value, a range such as 0-9, or a text."""
    levels = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--set found {setting!r}; write factor=level, e.g. --set epochs=2")
        if name.strip() in levels:
            raise InputError(
                f"--set {name.strip()} is given twice; to vary a factor give a list: --set {name.strip()}=[…]"
            )
        levels[name.strip()] = _level(text.strip())
    return levels


def _level(text: str):
    """Read a level: TOML, numbers with commas between them as a list, and anything else as the text that it is."""
    for toml in (text, f"[{text}]") if re.fullmatch(r"[-+.\de, ]*[.e][-+.\de, ]*", text) else (text,):
        try:
            return tomllib.loads(f"level = {toml}")["level"]
        except tomllib.TOMLDecodeError:
            pass
    return text


def _one_of(option: str, value: str, allowed) -> None:
    from lrbench.errors import did_you_mean

    if value not in allowed:
        raise InputError(f"{option} found {value!r}; allowed: {', '.join(allowed)}.{did_you_mean(value, allowed)}")


def _at_least(option: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise InputError(f"{option} found {value}; allowed: a whole number from {least} on")


def main() -> None:
    """Run the command line; say what is wrong in one place, and leave with the code that fits."""
    interrupts = []

    def interrupt(number, frame):
        interrupts.append(number)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        app(prog_name="lrbench")
    except SystemExit as done:  # typer turns Ctrl-C into exit code 1
        sys.exit(130 if interrupts else done.code)
    except InputError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
    except (RunError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
