"""Downloads of torchvision's data sets, asked for by name, and the list of what is there. Never part of a run.

A download lands in a hidden folder beside the data and is moved into place when it is whole, so what a broken line
leaves behind is never taken for data. What this does *not* do: know the addresses and checksums, which are
torchvision's, or decode images (`lrbench.trial.sources`). Nothing here imports torch before a download starts.
"""

import fcntl
import lzma
import os
import shutil
import socket
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from inspect import signature
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError

from lrbench.errors import InputError
from lrbench.torchvision_data import TORCHVISION, missing_files, opening_old_pickles, unknown_data_set
from lrbench.workloads import DATA

TIMEOUT_SECONDS = 60.0  # of silence on the line; torchvision itself would wait for ever
# what the line, the disk, a checksum that differs, or a broken archive raise on the way
_FAILURES = (
    OSError,
    RuntimeError,
    HTTPException,
    EOFError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
)


class Available(NamedTuple):
    """A data set that a workload can name: the name, where it comes from, and whether it is there."""

    name: str
    where: str
    present: bool


def available(data_root: Path | None) -> list[Available]:
    """Return every data set that has a name: those inside packages, and torchvision's, looked for in data_root.

    Raises InputError where data_root is given and is no folder.
    """
    if data_root is not None and not data_root.is_dir():
        what = "is a file" if data_root.exists() else "does not exist"
        raise InputError(f"--data-root found {str(data_root)!r}, which {what}; allowed: the folder of your data sets")
    found = [
        Available(
            name=name,
            where=f"inside {package}",
            present=find_spec({"scikit-learn": "sklearn"}.get(package, package)) is not None,
        )
        for name, package in DATA.items()
    ]
    found.append(Available(name="synthetic", where="made when it is used", present=True))
    for name in TORCHVISION:
        there = data_root is not None and not missing_files(name, data_root)
        where = (
            str(data_root / TORCHVISION[name].files[0].split("/")[0])
            if there
            else f"lrbench data fetch {name} --data-root {data_root or 'DIR'}"
        )
        found.append(Available(name=f"torchvision:{name}", where=where, present=there))
    return found


def fetch(name: str, data_root: Path | None) -> Path:
    """Download torchvision's data set `name` below data_root and return where it lies; skipped if it is there.

    Progress goes to stderr: a bar on a terminal, lines elsewhere. Raises InputError for an unknown name, for a data set
    that torchvision cannot download, and for every failure on the way, after which data_root holds what it held before.
    """
    name = name.removeprefix("torchvision:")
    if name not in TORCHVISION:
        raise InputError(unknown_data_set(name))
    if data_root is None:
        raise InputError(
            f"{name} needs a folder to go to. Type: lrbench data fetch {name} --data-root DIR, or set LRBENCH_DATA=DIR"
        )
    data_root = data_root.absolute()
    place = data_root / TORCHVISION[name].files[0].split("/")[0]
    if not missing_files(name, data_root):
        print(f"{name} is there already: {place}", file=sys.stderr)
        return place
    from torchvision import datasets

    data_set = getattr(datasets, name)
    parameters = signature(data_set).parameters.values()
    if not any(p.name == "download" or p.kind is p.VAR_KEYWORD for p in parameters):
        page = (data_set.__doc__ or "").partition("<")[2].partition(">")[0]
        raise InputError(
            f"torchvision cannot download {name}; its owner hands it out. Get it from {page} and put it at {place}"
        )
    try:
        with _landing(name, data_root) as landing, _progress(name), _timeout(TIMEOUT_SECONDS):
            for part in TORCHVISION[name].parts:
                with opening_old_pickles():
                    data_set(landing, **part, download=True)  # checks what it has downloaded by loading it
            _move_into(landing, data_root)
    except _FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, HTTPError):  # it is also the server's answer, with an open socket
            error.close()
        raise InputError(
            f"{name} was not fetched: {reason}. {data_root} holds nothing of it. When the cause is gone, type the same "
            f"again: lrbench data fetch {name} --data-root {data_root}"
        ) from error
    return place


@contextmanager
def _landing(name: str, data_root: Path) -> Iterator[Path]:
    """Yield an empty hidden folder in data_root that no other process uses, and remove it afterwards.

    Locked while it is in use; one that a killed process left behind is emptied and used again.
    """
    landing = data_root / f".fetching-{name}"
    landing.mkdir(parents=True, exist_ok=True)
    handle = os.open(landing, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{name} is being fetched into {data_root} by another process; wait for it") from None
        for left_over in landing.iterdir():
            shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        try:
            yield landing
        finally:
            shutil.rmtree(landing)
    finally:
        os.close(handle)


def _move_into(landing: Path, data_root: Path) -> None:
    """Move all that has landed into data_root by renaming; a folder that is already there takes in the files."""
    for child in sorted(landing.iterdir()):
        target = data_root / child.name
        if child.is_dir() and target.is_dir():
            _move_into(child, target)
        else:
            os.replace(child, target)


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _progress(name: str) -> Iterator[None]:
    """Show the bytes of each file as they come in, in place of torchvision's own bar.

    torchvision.datasets.utils opens tqdm(total=bytes, …) around each file and updates it; ours stands in for it while a
    fetch goes on. Should a later torchvision call it otherwise, its own bar is seen instead.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from torchvision.datasets import utils

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    number = count(1)

    @contextmanager
    def show_file(total: int | None = None, **_) -> Iterator[_Bytes]:
        label = f"{name}, file {next(number)}"
        if console.is_terminal:
            bar = bars.add_task(label, total=total)
            yield _Bytes(update=lambda size: bars.advance(bar, size))
        else:
            yield _Bytes(update=_lines(label, total))

    theirs = getattr(utils, "tqdm", None)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:
        utils.tqdm = show_file
        try:
            yield
        finally:
            utils.tqdm = theirs


@dataclass(frozen=True, kw_only=True)
class _Bytes:
    """What torchvision needs of a bar: update(bytes that came in)."""

    update: Callable[[int], None]


def _lines(label: str, total: int | None) -> Callable[[int], None]:
    """Print the file's size, and a line for each tenth of a file above 10 MB."""
    size_mb = "" if total is None else f"{total / 1e6:.1f} MB"
    print(f"{label}: {size_mb or 'size unknown'}", file=sys.stderr)
    done = 0

    def update(size: int) -> None:
        nonlocal done
        before, done = done, done + size
        if total is not None and total > 10_000_000 and 10 * done // total > 10 * before // total:
            print(f"{label}: {10 * (10 * done // total)} % of {size_mb}", file=sys.stderr)

    return update
