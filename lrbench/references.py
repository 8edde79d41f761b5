"""Where the user's code lies that a study names as "module:attr". Nothing is imported here.

What this does *not* do: say what is in those files (`lrbench.user_code`), or load them (`lrbench.trial.workload`).
"""

import ast
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from lrbench.errors import did_you_mean


def source_file(module: str) -> Path | None:
    """Return the file of a module that is found from the current folder, or where Python finds packages; None if none.

    Nothing is imported, the packages above the module neither.
    """
    where, found = [str(Path.cwd()), *sys.path], None
    for part in module.split("."):
        found = PathFinder.find_spec(part, where) if where else None
        if found is None:
            return None
        where = found.submodule_search_locations and list(found.submodule_search_locations)
    return Path(found.origin) if found.has_location else None


def not_there(reference: str) -> str:
    """Say that a name such as "mynet:workload" leads nowhere; "" where it does, or where only running it can tell."""
    module, _, attribute = reference.partition(":")
    path = source_file(module)
    if path is None:
        return f"found {reference!r}; no module {module!r} in {Path.cwd()}, nor where Python finds packages"
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # an import tells of the first; the second is no source
        return ""
    imported = [a for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for a in node.names]
    names = {(alias.asname or alias.name).partition(".")[0] for alias in imported}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if names & {attribute.partition(".")[0], "*", "__getattr__"}:
        return ""
    return f"found {reference!r}; no {attribute!r} in {path}.{did_you_mean(attribute, names)}"
