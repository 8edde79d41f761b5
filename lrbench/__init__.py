"""Which learning-rate schedule, what do the cuDNN flags cost and buy, and is my training reproducible?

A study file goes in, one parquet row per trial comes out, a report says what the rows mean:

    import lrbench
    study = lrbench.read_study("quickstart")            # validated; every mistake at once
    lrbench.run_study(study, "results/quickstart")      # each trial in a fresh process; the same call again resumes
    rows = lrbench.load("results/quickstart")           # a pandas.DataFrame, one row per trial
    row = lrbench.run_trial(lrbench.trials(study)[0])   # one trial, one dict

Nothing here imports torch, pandas or scipy: the names below load their module when they are first used.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "InputError": "lrbench.errors",
    "Study": "lrbench.study",
    "Trial": "lrbench.study",
    "read_study": "lrbench.study",
    "trials": "lrbench.study",
    "run_study": "lrbench.runner",
    "run_trial": "lrbench.runner",
    "Watch": "lrbench.watch",
    "load": "lrbench.store",
    "compact": "lrbench.store",
}
__all__ = ["InputError", "Study", "Trial", "Watch", "compact", "load", "read_study", "run_study", "run_trial", "trials"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lrbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
