"""The command line in this process: quick, and with what it printed."""

import signal
import sys

import pytest

from lrbench import cli


def in_this_process(monkeypatch, capsys, folder):
    """Yield what runs `lrbench ARGUMENTS` in this process, in a folder: it returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LRBENCH_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    handler = signal.getsignal(signal.SIGINT)

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lrbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        captured = capsys.readouterr()
        return done.value.code or 0, captured.out, captured.err

    yield run
    signal.signal(signal.SIGINT, handler)


def errors_of(answer: tuple[int, str, str]) -> list[str]:
    """The errors of a command that was given bad input: exit code 2, nothing on stdout, no traceback, nothing else."""
    code, out, err = answer
    assert code == 2, err
    assert out == ""
    assert "Traceback" not in err
    assert all(line.startswith("error: ") for line in err.splitlines()), err
    return err.splitlines()
