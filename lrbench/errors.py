"""What a user got wrong, said so that they can mend it: where, what was found, what is allowed, what to type."""

import re
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


def device_meant(text: str) -> str:
    """Return " Did you mean 'x'?" for the device that a text probably means, or "".

    >>> device_meant("gpu"), device_meant("GPU:1"), device_meant("cud"), device_meant("zzz")
    (" Did you mean 'cuda'?", " Did you mean 'cuda:1'?", " Did you mean 'cuda'?", '')
    """
    if found := re.fullmatch(r"gpu(:\d+)?", text.strip().lower()):
        return f" Did you mean 'cuda{found[1] or ''}'?"
    return did_you_mean(text, ("auto", "cpu", "cuda"))


_FRAME = re.compile(r'^ *File "(.+)", line (\d+), in (.+)$', re.MULTILINE)


def in_one_line(error: str) -> str:
    """Return what a kept traceback says happened, and where in the user's own code; "" for an empty text.

    "ValueError: boom (at mynet.py:6 in forward)": no place where none of its files is the user's, or is here any more.
    Of another text it is the last line that is not indented.

    >>> in_one_line("still in 'train'")
    "still in 'train'"
    """
    lines = [line for line in error.strip().splitlines() if line.strip() and not line.startswith(" ")]
    last = lines[-1].strip() if lines else ""
    frames = list(_FRAME.finditer(error.rpartition("Traceback (most recent call last):")[2]))
    if not frames:
        return last
    after = frames[-1].string[frames[-1].end() :].splitlines()
    last = next((line for line in after if line.strip() and not line.startswith(" ")), last)
    users = [frame for frame in frames if is_users(Path(frame[1]))]
    return f"{last} (at {_from_here(Path(users[-1][1]))}:{users[-1][2]} in {users[-1][3]})" if users else last


def _from_here(path: Path) -> Path:
    """Return a path as it lies from the current folder, where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


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
    places = []
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if is_users(path):
            places.append(f"{_from_here(path)}:{frame.lineno} in {frame.name}")
    return ", called from ".join(places[::-1][:most])
