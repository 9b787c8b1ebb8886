"""Compiled models that serve several trainings: compiling one takes as long as a hundred of its steps."""

import collections
import contextlib
import json
from dataclasses import asdict

from physiokeras.callbacks import state

KEPT = 4
"""Models that are kept: the networks of one strategy, whose cells follow one another."""

_kept: collections.OrderedDict = collections.OrderedDict()


@contextlib.contextmanager
def compiled_before(model, settings, *facts):
    """Train `model` through an already-compiled copy, then copy the state back.

    Args:
        model: A compiled model that is not trained yet; where no copy of it is kept, it is kept itself.
        settings: Those that it was built from.
        *facts: What else its compiled program depends on.

    Yields: the compiled copy, in the state of `model`: weights, optimizer, states of seeds.
    """
    key = json.dumps([{**asdict(settings), "seed": None}, *facts], sort_keys=True)
    compiled = _kept.pop(key, model)
    _kept[key] = compiled
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    if compiled is model:
        yield model
        return
    state.build_optimizer(model)
    state.restore(compiled, state.arrays(model), "memory")
    yield compiled
    state.restore(model, state.arrays(compiled), "memory")
