"""C3: what torch's seeds fix, and what they leave alone. Asked of fresh processes, on the CPU and on CUDA.

What this does *not* do: train trials, but for C3e, which reads what C1 and C2 trained.
"""

from lrbench.claims.cudnn_arms import counted, flag_arms, mismatches
from lrbench.claims.deterministic import MODES, accuracy_arms, atomic_evidence, atomic_nets
from lrbench.claims.frame import Room, Verdict, claim

ASKED = "lrbench.claims.asked_seeds"
RANDOMNESS = "torch's note on reproducibility"
NUM_PROCESSES = 4
WAVE = [2**power for power in range(10, 25, 2)]


def seeded_processes(room: Room) -> dict[str, list[dict]]:
    """Return what fresh processes drew: seeded alike by torch.manual_seed, by another seed, and not at all."""
    seed = {"seeding": "torch.manual_seed", "seed": 7}
    calls = {
        "alike": [seed] * NUM_PROCESSES,
        "another seed": [{**seed, "seed": 8}],
        "unseeded": [{"seeding": "nothing", "seed": 0}],
        "cuda": [{"seeding": "torch.cuda.manual_seed", "seed": 7}],
    }
    answers = iter(room.fresh(f"{ASKED}:seeded", [call for some in calls.values() for call in some]))
    return {name: [next(answers) for _ in some] for name, some in calls.items()}


def draws(seen: dict[str, list[dict]], name: str, generator: str) -> list[str]:
    """Return what one generator gave in each process of that name."""
    return [process["draws"][generator] for process in seen[name]]


@claim(id="C3a", where="C,G", kind="E", expected="yes", source=RANDOMNESS)
def c3a(room: Room) -> Verdict:
    """torch.manual_seed alone fixes the CPU's random numbers and those of every CUDA device, in each new process."""
    return fixed_streams(room.once(seeded_processes))


def fixed_streams(seen: dict[str, list[dict]]) -> Verdict:
    """Judge C3a: equal after the same seed in every process; another seed, and none, are the controls."""
    generators = [name for name in seen["alike"][0]["draws"] if name == "cpu" or name.startswith("cuda")]
    rows, pairs = [], len(seen["alike"]) - 1
    for generator in generators:
        differ = mismatches(draws(seen, "alike", generator))
        first = draws(seen, "alike", generator)[0]
        others = [draws(seen, name, generator)[0] for name in ("another seed", "unseeded")]
        rows.append(
            {
                "what": generator,
                "num_processes": pairs + 1,
                "num_pairs": pairs,
                "num_equal": pairs - differ,
                "note": "" if first not in others else "another seed, or none, gives the same numbers",
                "holds": not differ and first not in others,
            }
        )
    broken = [row["what"] for row in rows if row["holds"] is False]
    devices = [name for name in generators if name != "cpu"]
    covered = f"CUDA devices: {len(devices)}" if devices else "CUDA devices are not covered: there is none here"
    differ = sum(row["num_pairs"] - row["num_equal"] for row in rows)
    return Verdict(
        word="refuted" if broken else "supported",
        seen=f"{counted(differ, pairs * len(rows), 'pairs of fresh processes with one seed')}; with another seed, or "
        f"none, the numbers are others; {covered}",
        evidence=tuple(rows),
    )


@claim(id="C3b", where="C,G", kind="E", expected="yes", source="torch.cuda.manual_seed's documentation")
def c3b(room: Room) -> Verdict:
    """torch.cuda.manual_seed leaves the CPU's random numbers and those of other GPUs alone."""
    return left_alone(room.once(seeded_processes))


def left_alone(seen: dict[str, list[dict]]) -> Verdict:
    """Judge C3b by which generators' states torch.cuda.manual_seed moved; torch.manual_seed is the control."""
    moved, control = seen["cuda"][0]["moved"], seen["alike"][0]["moved"]
    current = "cuda:0"
    rows = [
        {"what": name, "level": "moved" if moves else "left alone", "holds": moves is (name == current)}
        for name, moves in moved.items()
    ]
    rows.append({"what": "cpu, after torch.manual_seed", "level": "moved", "holds": control["cpu"]})
    others = [name for name in moved if name.startswith("cuda") and name != current]
    covered = f"{len(others)} other GPUs" if others else "other GPUs are not covered: it takes two here"
    if current not in moved:
        covered = "GPUs are not covered: there is none here"
    touched = [name for name, moves in moved.items() if moves]
    return Verdict(
        word="supported" if all(row["holds"] for row in rows) else "refuted",
        seen=f"it moves {', '.join(touched) or 'no generator'} and leaves "
        f"{', '.join(name for name in moved if name not in touched)} alone; {covered}",
        evidence=tuple(rows),
    )


@claim(id="C3c", where="C", kind="E", expected="yes", source=RANDOMNESS)
def c3c(room: Room) -> Verdict:
    """torch.manual_seed leaves Python's random and NumPy's global generator alone."""
    return bystanders(room.once(seeded_processes))


def bystanders(seen: dict[str, list[dict]]) -> Verdict:
    """Judge C3c: their states are not moved, and processes that torch.manual_seed seeds alike draw other numbers."""
    rows = []
    for name in ("random", "numpy"):
        moved = sum(process["moved"][name] for process in seen["alike"])
        numbers = draws(seen, "alike", name)
        rows.append(
            {
                "what": name,
                "level": "moved" if moved else "left alone",
                "num_processes": len(numbers),
                "num_distinct": len(set(numbers)),
                "holds": not moved and len(set(numbers)) == len(numbers),
            }
        )
    return Verdict(
        word="supported" if all(row["holds"] for row in rows) else "refuted",
        seen="; ".join(
            f"{row['what']} is {row['level']}, and {row['num_processes']} processes seeded alike draw "
            f"{row['num_distinct']} different numbers from it"
            for row in rows
        ),
        evidence=tuple(rows),
    )


_PLAIN = {"evaluates": False, "own_generator": False, "num_workers": 0}
_EVALUATIONS = [
    {"evaluates": True, "own_generator": own, "num_workers": num_workers}
    for own in (False, True)
    for num_workers in (0, 2)
]


@claim(
    id="C3d",
    where="C",
    kind="E",
    expected="yes: iter(DataLoader) draws a base seed even with 0 workers",
    source="torch.utils.data.dataloader",
)
def c3d(room: Room) -> Verdict:
    """An evaluation through a DataLoader without a generator of its own shifts the next random numbers of training;
    with one it does not."""
    ((plain, again, *seen),) = room.fresh(f"{ASKED}:evaluations", [{"calls": [_PLAIN, _PLAIN, *_EVALUATIONS]}])
    assert plain == again, "training without an evaluation does not repeat itself, so nothing can be told"
    return shifted(plain, seen)


def shifted(plain: dict, seen: list[dict]) -> Verdict:
    """Judge C3d: numbers and final weights after each evaluation against those of training without any."""
    rows = []
    for call, found in zip(_EVALUATIONS, seen, strict=True):
        numbers, weights = (found[what] == plain[what] for what in ("numbers", "weights"))
        rows.append(
            {
                "what": f"{call['num_workers']} workers, {'its own' if call['own_generator'] else 'no'} generator",
                "level": f"numbers {_SAME[numbers]}, weights {_SAME[weights]}",
                "bit_equal": numbers and weights,
                "holds": numbers is weights is call["own_generator"],
            }
        )
    return Verdict(
        word="supported" if all(row["holds"] for row in rows) else "refuted",
        seen="; ".join(f"{row['what']}: {row['level']}" for row in rows) + ", against training without an evaluation",
        evidence=tuple(rows),
    )


_SAME = {True: "the same", False: "others"}


@claim(id="C3e", where="G", kind="E", expected="yes", source=RANDOMNESS)
def c3e(room: Room) -> Verdict:
    """Equal seeds with nondeterministic kernels do not give equal weights."""
    trained = room.once(flag_arms)
    rows = []
    for benchmark in (False, True):
        digests = trained[(trained["cudnn_benchmark"] == benchmark) & ~trained["cudnn_deterministic"]]
        rows.append(_repeats(f"ResNet-18, benchmark={benchmark}", digests["weights_sha256"].tolist()))
    by_seed = room.once(accuracy_arms)
    differ = int((by_seed["off weights"] != by_seed["again weights"]).sum())
    pairs = len(by_seed)
    rows.append({"what": "digits", "num_pairs": pairs, "num_weights_differ": differ, "holds": differ > 0})
    for found in room.once(atomic_nets):
        if found["mode"] == "off":
            seen = atomic_evidence(found)
            rows.append({**_repeats(seen["what"], found["weights"]), "level": MODES["off"]})
    return unequal_weights(rows)


def _repeats(what: str, weights: list[str]) -> dict:
    differ = mismatches(weights)
    return {"what": what, "num_pairs": len(weights) - 1, "num_weights_differ": differ, "holds": differ > 0}


def unequal_weights(rows: list[dict]) -> Verdict:
    """Judge C3e: whether equal seeds left other weights where nothing forces the kernels to be deterministic."""
    differ, pairs = sum(row["num_weights_differ"] for row in rows), sum(row["num_pairs"] for row in rows)
    where = [f"{row['what']} {row['num_weights_differ']} of {row['num_pairs']}" for row in rows if row["holds"]]
    return Verdict(
        word="supported" if differ else "inconclusive",
        seen=f"{counted(differ, pairs, 'pairs of equal seed')}" + (f": {'; '.join(where)}" if where else ""),
        evidence=tuple(rows),
    )


@claim(id="C3f", where="C,G", kind="E", expected="yes", source="pytorch#141645")
def c3f(room: Room) -> Verdict:
    """Under torch.compile, dropout from one seed differs from eager; with fallback_random it is equal."""
    (found,) = room.fresh(f"{ASKED}:compiled_dropout", [{"device": room.device}])
    return compiled_numbers(found)


def compiled_numbers(found: dict) -> Verdict:
    """Judge C3f; eager twice and compiled twice are the controls."""
    if found["raises"]:
        return Verdict(word="not testable here", seen=f"torch.compile does not work here: {found['raises']}")
    eager = found["eager"]
    wanted = {"eager again": True, "compiled": False, "fallback_random": True}
    rows = [
        {"what": f"{how} against eager", "bit_equal": found[how] == eager, "holds": (found[how] == eager) is equal}
        for how, equal in wanted.items()
    ]
    repeats = found["compiled"] == found["compiled again"]
    rows.append({"what": "compiled, twice", "bit_equal": repeats, "holds": repeats})
    return Verdict(
        word="supported" if all(row["holds"] for row in rows) else "refuted",
        seen="; ".join(f"{row['what']}: {'equal' if row['bit_equal'] else 'not equal'}" for row in rows),
        evidence=tuple(rows),
    )


@claim(id="C3g", where="G2", kind="E", expected="yes", source="pytorch#196613")
def c3g(room: Room) -> Verdict:
    """randn from one seed on two models of GPU is equal only up to one wave of threads."""
    (found,) = room.fresh(f"{ASKED}:wave", [{"num_numbers": WAVE}])
    return equal_up_to(found)


def equal_up_to(found: list[dict]) -> Verdict:
    """Judge C3g on the first two models of GPU: equal at the shortest length, not at the longest."""
    models = {gpu["gpu"]: gpu["digests"] for gpu in found}
    if len(models) < 2:
        return Verdict(word="not testable here", seen=f"all GPUs here are of one model: {', '.join(models)}")
    (one, first), (two, second) = list(models.items())[:2]
    rows = [
        {"what": f"{one} and {two}", "level": f"{n} numbers", "bit_equal": a == b}
        for n, a, b in zip(WAVE, first, second, strict=True)
    ]
    equal = [row["bit_equal"] for row in rows]
    up_to = WAVE[equal.index(False) - 1] if False in equal and equal[0] else 0
    falls_once = equal == sorted(equal, reverse=True)
    return Verdict(
        word="supported" if equal[0] and not equal[-1] and falls_once else "refuted",
        seen=f"{one} and {two} give the same numbers up to a length of {up_to}"
        if False in equal
        else f"{one} and {two} give the same numbers at every length up to {WAVE[-1]}",
        evidence=tuple(
            {**row, "holds": row["bit_equal"] is (number < equal.count(True))} for number, row in enumerate(rows)
        ),
    )
