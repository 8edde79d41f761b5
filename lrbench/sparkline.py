"""Learning-rate schedules in the terminal: a line of blocks, the rates that matter, and when.

What this does *not* do: compute rates (`lrbench.preview`), or colour anything where NO_COLOR is set or nobody looks
(rich sees to it).
"""

import math
import sys

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = "_.:-=+*#"  # where the output cannot hold the others
WIDTH = 60
NUM_NOTABLE = 9


def sparkline(rates: list[float], width: int, log: bool, blocks: str = BLOCKS) -> str:
    """Return one line of blocks from 0 (lowest) to the largest rate, or from the smallest positive rate on a log scale.

    Rates share the width evenly: repeated where there are fewer than columns, picked at even distances where there are
    more. On a log scale a rate of 0 or less is a space.

    >>> sparkline([0.0, 0.5, 1.0], 6, log=False), sparkline([1.0, 0.1, 0.01, 0.0], 4, log=True)
    ('▁▁▅▅██', '█▅▁ ')
    """
    n = len(rates)
    columns = n * (width // n) if n <= width else width
    shown = [rates[i * n // columns] for i in range(columns)]
    top = len(blocks) - 1
    high = max(rates)
    low = min((rate for rate in rates if rate > 0), default=0.0)

    def block(rate: float) -> str:
        if log and rate <= 0:
            return " "
        if log:
            share = math.log(rate / low) / math.log(high / low) if high > low else 1.0
        else:
            share = max(rate, 0.0) / high if high > 0 else 0.0
        return blocks[min(top, int(len(blocks) * share + 1e-9))]  # a half that rounding left just below is a half

    return "".join(block(rate) for rate in shown)


def notable_epochs(rates: list[float], most: int = NUM_NOTABLE) -> list[int]:
    """Return the epochs worth a column, counted from 0: the first, the last, and each change where these are few.

    Where the rate moves all the time: its largest and smallest, and tenths and quarters of the way.

    >>> notable_epochs([0.1, 0.1, 0.01, 0.01]), notable_epochs([0.1], 5)
    ([0, 2, 3], [0])
    """
    n = len(rates)
    changes = [i for i in range(1, n) if not math.isclose(rates[i], rates[i - 1], rel_tol=1e-12)]
    if len(changes) <= most - 2:
        return sorted({0, *changes, n - 1})
    extremes = {rates.index(max(rates)), rates.index(min(rates))}
    return sorted({0, n // 10, n // 4, n // 2, 3 * n // 4, 9 * n // 10, n - 1, *extremes})[:most]


def show(schedules: list, notes: list[str]) -> None:
    """Print lrbench.preview's Schedules and the notes on standard output."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    blocks = BLOCKS if _can_write(BLOCKS) else PLAIN_BLOCKS
    width = max(10, min(WIDTH, console.width - 2))
    for schedule in schedules:
        console.print(Text(schedule.label, style="bold"))
        for index, (steps, rates) in enumerate(zip(schedule.lr, schedule.by_epoch, strict=True)):
            if len(schedule.lr) > 1:
                console.print(Text(f"  group {index}"))
            line = sparkline(steps, width, schedule.on_log_scale, blocks)
            console.print(Text(f"  {line}", style="cyan"))
            told = f"first {steps[0]:.4g}   min {min(steps):.4g}   max {max(steps):.4g}   last {steps[-1]:.4g}"
            console.print(Text(f"  {told}{'   (log scale)' if schedule.on_log_scale else ''}"))
            for row in _table(rates, console.width - 2):
                console.print(Text(f"  {row}", style="dim" if row.startswith("epoch") else ""))
        console.print()
    first = "the table's rates are those of an epoch's first optimizer step; epochs count from 0"
    for note in [first, *notes]:
        console.print(Text(f"{note}", style="dim"))


def _table(rates: list[float], width: int) -> list[str]:
    """Return two rows, epochs over their rates, as many columns as the width holds."""
    columns = [(str(epoch), f"{rates[epoch]:.4g}") for epoch in notable_epochs(rates)]
    while len(columns) > 2 and 5 + sum(2 + max(map(len, column)) for column in columns) > width:
        del columns[1:-1:2]
    rows = zip(*([cell.rjust(2 + max(map(len, column))) for cell in column] for column in columns), strict=True)
    return [name.ljust(5) + "".join(row) for name, row in zip(("epoch", "lr"), rows, strict=True)]


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
