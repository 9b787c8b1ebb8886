"""Compiled models that serve several trainings: compiling one takes as long as a hundred of its steps."""

import contextlib
import json
from dataclasses import asdict

from physiokeras.callbacks import hosts, state
from physiokeras.models import encoder_of
from physiokeras.models.saving import array_of
from physiokeras.recent import Recent

_kept = Recent(4)
"""Compiled models: the networks of one strategy, whose cells follow one another."""


@contextlib.contextmanager
def compiled_before(model, settings, *facts):
    """Train `model` through an already-compiled copy, then copy the state back.

    Args:
        model: A compiled model that is not trained yet; where no copy of it is kept, it is kept itself.
        settings: Those that it was built from.
        *facts: What else its compiled program depends on, besides the shapes of its inputs.

    Yields: the compiled copy, in the state of `model`: weights, constants, optimizer, states of seeds.
    """
    shapes = encoder_of(model).modalities
    key = json.dumps([{**asdict(settings), "seed": None}, shapes, *facts], sort_keys=True)
    compiled = _kept.get(key, lambda: model)
    if compiled is model:
        yield model
        return
    state.build_optimizer(model)
    _copy(model, compiled)
    yield compiled
    _copy(compiled, model)


def _copy(source, target):
    """Copy all variables between models that are built alike."""
    for ours, theirs in zip(_variables(source), _variables(target), strict=True):
        # A copy: on JAX a training deletes the arrays that it begins with, and these would be the other model's too.
        theirs.assign(hosts.placed(array_of(ours).copy(), theirs))


def _variables(model):
    return [*model.variables, *model.optimizer.variables]
