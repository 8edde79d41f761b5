"""What the tests of export share."""

from pathlib import Path

SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": 2}]


def digests(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
