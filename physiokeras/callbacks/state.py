"""Training state of a compiled model, by name."""

import numpy as np

from physiokeras.callbacks import hosts
from physiokeras.errors import DataError
from physiokeras.models.saving import array_of, named_variables, own_names

BESIDE = ("metrics/", "callbacks/")
"""Beginnings of the names of arrays that a checkpoint holds beside the state of model and optimizer."""


def build_optimizer(model):
    """Create the optimizer's variables, once: a `LossScaleOptimizer` would create them again each time."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def optimizers(model):
    """The optimizer of a compiled model and those that it wraps, such as that in a `LossScaleOptimizer`."""
    outer = getattr(model, "optimizer", None)
    inner = [getattr(outer, "inner_optimizer", None), *getattr(outer, "optimizers", [])]
    return [optimizer for optimizer in (outer, *inner) if optimizer is not None]


def arrays(model, metrics=False):
    """Current state of the model and its optimizer.

    Args:
        model: A compiled model, built. Inside `fit` it must come from `Callback.model`, which on JAX first
            writes the state of the newest step into the variables.
        metrics: Whether to include the running metrics of the Keras epoch.

    Returns: dict of name to array.
    """
    variables = _variables(model) | (_metrics(model) if metrics else {})
    return {name: array_of(variable) for name, variable in variables.items()}


def is_finite(array):
    """Whether an array has no NaN and no infinity."""
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def restore(model, stored, file):
    """Load the state that `arrays` returned into an equal model; all of it or none.

    Args:
        model: A compiled model, built.
        stored: dict of name to array; names that begin with one of `BESIDE` are ignored.
        file: The file of the state, for the message.

    Raises:
        DataError: Names or shapes differ from the model's; the message lists them.
    """
    build_optimizer(model)
    variables = _variables(model)
    stored = {name: array for name, array in stored.items() if not name.startswith(BESIDE)}
    there = {name: array.shape for name, array in stored.items()}
    wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
    names = sorted(name for name in there | wanted if there.get(name) != wanted.get(name))
    if names:
        listed = [f"{name}: {there.get(name, 'none')} in the file, {wanted.get(name, 'none')} here" for name in names]
        rest = [f"and {len(listed) - 10} more"] if len(listed) > 10 else []
        raise DataError(f"of another model or optimizer: {'; '.join(listed[:10] + rest)}.", file=file)
    _assign(variables, stored)


def restore_metrics(model, stored):
    """Load the running metrics in `stored` into the model.

    Returns: whether the model has exactly these metrics; otherwise nothing is loaded.
    """
    variables = _metrics(model)
    stored = {name: array for name, array in stored.items() if name.startswith("metrics/")}
    if {name: tuple(v.shape) for name, v in variables.items()} != {name: a.shape for name, a in stored.items()}:
        return False
    _assign(variables, stored)
    return True


def _variables(model):
    named = {f"model/{name}": variable for name, variable in named_variables(model).items()}
    for number, variable in enumerate(model.optimizer.variables):
        # The rest of the name is chosen by Keras and depends on what was built before.
        kind = variable.name.rpartition("_")[2]
        named[f"optimizer/{number}/{'variable' if kind.isdigit() else kind}"] = variable
    return named


def _metrics(model):
    variables = model.metrics_variables
    names = own_names((variable.name, "variable") for variable in variables)
    return {f"metrics/{i}/{name}": variable for i, (name, variable) in enumerate(zip(names, variables, strict=True))}


def _assign(variables, stored):
    for name, variable in variables.items():
        # Backends store the bits of a seed in different integer types.
        variable.assign(hosts.placed(stored[name].astype(array_of(variable).dtype), variable))
