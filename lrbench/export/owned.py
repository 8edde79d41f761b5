"""Which files of a folder an export wrote, so that a later one replaces these and nothing else.

`export.json` lists them with their digests. A folder without it that holds anything, and a file that was changed since,
are somebody else's. What this does *not* do: know any format.
"""

import hashlib
import json
import os
from pathlib import Path

from lrbench import __version__
from lrbench.errors import InputError

LIST = "export.json"
_ELSEWHERE = "Name another folder: --out DIR"


def check(out: Path, to: str) -> dict[str, str]:
    """Return {path in the folder: sha256} of what an earlier export to the same tool wrote; {} for a new folder.

    Raises InputError where the folder is not an export's, or a file of it was changed since.
    """
    if not out.exists():
        return {}
    if not out.is_dir():
        raise InputError(f"{out} is a file. {_ELSEWHERE}")
    path = out / LIST
    if not path.is_file():
        if any(out.iterdir()):
            raise InputError(f"{out} holds files that lrbench export did not write. {_ELSEWHERE}")
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        before, what = held["files"], held["to"]
        if not isinstance(before, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is no list of an export. {_ELSEWHERE}") from None
    if what != to:
        raise InputError(f"{out} holds an export to {what}, not to {to}. {_ELSEWHERE}")
    changed = [name for name, digest in before.items() if (out / name).is_file() and _sha256(out / name) != digest]
    if changed:
        others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(
            f"{out / changed[0]}{others} changed since it was exported. Move it away, or name another folder: --out DIR"
        )
    return before


def publish(made: Path, out: Path, to: str, before: dict[str, str], study: str) -> int:
    """Put every file of `made` into `out` in place of those of `before`; return their number.

    Raises InputError, with nothing changed, where a file of somebody else's stands at a name that is needed.
    """
    files = {path.relative_to(made).as_posix(): _sha256(path) for path in sorted(made.rglob("*")) if path.is_file()}
    foreign = [name for name in files if name not in before and (out / name).exists()]
    if foreign:
        raise InputError(f"{out / foreign[0]} was not written by lrbench export. {_ELSEWHERE}")
    out.mkdir(exist_ok=True)
    for name in before:
        (out / name).unlink(missing_ok=True)
    for folder in sorted({(out / name).parent for name in before} - {out}, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    for name in files:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(made / name, out / name)
    held = {"made_by": "lrbench export", "lrbench_version": __version__, "to": to, "study": study, "files": files}
    text = json.dumps(held, indent=1, ensure_ascii=False) + "\n"
    (out / LIST).write_text(text, encoding="utf-8")
    return len(files)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
