"""What the tests of preview share."""

from lrbench.preview import preview_command

STEPLR = "StepLR(step_size=30, gamma=0.1)"


def preview(capsys, *schedules, **options) -> str:
    """What preview_command prints on standard output."""
    given = {"lr": None, "epochs": None, "steps_per_epoch": 100, "interval": "epoch", "warmup": None, "out": None}
    preview_command(list(schedules), **{**given, "as_json": False, **options})
    return capsys.readouterr().out
