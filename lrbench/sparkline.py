"""Learning-rate schedules in the terminal: a line of blocks, the rates that matter, and when.

What this does *not* do: compute rates (`lrbench.preview`), or colour anything where NO_COLOR is set or nobody looks
(rich sees to it).
"""

import math
import sys
from itertools import pairwise

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
    """Return the epochs worth a column, counted from 0: the first, each quarter of the way, the last, and each jump.

    A jump is a change while the rate stands still before it or after it, or moves by less than a tenth of the change.
    Where there are too many of them, and where there is none, it is the largest and the smallest rate instead.

    >>> notable_epochs([0.1, 0.1, 0.01, 0.01]), notable_epochs([0.1]), notable_epochs([0.1] * 100)
    ([0, 1, 2, 3], [0], [0, 25, 50, 75, 99])
    """
    n = len(rates)
    quarters = {0, n // 4, n // 2, 3 * n // 4, n - 1}
    moves = [0.0, *(b - a if not math.isclose(a, b, rel_tol=1e-12) else 0.0 for a, b in pairwise(rates)), 0.0]
    jumps = {i for i in range(1, n) if abs(moves[i]) > 10 * max(abs(moves[i - 1]), abs(moves[i + 1]))}
    if 0 < len(jumps | quarters) - len(quarters) <= most - len(quarters):
        return sorted(quarters | jumps)
    return sorted(quarters | {rates.index(max(rates)), rates.index(min(rates))})


def show(schedules: list, notes: list[str]) -> None:
    """Print lrbench.preview's Schedules and the notes on standard output."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for schedule in schedules:
        console.print(Text(schedule.label, style="bold"))
        for line in lines_of(schedule, console.width):
            console.print(line)
        console.print()
    first = "the table's rates are those of an epoch's first optimizer step; epochs count from 0"
    for note in [first, *notes]:
        console.print(Text(f"{note}", style="dim"))


def lines_of(schedule, width: int) -> list:
    """Return a Schedule as lines of rich Text: for each group its curve, its figures and its table; then warnings."""
    from rich.text import Text

    blocks = BLOCKS if _can_write(BLOCKS) else PLAIN_BLOCKS
    columns = max(10, min(WIDTH, width - 2))
    log = schedule.on_log_scale
    lines = []
    for index, (steps, rates) in enumerate(zip(schedule.lr, schedule.by_epoch, strict=True)):
        if len(schedule.lr) > 1:
            lines.append(Text(f"  group {index}"))
        lines.append(Text(f"  {sparkline(steps, columns, log, blocks)}", style="cyan"))
        told = f"first {steps[0]:.4g}   min {min(steps):.4g}   max {max(steps):.4g}   last {steps[-1]:.4g}"
        lines.append(Text(f"  {told}{'   (log scale)' if log else ''}"))
        share = f", {100 * schedule.mean_share[index]:.3g}% of a constant base_lr" if schedule.base_lr else ""
        lines.append(Text(f"  area {schedule.area[index]:.4g} (rate times epochs){share}"))
        for row in _table(rates, width - 2):
            lines.append(Text(f"  {row}", style="dim" if row.startswith("epoch") else ""))
        if schedule.best_case:
            best = schedule.best_case[index]
            lines.append(Text(f"  best case, metric always improves: last {best[-1]:.4g}"))
            lines.append(Text(f"  {sparkline(best, columns, False, blocks)}", style="cyan"))
    return lines + [Text(f"  warning: {warning}", style="yellow") for warning in schedule.warnings]


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
