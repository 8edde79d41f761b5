"""Which line of source an operator was called from: the innermost outside torch and the training loop."""

import sys
from functools import cache
from pathlib import Path

import torch

_TORCH = f"{Path(torch.__file__).parent}/"  # not torchvision, whose name begins alike
_LRBENCH = Path(__file__).parents[1]
_MACHINERY = tuple(str(_LRBENCH / part) for part in ("trial", "executors", "cli.py", "__main__.py"))
_NOT_MACHINERY = str(_LRBENCH / "trial" / "models.py")


@cache
def _short(filename: str) -> str:
    """Return how a source file is called in a trace; "" for files that only pass a call on."""
    if filename.startswith((_TORCH, "<")) or Path(filename).name in ("contextlib.py", "functools.py", "threading.py"):
        return ""
    if filename.startswith(_MACHINERY) and filename != _NOT_MACHINERY:
        return ""
    path = Path(filename)
    installed = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    for root in (*installed, Path.cwd()):  # an environment may lie in the current folder
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return filename


def source_line() -> str:
    """Return "file:line" of the innermost frame outside torch and the training loop; "" where there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if short := _short(frame.f_code.co_filename):
            return f"{short}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
