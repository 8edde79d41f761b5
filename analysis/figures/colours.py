"""One colour for each scheduler, the same in every figure, and the inks that all figures are drawn with.

Nine hues, chosen by search so that any two differ for readers with normal sight and with each of the three kinds of
colour blindness, and so that each stands out at 3:1 or more from white paper and from the dark page alike (WCAG 2.2,
1.4.11; the tests compute both). Torch has more classes than that: a class that shares a hue has another marker and a
dashed line. What this does *not* do: draw; and no figure tells anything by colour alone, names stand beside.
"""

import re
from collections.abc import Iterable
from hashlib import sha256

INK, QUIET, FAINT, DOTS, GRID, SHADE = "#1f2328", "#6b7280", "#d5d9df", "#9aa3af", "#eceff3", "#eef0f4"
# the inks on a dark page, where figures are drawn on nothing
DARK = {
    INK: "#e4e8ec",
    QUIET: "#9ba6b2",
    FAINT: "#3a434c",
    DOTS: "#6c7783",
    GRID: "#232a31",
    SHADE: "#1d2329",
    "#ffffff": "#11151a",
    "#000000": "#e4e8ec",
}
GREY, BLUE, VERMILLION, GREEN, CRIMSON, PLUM, OLIVE, LAVENDER, BROWN = HUES = (
    "#7a8089",
    "#296ec3",
    "#df500c",
    "#2ea55c",
    "#bb365c",
    "#8a5089",
    "#9d953d",
    "#b274f6",
    "#9b532a",
)
# (hue, marker, dashes) of torch's classes; the baseline is grey, and what is much used has a hue's plain form
_LOOKS = {
    "ConstantLR": (GREY, "o", ()),
    "CosineAnnealingLR": (BLUE, "o", ()),
    "StepLR": (VERMILLION, "o", ()),
    "ExponentialLR": (GREEN, "o", ()),
    "MultiStepLR": (OLIVE, "o", ()),
    "ReduceLROnPlateau": (LAVENDER, "o", ()),
    "OneCycleLR": (CRIMSON, "o", ()),
    "LinearLR": (BROWN, "o", ()),
    "PolynomialLR": (PLUM, "o", ()),
    "CosineAnnealingWarmRestarts": (BLUE, "D", (4, 2)),
    "CyclicLR": (CRIMSON, "D", (4, 2)),
    "MultiplicativeLR": (GREEN, "D", (4, 2)),
    "LambdaLR": (PLUM, "D", (4, 2)),
    "SequentialLR": (BROWN, "D", (4, 2)),
    "ChainedScheduler": (OLIVE, "D", (4, 2)),
}
_OTHERS = (("s", (1, 1.5)), ("^", (6, 1.5, 1, 1.5)), ("v", (3, 1)))
_SCHEDULER = re.compile(r"[A-Za-z_]*(?:LR|LROnPlateau|WarmRestarts|Scheduler)\b")
# of several arms of one class: this share of the way to white (above 0) or black (below)
_SHADES = (0.0, 0.35, -0.35, 0.18, -0.18)


def is_scheduler(text: str) -> bool:
    """Return whether a text is a scheduler's class or call.

    >>> is_scheduler("StepLR(step_size=3)"), is_scheduler("cudnn_benchmark=True")
    (True, False)
    """
    return bool(_SCHEDULER.match(text))


def colour_of(scheduler: str) -> str:
    """Return the colour of a scheduler, by its class; "#rrggbb". A class unknown to torch has one by its name's hash.

    >>> colour_of("ConstantLR") == colour_of("ConstantLR(factor=1.0)") == GREY, colour_of("REXLR") in HUES
    (True, True)
    """
    return _look(scheduler)[0]


def marker_of(scheduler: str) -> str:
    """Return the marker of a scheduler's class: "o" unless another class has the same hue.

    >>> marker_of("CosineAnnealingLR"), marker_of("CosineAnnealingWarmRestarts(T_0=5)")
    ('o', 'D')
    """
    return _look(scheduler)[1]


def line_of(scheduler: str):
    """Return the line of a scheduler's class, as matplotlib's `linestyle`: solid unless another has the same hue.

    >>> line_of("CosineAnnealingLR"), line_of("CosineAnnealingWarmRestarts")
    ('-', (0, (4, 2)))
    """
    dashes = _look(scheduler)[2]
    return (0, dashes) if dashes else "-"


def colours_of(arms: Iterable[str], other: str = BLUE) -> dict[str, str]:
    """Return a colour for each arm: its class's, of several arms of one class in shades; `other` for what is no arm.

    >>> len(set(colours_of(["StepLR(step_size=1)", "StepLR(step_size=2)"]).values())), colours_of(["off"])
    (2, {'off': '#296ec3'})
    """
    found: dict[str, str] = {}
    seen: dict[str, int] = {}
    for arm in dict.fromkeys(arms):
        if not is_scheduler(arm):
            found[arm] = other
            continue
        name = _class(arm)
        index = seen[name] = seen.get(name, -1) + 1
        found[arm] = _shaded(colour_of(arm), _SHADES[index % len(_SHADES)])
    return found


def _class(scheduler: str) -> str:
    return re.split(r"[(\s]", scheduler.strip(), maxsplit=1)[0]


def _look(scheduler: str) -> tuple[str, str, tuple]:
    name = _class(scheduler)
    if name in _LOOKS:
        return _LOOKS[name]
    number = sha256(name.encode()).digest()  # not hash(): that is another in each process
    marker, dashes = _OTHERS[number[1] % len(_OTHERS)]
    return HUES[1 + number[0] % (len(HUES) - 1)], marker, dashes  # grey is the baseline's alone


def _shaded(colour: str, share: float) -> str:
    """Return a colour mixed with white (share above 0) or black (below)."""
    end = 255 if share > 0 else 0
    values = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(value + abs(share) * (end - value)):02x}" for value in values)
