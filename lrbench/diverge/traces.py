"""Two traces of one training step, compared line by line: the first operator at which they part. No torch.

A trace is what `lrbench.trial.trace.OperatorTrace` writes. The source of a difference is the first operator with equal
inputs and unequal outputs; a difference that no operator made has come from outside. What this does *not* do: run a
trial, or decide which step to trace (`lrbench.diverge`).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from lrbench.errors import InputError
from lrbench.ulps import DTYPES, Distance, distance

GENERATOR = "generator"  # the input that is the state of the random generator that an operator draws from


@dataclass(frozen=True, kw_only=True)
class Parting:
    """What two traces say of the step that they are of.

    kind    source: an operator with equal inputs and unequal outputs
            entry: an operator's input differs, and no operator before it made the difference
            sequence: the two ran other operators, or on other shapes
            none: no operator differs
    number  of the operator in A's trace, from 1; 0 where there is none. The place is that of its forward, in the
            backward too. `arguments` are the inputs that differ ("other", "self (0.weight)").
    hidden  {operator: what a trace cannot see inside it} of all operators that either trace ran
    """

    kind: Literal["source", "entry", "sequence", "none"]
    number: int = 0
    operator: str = ""
    phase: str = ""
    module: str = ""
    line: str = ""
    arguments: tuple[str, ...] = ()
    sampled: str = ""
    sentence: str
    hidden: dict[str, str]

    @property
    def place(self) -> str:
        """Say where the operator is: phase, module and source line."""
        return _place({"phase": self.phase, "module": self.module, "line": self.line})


def compare_traces(path_a: str | Path, path_b: str | Path) -> Parting:
    """Return where two traces of one training step part. Both are read line by line, neither whole.

    Raises InputError where a file is no trace, or ends before its last line.
    """
    hidden: dict[str, str] = {}
    number, ran, parting = 0, set(), None
    for a, b in zip_longest(_operators(Path(path_a), hidden), _operators(Path(path_b), hidden)):
        if parting is None:  # once it is found, the rest is read for what is hidden in it
            number += 1
            parting = _parted(number, a, b)
            ran.add((a or b)["operator"])
    if parting is None:
        return Parting(kind="none", sentence=_nothing(number, hidden), hidden=hidden)
    unseen = [name for name, why in hidden.items() if why.startswith("communication") and name in ran]
    unseen += [name for name in hidden if name == "torch.compile"]
    if parting["kind"] == "entry" and unseen:
        parting["sentence"] += f", or from what a trace does not see: {', '.join(unseen)}"
    return Parting(**parting, hidden=hidden)


def _parted(number: int, a: dict | None, b: dict | None) -> dict | None:
    """Return how two lines part; None where they do not."""
    if a is None or b is None or _kind(a) != _kind(b):
        return _sequence(a, b, number)
    if a["inputs"] == b["inputs"] and a["outputs"] == b["outputs"]:
        return None
    arguments = (*_unequal(a["inputs"], b["inputs"]), *_unequal(a["before"], b["before"]))
    if not a["outputs"] and any(": " in argument for argument in arguments):
        return _entry(a, arguments)  # a view of another part: what it returns has no digest of its own
    if _digests(a["outputs"]) == _digests(b["outputs"]):
        return None
    return _entry(a, arguments) if arguments else _source(a, b)


def _operators(path: Path, hidden: dict[str, str]) -> Iterator[dict]:
    """Yield the operators of a trace; add what is hidden in it. Raises InputError for what is no whole trace."""
    try:
        with open(path, encoding="utf-8") as file:
            first = _parsed(file.readline())
            if first is None or "trace" not in first:
                raise InputError(f"{path} is no trace: write one with lrbench.trial.trace.OperatorTrace({path.name!r})")
            for text in file:
                line = _parsed(text)
                if line is None:
                    break
                if "end" in line:
                    hidden.update(line["hidden"])
                    return
                yield line
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no trace: it is no text") from None
    raise InputError(f"{path} ends before its last line: the traced step did not come to its end")


def _parsed(text: str) -> dict | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _kind(line: dict) -> tuple:
    """Return what has to be equal for two operators to be the same one: where, which, and on what shapes."""
    shapes = [{k: _mapped(v, _shape) for k, v in line[part].items()} for part in ("inputs", "outputs")]
    return line["operator"], line["phase"], line["module"], *shapes


def _is_tensor(text: str) -> bool:
    return "]" in text and " " in text and "[" in text.split(" ", 1)[0] and text[0] not in "[('\""


def _shape(text: str) -> str:
    """Return the type and shape of a tensor's text; of a plain argument nothing: its value may differ."""
    return text.split(" ", 1)[0] if _is_tensor(text) else ""


def _digest(text: str) -> str:
    """Return what has to be equal for two values to be: a tensor's digest, a plain argument's text."""
    return text.split(" ")[1] if _is_tensor(text) else text


def _layout(text: str) -> str:
    return next((part for part in text.split(" ")[2:3] if part.startswith("strides=")), "") if _is_tensor(text) else ""


def _mapped(value: object, function) -> object:
    return [_mapped(item, function) for item in value] if isinstance(value, list) else function(value)


def _digests(values: dict) -> dict:
    return {key: _mapped(value, _digest) for key, value in values.items()}


def _unequal(a: dict, b: dict) -> tuple[str, ...]:
    """Return the arguments whose values differ, with the parameter's name where it is one."""
    found = []
    for key in a.keys() | b.keys():
        pairs = [(a.get(key, ""), b.get(key, ""))]
        if isinstance(pairs[0][0], list) and isinstance(pairs[0][1], list):
            pairs = list(zip_longest(*pairs[0], fillvalue=""))
        for one, other in pairs:
            if _mapped(one, _digest) != _mapped(other, _digest):
                name = _name(one)
                # the state of a generator is a digest, which tells a reader nothing
                values = "" if _is_tensor(str(one)) or key == GENERATOR else f": {one} and {other}"
                found.append(f"{key} ({name})" if name else f"{key}{values}")
    return tuple(sorted(found))


def _name(text: object) -> str:
    words = str(text).split(" ")[2:] if _is_tensor(str(text)) else []
    return next((word for word in words if not word.startswith("strides=")), "")


def _where(line: dict) -> dict:
    return {
        "number": line["n"],
        **{key: line[key] for key in ("operator", "phase", "module", "line")},
    }


def _place(line: dict) -> str:
    of = f" of {line['module']}" if line["module"] else ""
    at = f" ({line['line']})" if line["line"] else ""
    return f"{line['phase']}{of}{at}"


def _source(a: dict, b: dict) -> dict:
    sampled = _sampled(a["sample"], b["sample"])
    layouts = [_mapped(list(line["inputs"].values()), _layout) for line in (a, b)]
    laid_out = "" if layouts[0] == layouts[1] else ", though laid out in another way in memory"
    sentence = f"operator {a['n']}, {a['operator']}, {_place(a)}: its inputs are equal{laid_out}, its outputs are not"
    return {"kind": "source", **_where(a), "sampled": sampled, "sentence": sentence}


def _entry(a: dict, arguments: tuple[str, ...]) -> dict:
    sentence = (
        f"operator {a['n']}, {a['operator']}, {_place(a)}, is given other inputs: {', '.join(arguments)}. No operator "
        "before it in this step made the difference: it came from before the step, or from outside torch"
    )
    return {"kind": "entry", **_where(a), "arguments": arguments, "sentence": sentence}


def _sequence(a: dict | None, b: dict | None, number: int) -> dict:
    if a is not None and b is not None and _kind(a)[:3] == _kind(b)[:3]:
        shapes = [
            f"{_mapped(list(line['inputs'].values()), _shape)} → {_mapped(list(line['outputs'].values()), _shape)}"
            for line in (a, b)
        ]
        what = f"{a['operator']}, {_place(a)}, on other shapes: {shapes[0]} and {shapes[1]}"
    else:
        ran = [f"{line['operator']}, {_place(line)}" if line is not None else "no more operators" for line in (a, b)]
        what = f"A ran {ran[0]}; B ran {ran[1]}"
    where = _where(a or b) | {"number": number}
    return {"kind": "sequence", **where, "sentence": f"the two part in what they run, at operator {number}: {what}"}


def _nothing(number: int, hidden: dict[str, str]) -> str:
    seen = f"none of the {number:,} operators that the trace sees differs"
    return f"{seen}; hidden from it: {', '.join(hidden)}" if hidden else seen


def _sampled(a: dict, b: dict) -> str:
    """Say what the evenly spaced values of the first unequal output tell; "" where none were taken."""
    for key in a.keys() & b.keys():
        pairs = list(zip(a[key]["values"], b[key]["values"], strict=True))
        differ = [abs(float.fromhex(x) - float.fromhex(y)) for x, y in pairs if x != y]
        if differ or a[key] != b[key]:
            largest = f", by at most {max(differ):.3g}" if differ else ""
            return f"{len(differ)} of {len(pairs)} sampled values differ{largest}"
    return ""


# ------------------------------------------------------------------------------------------------ outputs kept whole


def operator_to_keep(trace: Path) -> int:
    """Take the request for a new trace: the number of the operator whose outputs it is to keep whole; 0: of none."""
    request = trace.with_name(f"{trace.name}.keep")
    if not request.exists():
        return 0
    number = int(request.read_text(encoding="utf-8"))
    request.unlink()
    return number


def ask_to_keep(trace: Path, number: int) -> None:
    """Ask the next trace that is written to this file to keep the outputs of operator `number` beside it."""
    trace.with_name(f"{trace.name}.keep").write_text(f"{number}\n", encoding="utf-8")


def kept_outputs(trace: Path) -> Path:
    """Return the file in which a trace keeps the outputs that it was asked for."""
    return trace.with_name(f"{trace.name}.outputs.npz")


def kept_distance(trace_a: Path, trace_b: Path) -> Distance | None:
    """Return the distance of the first kept output that differs; None where neither output's type has one."""
    import numpy

    with numpy.load(kept_outputs(trace_a)) as a, numpy.load(kept_outputs(trace_b)) as b:
        for key in a.files:
            dtype = key.rpartition("|")[2]
            if key in b.files and dtype in DTYPES and a[key].shape == b[key].shape and (a[key] != b[key]).any():
                return distance(a[key], b[key], dtype)
    return None
