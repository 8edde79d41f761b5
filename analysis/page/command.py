"""`python -m analysis.NAME DIR`: one answer by itself, in the terminal. `--out DIR` writes its figure there.

What this does *not* do: compute. It reads the rows, prints the answer's sentences, table and notes.
"""

import argparse
import os
import sys
import textwrap
from pathlib import Path

from lrbench.errors import InputError


def main(name: str, arguments: list[str] | None = None) -> int:
    """Run the command; exits with 2 where DIR holds no study."""
    parser = argparse.ArgumentParser(
        prog=f"python -m analysis.{name}",
        description=sys.modules["__main__"].__doc__,
        epilog=f"Example: python -m analysis.{name} results/quickstart --out figures",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="a results folder")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write the figure there, as SVG and PNG")
    options = parser.parse_args(arguments)
    from analysis.answers import answer, read_rows
    from analysis.page.wording import displayed
    from analysis.rows.staged import of_study
    from lrbench.store import read_study_record
    from lrbench.typed import again

    try:
        record = read_study_record(options.folder)
        record["again"] = again(record, options.folder)
        rows, strays = of_study(read_rows(options.folder, (name,)), record)
        found = answer(name, rows, record)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    lines = [found.title, "", *([textwrap.fill(strays, 100), ""] if strays else [])]
    lines += [textwrap.fill(s, 100, initial_indent="- ", subsequent_indent="  ") for s in found.sentences]
    if len(found.table):
        lines += ["", displayed(found.table).to_string(index=False, max_colwidth=60)]
    for word, texts in (("To do", found.advice), ("Not shown", found.caveats), ("Note", found.notes)):
        lines += [textwrap.fill(text, 100, initial_indent=f"\n{word}: ") for text in texts]
    if options.out:
        from analysis.figures import save

        lines += ["", *map(str, save(found.figure(), options.out, name))]
    return _print("\n".join(lines))


def _print(text: str) -> int:
    """Print, and return the exit code: a reader that has seen enough, as `| head` does, is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # what is left in the buffer is for nobody, and Python would complain of it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
