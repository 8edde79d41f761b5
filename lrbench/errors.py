"""What a user got wrong, said so that they can mend it: where, what was found, what is allowed, what to type."""

from difflib import get_close_matches


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
