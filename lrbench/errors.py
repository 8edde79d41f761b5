"""What a user got wrong, said so that they can mend it: where, what was found, what is allowed, what to type."""

import sysconfig
import traceback
from difflib import get_close_matches
from pathlib import Path


class InputError(Exception):
    """Bad input: one or several problems. The command line prints them and exits with 2."""

    def __init__(self, *problems: str):
        self.problems = problems
        super().__init__("\n".join(problems))


class RunError(Exception):
    """The run could not go on, through no fault of the request. What was committed before stays readable."""


class StoreError(Exception):
    """The results folder cannot be written (a full disk, say). What was committed before stays readable."""


def did_you_mean(word: str, known) -> str:
    """Return " Did you mean 'x'?" for the known word nearest to `word` (case aside), or "" when none is near.

    >>> did_you_mean("steplr", ["StepLR", "LinearLR"])
    " Did you mean 'StepLR'?"
    >>> did_you_mean("zzz", ["StepLR"])
    ''
    """
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""


def is_users(path: Path) -> bool:
    """Tell whether a file is the user's own: neither lrbench's, nor Python's, nor an installed package's."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    others = {Path(sysconfig.get_path(name)) for name in names} | {Path(__file__).parent}
    return path.is_file() and not others & {*path.parents}


def users_frames(error: BaseException, most: int = 3) -> str:
    """Return where in the user's own code an error arose, innermost first: at most `most` frames, "" if it did nowhere.

    Files below the current folder are named as they lie from there: "mynet.py:12 in net, called from mynet.py:30 in
    workload".
    """
    here, places = Path.cwd(), []
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if is_users(path):
            path = path.relative_to(here) if path.is_relative_to(here) else path
            places.append(f"{path}:{frame.lineno} in {frame.name}")
    return ", called from ".join(places[::-1][:most])
