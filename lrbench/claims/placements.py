"""Where the faults of `lrbench.claims.faulty` are planted, and what the divergence finder has to say of each.

A placement is a place in the model or in the training at which a fault sits: 20 of each kind that a CPU can show. What
this does *not* do: run anything (`lrbench.claims.finder` does).
"""

from lrbench.claims.faulty import (
    LAYERS,
    MODULE,
    NUM_LOADED,
    NUM_STEPS,
    OPERATORS,
    RECIPE,
    SMALL_DIGITS,
    STEPS_PER_EPOCH,
)
from lrbench.factors import Trial
from lrbench.seeds import derive_seed

NUM_PLACEMENTS = 20
FLAGS = ("cudnn_benchmark", "cudnn_deterministic", "cudnn_fp32_precision", "matmul_fp32_precision")
# epochs of what acts between two of them: so many that four or five ends of one are followed by another
LONG = 6


def placements() -> list[dict]:
    """Return 20 placements of each kind of fault that a CPU can show, as tables: fault, and where it sits."""
    return [placement for kind in _PLACES for placement in placements_of(kind)]


def placements_of(kind: str) -> list[dict]:
    """Return the 20 placements of one kind of fault."""
    return [{"fault": kind, **place} for place in _PLACES[kind]()]


def kinds() -> list[str]:
    """Return the kinds of fault that a CPU can show; `scatter` takes CUDA."""
    return list(_PLACES)


def _one_ulp() -> list[dict]:
    """Every layer, forward and backward, in one trial of two or by dice in both, at steps all through the training."""
    places = [
        {"direction": direction, "layer": layer, "how": how}
        for how in ("one", "dice")
        for direction in OPERATORS
        for layer in range(LAYERS)
    ]
    places += [place for place in places if place["layer"] == 1][:4]
    return [{**place, "step": 1 + (3 * number) % NUM_STEPS} for number, place in enumerate(places)]


def _numpy_noise() -> list[dict]:
    """Every layer, from five steps of the training on, others for each layer."""
    return [
        {"layer": layer, "step": 1 + (2 * number + layer) % NUM_STEPS} for layer in range(LAYERS) for number in range(5)
    ]


def _loader_worker() -> list[dict]:
    """One image in 20, each in an order of its own, so that it is first met at any step of the first epoch."""
    return [{"image": image, "seed": number} for number, image in enumerate(_training_images()[:NUM_PLACEMENTS])]


def _evaluation_draws() -> list[dict]:
    """Every layer, in each evaluation that training goes on after."""
    return [{"layer": layer, "epoch": epoch} for layer in range(LAYERS) for epoch in range(1, LONG)]


def _sets_a_flag() -> list[dict]:
    """Every flag, when the model is built and in a layer's forward at four steps."""
    return [
        {"flag": flag, "layer": (number + place) % LAYERS, "step": step}
        for place, flag in enumerate(FLAGS)
        for number, step in enumerate((0, 1, 4, 7, NUM_STEPS))
    ]


def _set_order() -> list[dict]:
    """Every layer, with other texts and another seed in each of five models."""
    return [
        {"layer": layer, "label": f"part {LAYERS * number + layer}", "seed": LAYERS * number + layer}
        for layer in range(LAYERS)
        for number in range(5)
    ]


def _forgetful() -> list[dict]:
    """Gone on from after each of the first 20 steps, the killed process having done up to three more."""
    return [
        {"checkpoint_every": step, "dies_at_step": step + 1 + number % min(step, 3)}
        for number, step in enumerate(range(1, NUM_PLACEMENTS + 1))
    ]


_PLACES = {
    "one_ulp": _one_ulp,
    "numpy_noise": _numpy_noise,
    "loader_worker": _loader_worker,
    "evaluation_draws": _evaluation_draws,
    "sets_a_flag": _sets_a_flag,
    "set_order": _set_order,
    "forgetful": _forgetful,
}


# ---------------------------------------------------------------------------------------------------------- the trials


def pair(placement: dict, device: str = "cpu") -> tuple[Trial, Trial]:
    """Return the trials A and B of a placement; equal ones where the fault lies between two processes."""
    fault, seed = placement["fault"], placement.get("seed", 0)
    where = {key: value for key, value in placement.items() if key not in ("fault", "seed")}
    recipe = {**RECIPE, "device": device, "seed": seed}
    a = {"model": f"{MODULE}:{fault}", "model_args": where, **SMALL_DIGITS}
    other = {}
    if fault == "one_ulp":
        other = {"how": "" if placement["how"] == "one" else "dice"}
    elif fault == "evaluation_draws":
        recipe["epochs"], other = LONG, {"draws": False}
    elif fault == "loader_worker":
        a = {"model": f"{MODULE}:evaluation_draws", "model_args": {"draws": False}}
        a["data"] = f"{MODULE}:loader_worker_{placement['image']}"
    elif fault == "forgetful":
        recipe |= {"epochs": LONG, "scheduler": {"name": f"{MODULE}:forgetful", "interval": "step"}}
        a = {"model": "lrbench.claims.planted:net", "model_args": {}, **SMALL_DIGITS}
        other = {"dies_at_call": placement["dies_at_step"]}
    b = {**a, "model_args": {**a["model_args"], **other}}
    return tuple(Trial(workload=workload, **recipe) for workload in (a, b))


# ------------------------------------------------------------------------------------------------------ what is right


def names(placement: dict, answer) -> bool:
    """Tell whether an answer (lrbench.diverge.command.Answer) names exactly what was planted, and where."""
    return _NAMES[placement["fault"]](placement, answer, "; ".join(answer.sentences))


def _names_one_ulp(placement: dict, answer, told: str) -> bool:
    return (
        _parts(answer, "source", placement["step"])
        and answer.parting.operator == OPERATORS[placement["direction"]]
        and answer.parting.module == f"after{placement['layer']}"
        and answer.parting.phase == placement["direction"]
        and "1 ulp" in told
    )


def _names_numpy_noise(placement: dict, answer, told: str) -> bool:
    here = _parts(answer, "entry", placement["step"]) and answer.parting.module == f"layer{placement['layer']}"
    return here and "drew from NumPy's global generator" in told


def _names_loader_worker(placement: dict, answer, told: str) -> bool:
    return _first(answer) == ("images", first_met(placement["image"], placement["seed"])) and "the data differ" in told


def _names_evaluation_draws(placement: dict, answer, told: str) -> bool:
    return _first(answer) == ("rng", STEPS_PER_EPOCH * placement["epoch"] + 1) and "by the evaluation" in told


def _names_sets_a_flag(placement: dict, answer, told: str) -> bool:
    named = [flag for flag in FLAGS if f"{flag} was to be" in told]
    return answer.equal and named == [placement["flag"]] and "the trial's own code has set it" in told


def _names_set_order(placement: dict, answer, told: str) -> bool:
    layer = 1 + placement["layer"]  # before it the images are made flat
    here = _parts(answer, "entry", 1) and answer.parting.module.startswith(f"{layer}.parts.")
    return here and "order in which layers are made" in told


def _names_forgetful(placement: dict, answer, told: str) -> bool:
    """The first step that it goes on with has the rate that the optimizer was saved with; the next is wrong."""
    return _first(answer) == ("lr", placement["checkpoint_every"] + 2) and "the state that it went on from" in told


def _names_scatter(placement: dict, answer, told: str) -> bool:
    return _parts(answer, "source", _first(answer)[1]) and answer.parting.operator.startswith("aten.index_add")


_NAMES = {
    "one_ulp": _names_one_ulp,
    "numpy_noise": _names_numpy_noise,
    "loader_worker": _names_loader_worker,
    "evaluation_draws": _names_evaluation_draws,
    "sets_a_flag": _names_sets_a_flag,
    "set_order": _names_set_order,
    "forgetful": _names_forgetful,
    "scatter": _names_scatter,
}


def _first(answer) -> tuple[str, int]:
    return (answer.mismatch.what, answer.mismatch.step) if answer.mismatch is not None else ("", 0)


def _parts(answer, kind: str, step: int) -> bool:
    found = answer.mismatch is not None and answer.parting is not None
    return found and (answer.parting.kind, answer.mismatch.step) == (kind, step)


def first_met(image: int, seed: int) -> int:
    """Return the training step, from 1, that first has this image of `loader_worker` in its batch.

    By the promises that the training part keeps the images in their order, and that the order of the first epoch is
    drawn from the stream "order".
    """
    import torch

    training = sorted(_training_images())
    order = torch.randperm(
        len(training), generator=torch.Generator().manual_seed(derive_seed("order", seed, 0))
    ).tolist()
    return 1 + order.index(training.index(image)) // RECIPE["batch_size"]


def _training_images() -> list[int]:
    """The images of `loader_worker` that train: all but the tenth that is held out for validation."""
    from lrbench.trial.fixed import fixed_permutation

    chosen = fixed_permutation(NUM_LOADED, "training limit")
    return chosen[fixed_permutation(NUM_LOADED, "validation part")[NUM_LOADED // 10 :]].tolist()
