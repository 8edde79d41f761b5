"""V1 to V3 and V12 to V15: when cuDNN looks for a plan anew, and which one it then runs. On one CUDA GPU.

There is no public way to ask for a plan: the names of the kernels of a step stand for it, and a first call that runs
more kernels than a later one was a search. Each network here has a width of its own, so that no two share a plan. What
this does *not* do: say why cuDNN prefers a plan.
"""

from itertools import count
from math import log

from lrbench.claims.cudnn_arms import ASKED, interval_columns, kernels_apart
from lrbench.claims.effects import different, findable, ratio_of
from lrbench.claims.frame import Room, Verdict, claim
from lrbench.claims.nets import convolution_net

SOURCE = "torch's Conv_v8.cpp: the key of its plan cache holds no `benchmark`, and the cache is the thread's"
_KERNEL_SIZES = (1, 3, 5, 7)
SMALL = {"image_size": 32, "batch_size": 32}  # of the images that all of this looks at
LAST_BATCH = 19
_OFF, _ON = {"cudnn_benchmark": False}, {"cudnn_benchmark": True}
# what is set before each look at a network; see asked_kernels.sequences
SEQUENCES = {
    "benchmark": [_OFF, _ON],
    "benchmark back": [_ON, _OFF],
    "deterministic": [
        {**_ON, "cudnn_deterministic": False},
        {"cudnn_deterministic": True},
        {"cudnn_deterministic": False},
    ],
    "thread": [{**_ON, "cudnn_deterministic": False}, {}, {"thread": True}],
    "layout": [{**_OFF, "cudnn_deterministic": False}, {"channels_last": True}],
    "last batch": [{**_ON, "cudnn_deterministic": False}, {}, {"batch_size": LAST_BATCH}],
}
LITTLE_MEMORY_MIB = 256


def nets_of(name: str) -> list[dict]:
    """Return one network for each size of kernel, of widths that no other sequence has."""
    widths = count(64 + 8 * len(_KERNEL_SIZES) * list(SEQUENCES).index(name), 8)
    return [convolution_net(size, channels=next(widths), **SMALL) for size in _KERNEL_SIZES]


def _asked(name: str, settings: list[dict]) -> list[dict]:
    passes = "forward" if name == "thread" else "training"  # autograd runs every backward in one thread of its own
    return [{"net": net, "settings": settings, "passes": passes} for net in nets_of(name)]


def toggled(room: Room) -> dict[str, list[dict]]:
    """Return what was seen under each name of SEQUENCES, all in one process; "fresh" is `benchmark` on from the start,
    in another process, and "little memory" the same with the GPU nearly full."""
    whole = [one for name, settings in SEQUENCES.items() for one in _asked(name, settings)]
    fresh = _asked("benchmark", [_ON])
    flags = {"device": room.device, "flags": {}}
    calls = [{"asked": whole}, {"asked": fresh}, {"asked": fresh, "spare_mib": LITTLE_MEMORY_MIB}]
    seen, *fresh = room.fresh(f"{ASKED}:sequences", [{**flags, **call} for call in calls])
    names = [name for name in SEQUENCES for _ in _KERNEL_SIZES]
    found: dict[str, list[dict]] = {name: [] for name in SEQUENCES}
    for name, one, looks in zip(names, whole, seen, strict=True):
        found[name].append({"what": one["net"]["what"], "looks": looks})
    for name, processes in zip(("fresh", "little memory"), fresh, strict=True):
        whats = [net["what"] for net in nets_of("benchmark")]
        found[name] = [{"what": what, "looks": looks} for what, looks in zip(whats, processes, strict=True)]
    return found


def searched(look: dict) -> bool:
    """Return whether the first call after a setting ran more kernels than a later one."""
    return look["num_kernels_first"] > look["num_kernels"]


def same_kernels(*looks: dict) -> bool:
    """Return whether steps ran the same kernels, equally often."""
    return len({look["kernel_fingerprint"] for look in looks}) == 1


def _row(what: str, looks: list[dict], level: str, holds: bool) -> dict:
    """Return evidence on the last of several looks at one network."""
    return {
        "what": what,
        "level": level,
        "num_plans": len({look["kernel_fingerprint"] for look in looks}),
        "num_kernels_first": looks[-1]["num_kernels_first"],
        "num_kernels": looks[-1]["num_kernels"],
        "kernels": kernels_apart([look["kernel_names"] for look in looks]),
        "holds": holds,
    }


def _no_kernels(seen: dict[str, list[dict]]) -> bool:
    return not any(look["num_kernels"] for rows in seen.values() for row in rows for look in row["looks"])


_NOTHING = "the profiler saw no kernels of the device, so nothing can be told of plans"


def _judged(seen: dict[str, list[dict]], rows: list[dict], told: str, word: str) -> Verdict:
    """Return a verdict, or none where the profiler saw no kernels at all."""
    blind = _no_kernels(seen)
    return Verdict(word="inconclusive" if blind else word, seen=_NOTHING if blind else told, evidence=tuple(rows))


@claim(id="V1", where="G", kind="P", expected="yes: the reason for one process per trial", source=SOURCE)
def v1(room: Room) -> Verdict:
    """Switching cudnn.benchmark on (or off) after a convolution's first call keeps its kernels; in a fresh process
    they may be others."""
    return kept_plans(room.once(toggled))


def kept_plans(seen: dict[str, list[dict]]) -> Verdict:
    """Judge V1: no search and the same kernels after the switch, while a fresh process shows that others exist."""
    rows = []
    for name, level in (("benchmark", "False, then True"), ("benchmark back", "True, then False")):
        for row in seen[name]:
            before, after = row["looks"]
            rows.append(_row(row["what"], [before, after], level, same_kernels(before, after) and not searched(after)))
    others = 0
    for row, fresh in zip(seen["benchmark"], seen["fresh"], strict=True):
        before, new = row["looks"][0], fresh["looks"][0]
        rows.append(_row(row["what"], [before, new], "False against True, fresh", searched(new)))
        others += not same_kernels(before, new)
    kept = sum(row["holds"] for row in rows if "then" in row["level"])
    tried = sum("then" in row["level"] for row in rows)
    would = sum(row["holds"] for row in rows if "fresh" in row["level"])
    word = "supported" if kept == tried and would else "refuted" if kept < tried else "inconclusive"
    told = (
        f"{kept} of {tried} switches in one process ran the same kernels without a search; in a fresh process "
        f"benchmark=True searched for {would} of {len(seen['fresh'])} networks and ran other kernels for {others}"
    )
    return _judged(seen, rows, told, word)


@claim(id="V2", where="G", kind="P", expected="yes: it is part of the key", source=SOURCE)
def v2(room: Room) -> Verdict:
    """Switching cudnn.deterministic makes a new plan; switching back restores the first without a search."""
    return remade_plans(room.once(toggled))


def remade_plans(seen: dict[str, list[dict]]) -> Verdict:
    """Judge V2, under cudnn.benchmark, where a new plan shows as a search."""
    rows = []
    for row in seen["deterministic"]:
        off, on, back = row["looks"]
        rows.append(_row(row["what"], [off, on], "True", searched(on)))
        rows.append(_row(row["what"], [off, back], "back to False", not searched(back) and same_kernels(off, back)))
    held = sum(row["holds"] for row in rows)
    others = sum(row["num_plans"] > 1 for row in rows if row["level"] == "True")
    told = f"{held} of {len(rows)} switches as stated; deterministic=True ran other kernels for {others} networks"
    return _judged(seen, rows, told, "supported" if held == len(rows) else "refuted")


@claim(id="V3", where="G", kind="P", expected="yes", source=SOURCE)
def v3(room: Room) -> Verdict:
    """The same forward in another thread searches again."""
    return searched_at(room.once(toggled), "thread", "in another thread")


@claim(id="V15", where="G", kind="P", expected="yes", source=SOURCE)
def v15(room: Room) -> Verdict:
    """drop_last=False adds a shape, the last batch's, and so a second search under cudnn.benchmark."""
    return searched_at(room.once(toggled), "last batch", f"at the last batch, of {LAST_BATCH} images")


def searched_at(seen: dict[str, list[dict]], name: str, when: str) -> Verdict:
    """Judge "the third look searches again"; the second, of the same thing, is the control and must not."""
    rows = []
    for row in seen[name]:
        _, again, third = row["looks"]
        rows.append(_row(row["what"], [again, third], when, searched(third)))
        rows.append(_row(row["what"], [again], "the same call again", not searched(again)))
    third = [row for row in rows if row["level"] == when]
    control = all(row["holds"] for row in rows if row["level"] != when)
    num = sum(row["holds"] for row in third)
    word = "supported" if num == len(third) else "refuted"
    told = f"{num} of {len(third)} networks search again {when}" + ("" if control else "; but so does the same call")
    return _judged(seen, rows, told, word if control else "inconclusive")


@claim(id="V14", where="G", kind="P", expected="yes", source="torch's channels_last tutorial")
def v14(room: Room) -> Verdict:
    """channels_last runs other kernels than contiguous and gives other digests."""
    return other_layout(room.once(toggled))


def other_layout(seen: dict[str, list[dict]]) -> Verdict:
    """Judge V14: kernels and gradients of one network in both memory formats."""
    rows = []
    for row in seen["layout"]:
        plain, last = row["looks"]
        other = plain["digest"] != last["digest"]
        rows.append(_row(row["what"], [plain, last], "channels_last", other and not same_kernels(plain, last)))
        rows[-1] |= {"bit_equal": not other}
    plans, bits = sum(row["num_plans"] > 1 for row in rows), sum(not row["bit_equal"] for row in rows)
    told = f"of {len(rows)} networks {plans} run other kernels and {bits} give other gradients"
    return _judged(seen, rows, told, "supported" if all(row["holds"] for row in rows) else "refuted")


@claim(id="V13", where="G", kind="P", expected="possible (plans are filtered by workspace)", source=SOURCE)
def v13(room: Room) -> Verdict:
    """Little free GPU memory at the first convolution changes the plan that cudnn.benchmark chooses."""
    return little_memory(room.once(toggled))


def little_memory(seen: dict[str, list[dict]]) -> Verdict:
    """Judge V13: the same networks in two fresh processes, one with the GPU nearly full."""
    rows, fit = [], 0
    for free, full in zip(seen["fresh"], seen["little memory"], strict=True):
        if full["looks"]:
            fit += 1
            looks = [free["looks"][0], full["looks"][0]]
            rows.append(_row(free["what"], looks, f"{LITTLE_MEMORY_MIB} MiB free", not same_kernels(*looks)))
    changed = sum(row["holds"] for row in rows)
    told = (
        f"with {LITTLE_MEMORY_MIB} MiB left {fit} of {len(seen['fresh'])} networks fit, and {changed} of them run "
        "other kernels; one process each, so the search's own chance is not told apart (see C1d)"
    )
    return _judged(seen, rows, told, "supported" if changed else "inconclusive")


LIMITS = (10, 1, 0)  # torch's default first; 0 tries all


@claim(id="V12", where="G", kind="S", expected="open", source="torch.backends.cudnn.benchmark_limit")
def v12(room: Room) -> Verdict:
    """cudnn.benchmark_limit 1, 10 or 0 (no limit) changes the time of the search."""
    nets = [net for name in ("benchmark", "benchmark back") for net in nets_of(name)]
    calls = [{"device": room.device, "flags": {}, "nets": nets, "benchmark_limit": limit} for limit in LIMITS]
    return search_times(dict(zip(LIMITS, room.fresh(f"{ASKED}:searched", calls), strict=True)))


def search_times(seen: dict[int, list[dict]]) -> Verdict:
    """Judge V12: seconds of the first step at each limit over those at the default, network by network."""
    ratios, rows = {}, []
    for limit in LIMITS[1:]:
        pairs = list(zip(seen[limit], seen[LIMITS[0]], strict=True))
        ratios[limit] = ratio_of([log(one["first_seconds"] / default["first_seconds"]) for one, default in pairs])
        others = sum(not same_kernels(one, default) for one, default in pairs)
        row = {"what": "first step, time at this limit / at 10", "level": str(limit), **interval_columns(ratios[limit])}
        rows.append({**row, "p": ratios[limit].p, "num_plans": 1 + others, "num_tried": len(pairs)})
    stands = different([ratio.p for ratio in ratios.values()])
    told = "; ".join(
        f"limit {row['level']}: {ratios[int(row['level'])]} times the first step at 10, other kernels for "
        f"{row['num_plans'] - 1} of {row['num_tried']} networks"
        for row in rows
    )
    return Verdict(
        word="supported" if any(stands) else "inconclusive",
        seen=told + ("" if any(stands) else f"; {findable(ratios.values())}"),
        evidence=tuple({**row, "holds": stand} for row, stand in zip(rows, stands, strict=True)),
    )
