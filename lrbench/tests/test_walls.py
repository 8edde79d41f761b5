"""The walls of the house: what loads what, and who may import whom; read from the source, asked of real processes."""

import ast
import json
import subprocess
import sys
import time
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What only describes: it may be imported from everywhere, and imports nothing that acts.
DESCRIBES = {
    "lrbench",
    "lrbench.calls",
    "lrbench.candidates",
    "lrbench.checkpoints",
    "lrbench.closed_forms",
    "lrbench.diverge",
    "lrbench.diverge.steps",
    "lrbench.diverge.traces",
    "lrbench.errors",
    "lrbench.factors",
    "lrbench.grid",
    "lrbench.levels",
    "lrbench.looks",
    "lrbench.lr_plan",
    "lrbench.metrics",
    "lrbench.nvml",
    "lrbench.own_rate",
    "lrbench.place",
    "lrbench.plan_warnings",
    "lrbench.questions",
    "lrbench.record",
    "lrbench.references",
    "lrbench.schedules",
    "lrbench.seeds",
    "lrbench.shares",
    "lrbench.sparkline",
    "lrbench.start",
    "lrbench.study",
    "lrbench.torchvision_data",
    "lrbench.tune_table",
    "lrbench.tuning",
    "lrbench.typed",
    "lrbench.ulps",
    "lrbench.warmups",
    "lrbench.watch",
    "lrbench.workloads",
}
# Doors above both packages. The stages of a study with [until] ask what its rows say so far.
DOORS = {"lrbench.audit.command", "lrbench.commands.results", "lrbench.commands.trust", "lrbench.preview"}
DOORS |= {"lrbench.stages"}
HEAVY = {"torch", "torchvision", "pandas", "scipy", "statsmodels", "matplotlib", "seaborn", "pyarrow", "numpy", "rich"}


def modules() -> dict[str, Path]:
    """Every module of the two packages, by its name; tests are none."""
    found = {}
    for package in ("lrbench", "analysis"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "tests" not in parts and "share" not in parts:
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, inside_functions: bool) -> set[str]:
    """What a module imports at its top, or inside its functions: modules of ours in full, of others the package."""
    found = set()

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if inside == inside_functions and isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif inside == inside_functions and isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{name}: write imports out in full"
                submodules = {f"{child.module}.{alias.name}" for alias in child.names} & set(MODULES)
                found.update(submodules or {child.module})
            visit(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    visit(ast.parse(MODULES[name].read_text(encoding="utf-8")), inside=False)
    return {module if module in MODULES else module.split(".")[0] for module in found}


TOP = {name: imports(name, inside_functions=False) for name in MODULES}
EVERYWHERE = {name: TOP[name] | imports(name, inside_functions=True) for name in MODULES}


def in_room(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def test_imports_run_downwards_only():
    """No module is, by way of what it imports at its top, above itself: the imports have an order."""
    ours = {name: {module for module in found if module in MODULES} for name, found in TOP.items()}
    order = list(TopologicalSorter(ours).static_order())  # raises CycleError, which names the cycle
    assert order.index("lrbench.errors") < order.index("lrbench.factors") < order.index("lrbench.runner")


@pytest.mark.parametrize("name", sorted(DESCRIBES))
def test_what_describes_imports_nothing_that_acts(name):
    """Study, factors, record and their like import each other alone, and no heavy package at their top."""
    assert {module for module in EVERYWHERE[name] if in_room(module, "lrbench")} <= DESCRIBES
    assert not TOP[name] & HEAVY


@pytest.mark.parametrize("name", sorted(name for name in MODULES if in_room(name, "lrbench.trial")))
def test_the_trial_room_stands_on_descriptions_alone(name):
    """A trial knows no store, no runner, no executor, no reporter and no analysis; besides what describes, it has the
    schedulers."""
    ours = {module for module in EVERYWHERE[name] if module in MODULES and not in_room(module, "lrbench.trial")}
    assert {module for module in ours if not in_room(module, "lrbench.schedulers")} <= DESCRIBES


@pytest.mark.parametrize("name", sorted(name for name in MODULES if in_room(name, "lrbench.schedulers")))
def test_the_schedulers_need_torch_and_the_formulas_alone(name):
    """Whoever takes a scheduler into a loop of their own loads torch and the pure schedules, and no more of lrbench."""
    ours = {module for module in EVERYWHERE[name] if module in MODULES and not in_room(module, "lrbench.schedulers")}
    assert ours <= {"lrbench.schedules"}
    assert not EVERYWHERE[name] & (HEAVY - {"torch"})


OUTSIDE = sorted(name for name in MODULES if not in_room(name, "lrbench.trial"))


@pytest.mark.parametrize("name", [name for name in OUTSIDE if not in_room(name, "lrbench.schedulers")])
def test_torch_is_loaded_in_the_trial_room_alone(name):
    """Outside the trial room and the schedulers no module imports torch or one of theirs at its top; pandas and scipy
    neither in lrbench; and analysis imports torch nowhere."""
    assert not TOP[name] & {"torch", "torchvision"}
    assert not {module for module in TOP[name] if in_room(module, "lrbench.trial")}
    assert not {module for module in TOP[name] if in_room(module, "lrbench.schedulers")}
    if in_room(name, "lrbench"):
        assert not TOP[name] & HEAVY
    else:
        assert not EVERYWHERE[name] & {"torch", "torchvision"}


def test_the_trial_room_has_three_doors():
    """Two executors and the preview enter the trial room, inside their functions; besides them only the claims do,
    which ask things of its parts in processes of their own."""
    outside = {name for name in MODULES if not in_room(name, "lrbench.trial") and not in_room(name, "lrbench.claims")}
    entering = {name for name in outside if any(in_room(module, "lrbench.trial") for module in EVERYWHERE[name])}
    assert entering <= {"lrbench.executors.inline", "lrbench.executors.zygote", "lrbench.preview"}
    assert "lrbench.executors.zygote" in entering


CLAIMS = {name for name in MODULES if in_room(name, "lrbench.claims")}


def test_lrbench_and_analysis_meet_in_the_rows():
    """analysis knows of lrbench rows, studies and errors; lrbench calls analysis from its front doors, and from the
    claims, which run trials and say what they mean."""
    for name, found in EVERYWHERE.items():
        if in_room(name, "analysis"):
            known = {module for module in found if in_room(module, "lrbench")}
            met = DESCRIBES | {
                "lrbench.store",
                "lrbench.stages",
            }  # what there is to know, rows, and what is still to run
            assert known <= met, name
        elif name not in DOORS and not any(in_room(name, room) for room in ("lrbench.claims", "lrbench.plan")):
            assert not any(in_room(module, "analysis") for module in found), name


def test_the_front_door_is_above_everything():
    """Nobody but `python -m lrbench` imports the command line, and only the front doors import the runner."""
    importers = {name for name, found in EVERYWHERE.items() if "lrbench.cli" in found}
    assert importers <= {"lrbench.__main__"}
    importers = {name for name, found in EVERYWHERE.items() if "lrbench.runner" in found}
    assert importers <= {"lrbench.commands.studies"}


def loaded_after(code: str) -> set[str]:
    """The top-level packages that are loaded once a fresh interpreter has run `code`."""
    program = f"import json, sys\n{code}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


HELP = """
from lrbench.cli import main
commands = ([], ["plan"], ["export"], ["compare"], ["run"], ["preview"], ["data", "fetch"], ["diverge"], ["audit"])
for arguments in (*([*command, "--help"] for command in commands), ["--version"]):
    sys.argv = ["lrbench", *arguments]
    try:
        main()
    except SystemExit as done:
        assert not done.code, done.code
"""

EVERY_ANALYSIS = """
import importlib, pkgutil, analysis
for module in pkgutil.walk_packages(analysis.__path__, "analysis."):
    if not module.name.startswith("analysis.tests"):
        importlib.import_module(module.name)
"""


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import lrbench", {"torch", "pandas", "scipy", "pydantic", "pyarrow", "numpy", "matplotlib"}),
        ("import lrbench.cli", {"torch", "pandas", "scipy", "pydantic", "pyarrow", "numpy", "matplotlib"}),
        (HELP, {"torch", "pandas", "scipy", "pyarrow", "numpy", "matplotlib"}),
        (
            "import lrbench.runner, lrbench.store, lrbench.study, lrbench.executors.process",
            {"torch", "pandas", "scipy"},
        ),
        ("import lrbench; lrbench.trials(lrbench.read_study('quickstart'))", {"torch", "pandas", "scipy", "pyarrow"}),
        ("import lrbench.executors.zygote", {"torch"}),
        ("import analysis", {"torch"}),
        (EVERY_ANALYSIS, {"torch", "torchvision"}),
    ],
    ids=["lrbench", "cli", "help", "runner", "a study", "zygote", "analysis", "every module of analysis"],
)
def test_a_fresh_process_loads_no_more_than_it_needs(code, absent):
    """torch, pandas and scipy are loaded where they are used and not before: asked of a fresh interpreter."""
    assert not loaded_after(code) & absent


def test_help_answers_at_once():
    """`lrbench --help` takes a third of a second on a quiet machine; three times that is let pass here."""
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lrbench", "--help"], cwd=ROOT, capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
        if min(seconds) < 0.9:
            break
    assert min(seconds) < 0.9, seconds


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_define_no_function(path):
    """A template is prose and calls: whatever computes lives in analysis, where it is tested."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            lines = [line for line in "".join(cell["source"]).splitlines() if not line.startswith("%")]
            kinds = {type(node) for node in ast.walk(ast.parse("\n".join(lines)))}
            assert not kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda}, cell["source"]
