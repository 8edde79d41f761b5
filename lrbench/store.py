"""A study's folder: commit a row, scan, compact, lock, read into pandas. No torch here.

    DIR/study.json                          the resolved study, the place it was begun at, how many trials it has
    DIR/lock                                held by the one runner that writes
    DIR/trials/part-000000-000002.parquet   rows at rest; the numbers are those of the journals that it holds
    DIR/trials/journal-000003.jsonl         rows since then, one line each, on the disk before commit returns

A row is in the folder whole or not at all. A part appears by rename, under a name that says which journals it holds;
a journal or part whose numbers lie within another part's is left over from an interrupted fold, and is ignored. So a
process killed at any instant leaves a folder that reads right. What this does *not* do: decide what to run.
"""

import fcntl
import json
import os
import re
import shlex
import socket
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lrbench.errors import InputError, StoreError
from lrbench.record import CATEGORICAL, FLAT, NAMES, NESTED, arrow_schema, check_row

FOLD_ROWS = 1_000
FOLD_BYTES = 16 * 2**20  # a journal's nested columns are read back line by line: keep that short
TIER = 8
LARGE_BYTES = 10 * 2**20  # of rows: reading, comparing and exporting them takes more than two seconds
_PART = re.compile(r"part-(\d{6})-(\d{6})\.parquet")
_JOURNAL = re.compile(r"journal-(\d{6})\.jsonl")


# ------------------------------------------------------------------------------------------------------------ reading


def _listing(folder: Path) -> tuple[list[tuple[int, int, Path]], list[tuple[int, Path]]]:
    """Return the parts [(first, last journal, path)] and the journals [(number, path)] that hold the rows, in order.

    What a larger part holds too is left out. A folder that is listed while its writer renames may show neither the old
    name nor the new one, so it is listed until two lists agree.
    """
    trials = folder / "trials"
    if not trials.is_dir():
        return [], []
    names, again = None, sorted(os.listdir(trials))
    while names != again:
        names, again = again, sorted(os.listdir(trials))
    found = [(int(m[1]), int(m[2]), trials / name) for name in names if (m := _PART.fullmatch(name))]
    parts: list[tuple[int, int, Path]] = []
    for part in sorted(found, key=lambda part: (part[0], -part[1])):  # of two that begin together, the wider first
        if not parts or part[0] > parts[-1][1]:
            parts.append(part)
    journals = [(int(m[1]), trials / name) for name in names if (m := _JOURNAL.fullmatch(name))]
    return parts, [(n, path) for n, path in journals if not any(first <= n <= last for first, last, _ in parts)]


def _journal_rows(path: Path, nested: bool) -> Iterator[dict[str, Any]]:
    """Rows of a journal. A line that was cut off by a crash (no newline, or another checksum) is not a row."""
    for flat, deep in _journal_lines(path):
        if flat:
            yield {**json.loads(flat), **(json.loads(deep) if nested else {})}


def _journal_lines(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """The flat and the deep columns of each whole line, as bytes; both are empty where the checksum does not hold."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:  # folded by its writer between our listing and now; its part is read on the next try
        raise _Moved from None
    for line in lines:
        flat, _, rest = line.partition(b"\t")
        deep, _, checksum = rest.partition(b"\t")
        holds = checksum.decode("ascii", "replace") == f"{zlib.crc32(flat + deep):08x}"
        yield (flat, deep) if holds else (b"", b"")


def damages(folder: Path) -> list[str]:
    """Return a sentence for each journal with lines that were damaged after they were written. Takes no lock.

    A last line whose checksum does not hold is none: a crash cut it off before its row was committed.
    """

    def read():
        found = []
        for _, path in _listing(folder)[1]:
            whole = [bool(flat) for flat, _ in _journal_lines(path)]
            if lines := [number for number, good in enumerate(whole[:-1], 1) if not good]:
                found.append(
                    f"{path}: damaged after it was written in line {', '.join(map(str, lines))}; what stood there is "
                    "no row any more, and its trial runs again"
                )
        return found

    return _steady(read)


class _Moved(Exception):
    """The writer renamed a file while we were reading."""


def _steady(read):
    """Read again when the folder's writer folded files while we were reading: a reader takes no lock."""
    for _ in range(20):
        try:
            return read()
        except (_Moved, FileNotFoundError):
            time.sleep(0.01)
    return read()


def _read_part(path: Path, columns: list[str], dictionaries: list[str] = ()):
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            metadata = file.metadata
        encoded = [name for name in dictionaries if name in present]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=encoded, memory_map=True) as file:
            table = file.read(columns=present, use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise InputError(
            f"{path.resolve()} cannot be read ({error}). It was damaged after it was written: restore it from a copy, "
            "or delete it and run the study again, which repeats the trials that were in it"
        ) from None
    schema = arrow_schema(columns)
    for index, name in enumerate(columns):  # a part from before a column was added reads as null
        if name not in present:
            nulls = pa.nulls(len(table), schema.field(name).type)
            table = table.add_column(index, name, nulls.dictionary_encode() if name in dictionaries else nulls)
    return table.select(columns)


def scan(folder: Path) -> dict[str, tuple[str, int]]:
    """Return {trial_id: (status, attempt)} of the last attempt at each trial that has a row. Takes no lock."""

    def read():
        seen: dict[str, tuple[str, int]] = {}
        parts, journals = _listing(folder)
        for _, _, path in parts:
            table = _read_part(path, ["trial_id", "status", "attempt"])
            columns = [table.column(name).to_pylist() for name in ("trial_id", "status", "attempt")]
            seen.update((trial_id, (status, attempt)) for trial_id, status, attempt in zip(*columns, strict=True))
        for _, path in journals:
            seen.update((row["trial_id"], (row["status"], row["attempt"])) for row in _journal_rows(path, nested=False))
        return seen

    return _steady(read)


def load(folder: str | Path, columns: Iterable[str] | None = None):
    """Return the folder's trials as a pandas.DataFrame, one row per trial, the last attempt at each.

    By default every flat column; name columns to have fewer, or the nested ones (lists; see results/README.md).
    Factors and other texts with few values are categoricals. Rows stand in the planned order of the study. A folder
    that is being written, or was left by a killed run, reads as what had been committed. Raises InputError where DIR
    holds no study, where a column is unknown and where a file is damaged.
    """
    import pyarrow as pa

    folder = require_study(folder)
    names = list(FLAT if columns is None else columns)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        from lrbench.errors import did_you_mean

        raise InputError(*(f"no column is called {name!r}.{did_you_mean(name, NAMES)}" for name in unknown))
    wanted = list(dict.fromkeys([*names, "trial_id", "position"]))
    nested = any(name in NESTED for name in wanted)

    def read():
        parts, journals = _listing(folder)
        tables = [_read_part(path, wanted, [n for n in wanted if n in CATEGORICAL]) for _, _, path in parts]
        rows = [row for _, path in journals for row in _journal_rows(path, nested)]
        if rows or not tables:
            schema = arrow_schema(wanted)
            table = pa.Table.from_pylist([{name: row.get(name) for name in wanted} for row in rows], schema=schema)
            tables.append(_with_dictionaries(table))
        return pa.concat_tables(tables).unify_dictionaries()

    frame = _steady(read).to_pandas(self_destruct=True)
    if not frame["trial_id"].is_unique:
        frame = frame.drop_duplicates("trial_id", keep="last")
    if not frame["position"].is_monotonic_increasing:
        frame = frame.sort_values("position", kind="stable")
    return frame[names].reset_index(drop=True)


def _with_dictionaries(table):
    for index, name in enumerate(table.column_names):
        if name in CATEGORICAL:
            table = table.set_column(index, name, table.column(name).dictionary_encode())
    return table


def require_study(folder: str | Path) -> Path:
    """Return the folder as a Path if it holds a study; else raise InputError that says what to type."""
    folder = Path(folder)
    if (folder / "study.json").is_file():
        return folder
    if folder.is_file():
        study = (folder.parent / "study.json").is_file()
        raise InputError(f"{folder} is a file; name the folder of a study{f': {folder.parent}' if study else ''}")
    what = "holds no study (no study.json)" if folder.is_dir() else "does not exist"
    inside = sorted(str(path.parent) for path in folder.glob("*/study.json"))
    if inside:
        more = f" and {len(inside) - 5} more" if len(inside) > 5 else ""
        raise InputError(f"{folder} {what}. It has studies in it; name one: {', '.join(inside[:5])}{more}")
    if (folder / "lock").is_file():  # study.json is written when the run has checked that it can train
        raise InputError(f"{folder} holds no study yet: a run has begun in it, and has trained nothing. Try again soon")
    raise InputError(f"{folder} {what}. Write one: lrbench run quickstart --out {shlex.quote(str(folder))}")


def is_large(folder: str | Path) -> bool:
    """Return whether reading all rows of a study takes seconds, so that a command should say what it is at."""
    return sum(path.stat().st_size for path in (Path(folder) / "trials").glob("*")) > LARGE_BYTES


def read_study_record(folder: str | Path) -> dict:
    """Return DIR/study.json: {"study": …, "places": […], "num_trials": …, "schema_version": …}."""
    path = require_study(folder) / "study.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or [type(record.get(key)) for key in ("study", "places")] != [dict, list]:
            raise ValueError("it is no record of a study")
        return record
    except ValueError as error:  # torn JSON and bytes that are no text are ValueErrors too
        raise InputError(f"{path} is damaged: {error}. Restore it, or delete it and name the study again") from None


def write_study_record(folder: Path, record: dict) -> None:
    _replace(folder / "study.json", (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())


# ------------------------------------------------------------------------------------------------------------ writing


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, or raise InputError that names the holder. The kernel frees a dead holder's lock.

    A folder that is made here, and holds no study when the lock is let go, is taken away again.
    """
    try:
        made = [path for path in (folder / "trials", folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "trials").mkdir(exist_ok=True)
        file = open(folder / "lock", "a+")  # noqa: SIM115 (closed below; the error is told apart here)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}. Name another folder: --out DIR") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(
                f"{folder} is being written by another runner ({file.read().strip() or 'unknown'}). "
                "Wait for it, stop it, or name another folder: --out DIR"
            ) from None
        except OSError as error:
            raise InputError(
                f"{folder} cannot be locked: {error.strerror}. Name a folder on another file system: --out DIR"
            ) from None
        file.truncate(0)
        with suppress(OSError):  # the lock is held whether or not a full disk lets us say by whom
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}\n")
            file.flush()
        try:
            yield
        finally:
            if made and not (folder / "study.json").exists():
                (folder / "lock").unlink(missing_ok=True)
                with suppress(OSError):  # the first that is not empty: somebody has put something there
                    for path in made:
                        path.rmdir()


class Writer:
    """The one writer of a folder. Use within `locked(folder)`."""

    def __init__(self, folder: Path):
        self.folder = folder
        for stray in folder.glob("trials/.*.tmp"):
            stray.unlink()
        parts, journals = _listing(folder)
        live = {path for *_, path in [*parts, *journals]}
        for pattern in (_PART, _JOURNAL):
            for path in [*(folder / "trials").iterdir()]:
                if pattern.fullmatch(path.name) and path not in live:
                    path.unlink()
        self._number = max([n for n, _ in journals] + [last + 1 for _, last, _ in parts], default=0)
        try:
            for number, path in journals:  # an earlier run's rows: give them a place at rest, then start afresh
                self._fold(number, list(_journal_rows(path, nested=True)))
                self._number = number + 1
        except OSError as error:
            raise self._cannot_write(error) from error
        self._file = None
        self._rows: list[dict] = []
        self._num_bytes = 0
        self._merge_tiers()  # runs that were cut off leave a part each

    def commit(self, row: dict[str, Any]) -> None:
        """Write one row; it is on the disk when this returns.

        Raises StoreError when it cannot be (a full disk, say): the folder then holds what it held before.
        """
        row = check_row(row)
        flat = json.dumps({k: v for k, v in row.items() if k not in _NESTED and v is not None}).encode()
        deep = json.dumps({k: row[k] for k in NESTED if row[k] is not None}, separators=(",", ":")).encode()
        line = b"\t".join([flat, deep, f"{zlib.crc32(flat + deep):08x}".encode()]) + b"\n"
        try:
            if self._file is None:
                self._file = open(self._path(self._number), "ab", buffering=0)  # noqa: SIM115 (lives with us)
                _sync_folder(self.folder / "trials")
            _write_all(self._file.fileno(), line)
            os.fsync(self._file.fileno())
        except OSError as error:
            if self._file is not None:
                os.ftruncate(self._file.fileno(), self._num_bytes)
            raise self._cannot_write(error) from error
        self._rows.append(row)
        self._num_bytes += len(line)
        if len(self._rows) >= FOLD_ROWS or self._num_bytes >= FOLD_BYTES:
            self.fold()

    def fold(self) -> None:
        """Move the journal's rows into a parquet part. A crash in between loses nothing."""
        if not self._rows:
            return
        try:
            self._fold(self._number, self._rows)
        except OSError as error:
            raise self._cannot_write(error) from error
        self._file.close()
        self._file, self._rows, self._num_bytes = None, [], 0
        self._number += 1
        self._merge_tiers()

    def compact(self) -> None:
        """Fold the journal and merge all parts into one file."""
        self.fold()
        self._merge(_listing(self.folder)[0])

    def _merge_tiers(self) -> None:
        """Merge eight neighbours of one width into one part, eight of those again, and so on.

        A reader pays for each part, so their number has to stay small at every moment of a long run: below 8 for each
        power of 8. A row is rewritten once for each power.
        """
        while True:
            parts, _ = _listing(self.folder)
            widths = [last - first for first, last, _ in parts]
            if len(parts) < TIER or len(set(widths[-TIER:])) > 1:
                return
            self._merge(parts[-TIER:])

    def _merge(self, parts: list[tuple[int, int, Path]]) -> None:
        import pyarrow.parquet as pq

        if len(parts) < 2:
            return
        target = self.folder / "trials" / f"part-{parts[0][0]:06d}-{parts[-1][1]:06d}.parquet"
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            with pq.ParquetWriter(temporary, arrow_schema(), **_PARQUET) as writer:
                for _, _, path in parts:
                    writer.write_table(_read_part(path, NAMES))
            _publish(temporary, target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._cannot_write(error) from error
        for _, _, path in parts:
            path.unlink()

    def close(self) -> None:
        """Fold what the journal holds. Without it nothing is lost: the next writer does it."""
        self.fold()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_) -> None:
        """Let go of the journal as it is, whatever has happened: it is on the disk, and the next writer folds it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _path(self, number: int) -> Path:
        return self.folder / "trials" / f"journal-{number:06d}.jsonl"

    def _fold(self, number: int, rows: list[dict]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if rows:
            target = self.folder / "trials" / f"part-{number:06d}-{number:06d}.parquet"
            temporary = target.with_name(f".{target.name}.tmp")
            table = pa.Table.from_pylist(rows, schema=arrow_schema())
            try:
                pq.write_table(table, temporary, **_PARQUET)
                _publish(temporary, target)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
        self._path(number).unlink(missing_ok=True)

    def _cannot_write(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.folder} cannot be written: {error.strerror or error}. Every row committed before is safe there. "
            "Free some space and type the same command again: it goes on from here"
        )


_NESTED = frozenset(NESTED)
# a dictionary of floats that are all different makes a folder of 200 trials half as large again
_PARQUET = {"compression": "zstd", "use_dictionary": FLAT}


def compact(folder: str | Path) -> None:
    """Merge everything in the folder into one parquet file. Raises InputError while a runner holds the folder."""
    folder = require_study(folder)
    with locked(folder):
        Writer(folder).compact()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(data)
        _publish(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error


def _publish(temporary: Path, target: Path) -> None:
    """Put a finished file in its place: its bytes are on the disk before its name is."""
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
