"""Every scheduler class of torch with every argument that a study can give it, in torch's own words."""

from lrbench.tests.helpers.studies import USERS

EVERY_ARGUMENT = {
    "ChainedScheduler": "ChainedScheduler(schedulers=[ConstantLR(factor=0.5), ExponentialLR(gamma=0.9)])",
    "ConstantLR": "ConstantLR(factor=0.5, total_iters=3, last_epoch=-1)",
    "CosineAnnealingLR": "CosineAnnealingLR(T_max=100%, eta_min=0.01, last_epoch=-1)",
    "CosineAnnealingWarmRestarts": "CosineAnnealingWarmRestarts(T_0=3, T_mult=2, eta_min=0.01, last_epoch=-1)",
    "CyclicLR": (
        "CyclicLR(base_lr=0.1, max_lr=1.0, step_size_up=2, step_size_down=3, mode=exp_range, gamma=0.9, "
        f"scale_fn={USERS}:half, scale_mode=iterations, cycle_momentum=True, base_momentum=0.8, max_momentum=0.9, "
        "last_epoch=-1)"
    ),
    "ExponentialLR": "ExponentialLR(gamma=0.9, last_epoch=-1)",
    "LambdaLR": f"LambdaLR(lr_lambda={USERS}:halve, last_epoch=-1)",
    "LinearLR": "LinearLR(start_factor=0.25, end_factor=0.75, total_iters=3, last_epoch=-1)",
    "MultiStepLR": "MultiStepLR(milestones=[25%, 4], gamma=0.5, last_epoch=-1)",
    "MultiplicativeLR": f"MultiplicativeLR(lr_lambda={USERS}:half, last_epoch=-1)",
    "OneCycleLR": (
        "OneCycleLR(max_lr=1.0, total_steps=100%, pct_start=0.25, anneal_strategy=linear, cycle_momentum=True, "
        "base_momentum=0.8, max_momentum=0.9, div_factor=10.0, final_div_factor=100.0, three_phase=True, last_epoch=-1)"
    ),
    "PolynomialLR": "PolynomialLR(total_iters=100%, power=2.0, last_epoch=-1)",
    "ReduceLROnPlateau": (
        "ReduceLROnPlateau(mode=min, factor=0.5, patience=1, threshold=0.001, threshold_mode=abs, cooldown=1, "
        "min_lr=0.01, eps=1e-08)"
    ),
    "SequentialLR": (
        "SequentialLR(schedulers=[LinearLR(start_factor=0.25, total_iters=2), CosineAnnealingLR(T_max=75%)], "
        "milestones=[25%], last_epoch=-1)"
    ),
    "StepLR": "StepLR(step_size=30%, gamma=0.5, last_epoch=-1)",
}
