"""The `plan` columns: whether the rates that a trial applied are those that its schedule's formula gives."""

from collections.abc import Callable

from lrbench.closed_forms import NoClosedForm
from lrbench.lr_plan import judge
from lrbench.trial.checkpoint import Course


def plan_columns(
    plan: dict,
    call: Callable[[str], Callable],
    course: Course,
    base_lrs: list[float],
    interval: str,
    steps_per_epoch: int,
    num_steps: int,
) -> dict:
    """Return the columns of one trial; `plan` its scheduler, resolved; `call` finds the user's functions."""
    try:
        judgement = judge(
            course.applied_lr,
            plan,
            interval=interval,
            base_lrs=base_lrs,
            steps_per_epoch=steps_per_epoch,
            num_steps=num_steps,
            scheduler_steps=course.scheduler_steps,
            multipliers=course.multipliers,
            metrics=course.metrics,
            call=call,
        )
    except NoClosedForm as error:
        return {"lr_plan": "no closed form", "lr_plan_note": str(error)}
    return {
        "lr_plan": judgement.verdict,
        "lr_plan_note": "; ".join([judgement.sentence, *judgement.warnings]),
        "lr_plan_max_relative_error": judgement.max_relative_error,
        "lr_plan_bit_equal": judgement.bit_equal,
    }
