"""What is said where two schedulers of a comparison are one schedule: they applied the same rates at every step.

What this does *not* do: find them (`analysis.rows.alike` does).
"""

from collections.abc import Sequence

from analysis.page.wording import listed
from analysis.setting import Setting

SAME = "they applied the same learning rates at every step"


def why_all_equal(setting: Setting) -> str:
    """Return why all arms ended at the same values: one schedule under several names, or nothing that they change."""
    if any({*setting.arms} <= {*arms} for arms in setting.alike):
        return f"{SAME}, and so are one schedule here"
    return "this workload does not tell them apart"


def about_alike(setting: Setting, names: dict[str, str]) -> list[str]:
    """Say of some of the arms that they are one schedule; nothing where all are, which `why_all_equal` says."""
    some = [arms for arms in setting.alike if not {*setting.arms} <= {*arms}]
    return [f"{listed([names[arm] for arm in arms])} are one schedule here: {SAME}." for arms in some]


def mend(setting: Setting, names: dict[str, str]) -> list[str]:
    """Return what to do about each schedule that stands under several names, in the imperative."""
    found = []
    for arms in setting.alike if not setting.metric.is_speed else ():
        kept = setting.baseline if setting.baseline in arms else arms[0]
        others = listed([names[arm] for arm in arms if arm != kept], "and")
        them = ("it is", "its") if len(arms) == 2 else ("they are", "their")
        found.append(f"Drop {others} or change {them[1]} arguments: here {them[0]} {names[kept]} under another name.")
    return found


def caveat(compared: Sequence[Setting], names_of) -> str:
    """Say what follows from it; "" where no two arms are one schedule. `names_of(setting)` names the arms."""
    found = {listed([names_of(setting)[arm] for arm in arms]): None for setting in compared for arms in setting.alike}
    if not found:
        return ""
    which = "; ".join(found)
    return (
        f"One schedule under several names ({which}), as where a step lies beyond the last epoch: what may differ "
        "between them is run-to-run noise, and no number of seeds tells more. They are not compared with each other, "
        "and take no part of the 5%."
    )
