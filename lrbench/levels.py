"""How one level of a factor is checked: schedulers, optimizers, warm-ups, workloads, and what is said of a bad one.

A level is what a study file may hold: a table, or a call in torch's own words. Each check returns it as plain JSON or
raises Problems with everything that is wrong with it. What this does *not* do: know the other factors, or the trial
that they make (`lrbench.factors`). No torch here.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from lrbench.calls import (
    COMPOSITES,
    SCHEDULER_DEFAULTS,
    STEP_COUNTS,
    Reference,
    arguments_model,
    is_reference,
    known_names,
    parse_call,
    unknown_class,
)
from lrbench.closed_forms import PER_GROUP
from lrbench.errors import InputError, did_you_mean
from lrbench.workloads import DATA, DEFAULTS, WORKLOADS

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
MONITORS = {"val_loss": "min", "train_loss": "min", "val_accuracy": "max"}
EXAMPLES = {
    "optimizer": '{ name = "SGD", momentum = 0.9, weight_decay = 5e-4 }',
    "scheduler": '{ name = "StepLR", step_size = "30%", interval = "epoch" }',
}


class Problems(ValueError):
    """Several problems found below one place: [(place, message)]. What a level's checks raise."""

    def __init__(self, found: list[tuple[tuple, str]]):
        self.found = found
        super().__init__("; ".join(message for _, message in found))


def place_words(place: tuple) -> str:
    """Return the place of a problem as it is written behind a factor's name.

    >>> place_words(("schedulers", 0, "step_size"))
    '.schedulers[0].step_size'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


# ---------------------------------------------------------------------------------------------- scheduler, optimizer


def check_call(value: Any, kind: Literal["scheduler", "optimizer"], place: tuple = (), nested: bool = False) -> dict:
    """Return a table of a torch class with its arguments checked against the installed torch's own signature."""
    if isinstance(value, str):
        try:
            value = parse_call(value, kind)
        except InputError as error:
            raise Problems([(place, str(error))]) from None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise Problems([(place, f"found {value!r}; a {kind} is a table with a name, as in {EXAMPLES[kind]}")])
    table = dict(value)
    name = table.pop("name")
    own_code = kind == "scheduler" and is_reference(name)
    if name not in known_names(kind) and not own_code:
        raise Problems([((*place, "name"), unknown_class(kind, name))])
    found: list[tuple[tuple, str]] = []
    extra = {}
    if kind == "scheduler":
        table = {**SCHEDULER_DEFAULTS.get(name, {}), **table}
        given = table.pop("monitor", None) if name in COMPOSITES else None
        extra, problems = _scheduler_extras(name, table, place, nested)
        found += problems
        if isinstance(table.get("schedulers"), list):
            table["schedulers"] = list(table["schedulers"])
            for index, child in enumerate(table["schedulers"]):
                try:
                    table["schedulers"][index] = check_call(child, kind, (*place, "schedulers", index), nested=True)
                except Problems as error:
                    found += error.found
            if not found:
                found += _one_metric(table["schedulers"], given, extra, place, nested)
    if own_code:
        if found:
            raise Problems(found)
        return {"name": name, **table, **extra}
    model = arguments_model(kind, name)
    try:  # the dump makes 1 and 1.0 the same level of a float argument, and so the same trial
        table = model.model_validate(table).model_dump(exclude_unset=True)
    except ValidationError as error:
        found += _explain(error, model, place, f"{name}'s arguments")
    if found:
        raise Problems(found)
    return {"name": name, **table, **extra}


def _scheduler_extras(name: str, table: dict, place: tuple, nested: bool) -> tuple[dict, list]:
    """Take out of `table` what is ours and not torch's: `interval`, and for ReduceLROnPlateau `monitor`."""
    extra, found = {}, []
    plateau = name == "ReduceLROnPlateau"
    watches = plateau or (is_reference(name) and "monitor" in table)  # the user's own says so by naming a metric
    if "interval" in table or not nested:
        extra["interval"] = table.pop("interval", "epoch")
        if extra["interval"] not in ("epoch", "step"):
            found.append(((*place, "interval"), f"found {extra['interval']!r}; allowed: 'epoch', 'step'"))
        if nested:
            found.append(((*place, "interval"), "belongs to the outermost scheduler: one clock drives them all"))
    if watches:
        extra["monitor"] = monitor = table.pop("monitor", "val_loss")
        if monitor not in MONITORS:
            hint = did_you_mean(str(monitor), MONITORS)
            found.append(((*place, "monitor"), f"found {monitor!r}; allowed: {', '.join(MONITORS)}.{hint}"))
        elif plateau and table.get("mode", "min") != MONITORS[monitor]:
            wanted = f'mode = "{MONITORS[monitor]}"'
            found.append(
                ((*place, "mode"), f"with monitor {monitor!r} the rate would fall on progress: write {wanted}")
            )
        if extra.get("interval") == "step" and monitor != "train_loss":
            found.append(((*place, "monitor"), f'interval = "step" can only watch "train_loss", found {monitor!r}'))
    return extra, found


def _one_metric(
    children: list[dict], given: str | None, extra: dict, place: tuple, nested: bool
) -> list[tuple[tuple, str]]:
    """Give a scheduler that holds others the metric that they watch; say what is wrong where they watch two."""
    watched = sorted({child["monitor"] for child in children if "monitor" in child})
    if given is not None and watched != [given]:
        seen = f"what is inside watches {watched[0]!r}" if watched else "nothing inside watches a metric"
        return [((*place, "monitor"), f"found {given!r}, but {seen}: leave it out here")]
    if len(watched) > 1:
        return [(place, f"its schedulers watch {' and '.join(watched)}; allowed: one metric, which all of them see")]
    if watched:
        extra["monitor"] = watched[0]
        if not nested and extra["interval"] == "step" and watched[0] != "train_loss":
            return [((*place, "interval"), f'"step" can only watch "train_loss", found {watched[0]!r}')]
    return []


def _explain(error: ValidationError, model: type[BaseModel], place: tuple, what: str) -> list[tuple[tuple, str]]:
    """Turn pydantic's errors into ours: one for each argument, whatever the number of union members that refused it."""
    found: dict[tuple, list[dict]] = {}
    for item in error.errors():
        depth = 2 if item["loc"][0] == "recipe" else 1  # below, pydantic names the members of a union too
        where = [*item["loc"][:depth], *[part for part in item["loc"][depth:] if isinstance(part, int)][:1]]
        found.setdefault(tuple(where), []).append(item)
    explained = []
    for where, items in found.items():
        known = list(model.model_fields)
        if items[0]["type"] == "extra_forbidden":
            hint = did_you_mean(str(where[0]), known)
            message = f"is unknown; {what}: {', '.join(known) or 'none'}.{hint}"
        elif items[0]["type"] == "missing":
            message = f"is missing and has no default; {what}: {', '.join(known)}"
        else:
            message = f"found {items[0]['input']!r}; {allowed(items)}"
        explained.append(((*place, *where), message))
    return explained


def _wanted(item: dict) -> str:
    """Say in words what one pydantic error would have accepted."""
    if item["type"] == "string_type" and item["loc"][:1] and item["loc"][0] in STEP_COUNTS:
        return 'a share of the budget such as "30%"'
    if item["type"] == "string_pattern_mismatch":
        pattern = item["ctx"]["pattern"]
        if "%" in pattern:
            return 'a share of the budget such as "30%"'
        return "auto, cpu, cuda or cuda:N" if "cuda" in pattern else 'a name such as "module:attr"'
    nouns = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "a text",
        "list_type": "a list",
        "dict_type": "a table",
        "model_type": "a table",
        "finite_number": "a finite number",
    }
    if item["type"] in nouns:
        return nouns[item["type"]]
    message = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return message.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")


def allowed(items: list[dict]) -> str:
    """Say in words what would have been accepted where pydantic has these errors with one value."""
    wanted = dict.fromkeys(_wanted(item) for item in items)
    if 'a share of the budget such as "30%"' in wanted or 'a name such as "module:attr"' in wanted:
        wanted.pop("a text", None)
    return "allowed: " + " or ".join(wanted)


def named(kind: Literal["scheduler", "optimizer"]):
    """Return the validator of a field that holds a torch class with its arguments, given as a table or as a call."""
    return BeforeValidator(lambda value: check_call(value, kind))


# ------------------------------------------------------------------------------------------- groups of parameters


def wrong_groups(scheduler: dict, num_groups: int) -> str:
    """Say where a checked scheduler speaks of another number of parameter groups than there are; "" where it does not.

    >>> wrong_groups({"name": "LambdaLR", "lr_lambda": ["m:a", "m:b"]}, 2)
    ''
    """
    name, children = scheduler["name"], scheduler.get("schedulers", [])
    keys = (*PER_GROUP, "schedulers") if name == "PerGroupLR" else PER_GROUP
    for key in keys:
        value = scheduler.get(key)
        if isinstance(value, list) and len(value) != num_groups:
            there = f"{num_groups} parameter group{'' if num_groups == 1 else 's'}"
            return (
                f"{name} has {len(value)} {key} for {there}: give one for each group. A workload makes several by "
                "groups, a function of the model that returns them: "
                'workload = { base = "digits-cnn", groups = "my_groups:by_layer" }'
            )
    inner = 1 if name == "PerGroupLR" else num_groups  # each of its children sees one group alone
    return next(filter(None, (wrong_groups(child, inner) for child in children)), "")


def makes_one_group(workload: str | dict) -> bool:
    """Whether a workload is known to have a single parameter group; what the user's own code makes is not known."""
    if isinstance(workload, dict):
        return workload.get("groups", DEFAULTS["groups"]) == "single"
    return workload in WORKLOADS


# ------------------------------------------------------------------------------------------------- warmup, workload


class Warmup(BaseModel):
    """A multiplier on the scheduled rate over the first optimizer steps; the schedule's own clock runs underneath.

    With W warm-up steps, at 0-based step t: linear w(t) = min(1, (t + 1) / W); constant w(t) = factor up to W, then 1;
    exponential w(t) = 1 - exp(-(t + 1) / W). W is `steps`, or `fraction` of all steps (rounded, at least 1). The
    untuned kinds have no length of their own: W = 2 / (1 - beta2) for linear, 1 / (1 - beta2) for exponential; beta2 is
    the optimizer's, that of Adam and its kin, unless it is given here. Source: Ma and Yarats, arXiv 1910.04209.
    """

    model_config = STRICT
    kind: Literal["linear", "constant", "exponential", "untuned_linear", "untuned_exponential"]
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    factor: Annotated[float, Field(ge=0, le=1)] | None = None
    beta2: Annotated[float, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_length(self):
        if self.kind.startswith("untuned"):
            if (self.fraction, self.steps) != (None, None):
                raise ValueError(f'kind = "{self.kind}" takes its length from beta2: leave fraction and steps out')
        elif (self.fraction is None) == (self.steps is None):
            raise ValueError("give its length once: fraction = 0.1, or steps = 100")
        if (self.kind == "constant") != (self.factor is not None):
            raise ValueError('kind = "constant" needs its factor = 0.1, and no other kind has one')
        if self.beta2 is not None and not self.kind.startswith("untuned"):
            raise ValueError(f'kind = "{self.kind}" has no beta2: the untuned kinds take their length from it')
        return self


class Recipe(BaseModel):
    model_config = STRICT
    epochs: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    base_lr: Annotated[float, Field(ge=0)] | None = None
    optimizer: Annotated[dict, named("optimizer")] | None = None


class WorkloadTable(BaseModel):
    """A workload written out in a study file. See lrbench.workloads for what each key means."""

    model_config = STRICT
    base: Literal[tuple(WORKLOADS)] | None = None
    model: Reference | None = None
    model_args: dict[str, JsonValue] = {}
    data: (
        Annotated[str, Field(pattern=r"^(\w+|torchvision:\w+|imagefolder:.+|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*)$")] | None
    ) = None
    loss: Literal["cross_entropy"] | Reference = DEFAULTS["loss"]
    groups: Literal["single"] | Reference = DEFAULTS["groups"]
    image_size: Annotated[int, Field(ge=0)] = DEFAULTS["image_size"]
    crop_padding: Annotated[int, Field(ge=0)] = DEFAULTS["crop_padding"]
    flip: bool = DEFAULTS["flip"]
    train_limit: Annotated[int, Field(ge=0)] = DEFAULTS["train_limit"]
    recipe: Recipe = Recipe()


def check_workload(value: Any) -> str | dict:
    """Return a workload's name or table as it is. Raises Problems with everything that is wrong with it."""
    if isinstance(value, str):
        if value in WORKLOADS or TypeAdapter(Reference).validator.isinstance_python(value):
            return value
        hint = did_you_mean(value, WORKLOADS)
        allowed = f"{', '.join(WORKLOADS)}, or your own as module:attr or a table with model and data"
        raise Problems([((), f"found {value!r}; allowed: {allowed}.{hint}")])
    if not isinstance(value, dict):
        raise Problems([((), f"found {value!r}; a workload is a name or a table with model and data")])
    found = []
    try:
        WorkloadTable.model_validate(value)
    except ValidationError as error:
        found += _explain(error, WorkloadTable, (), "a workload's keys")
    if not found and "base" not in value:
        found += [
            ((key,), "is missing: a workload without `base` needs model and data")
            for key in ("model", "data")
            if key not in value
        ]
    data = value.get("data")
    if isinstance(data, str) and ":" not in data and data not in (*DATA, "synthetic"):
        allowed = f"{', '.join(DATA)}, synthetic, torchvision:CLASS, imagefolder:PATH, module:attr"
        found.append((("data",), f"found {data!r}; allowed: {allowed}.{did_you_mean(data, [*DATA, 'synthetic'])}"))
    if found:
        raise Problems(found)
    return value


def check_warmup(table: dict) -> dict:
    """Return a warm-up's table as plain JSON. Raises Problems with everything that is wrong with it."""
    try:
        return Warmup.model_validate(table).model_dump(mode="json", exclude_none=True, exclude_unset=True)
    except ValidationError as error:
        whole = [((), f"found {table!r}; {_wanted(item)}") for item in error.errors() if not item["loc"]]
        raise Problems(whole or _explain(error, Warmup, (), "a warmup's keys")) from None
