"""Compiled models that serve several trainings: compiling one takes as long as a hundred of its steps."""

import collections
import contextlib
import functools
import json
from dataclasses import asdict

from physiokeras.callbacks import state
from physiokeras.models import Encoder, FeatureExtractor

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


def shared_extractor(encoder, pooling, kind=FeatureExtractor):
    """An extractor with the weights of an encoder; encoders of one architecture share one compiled program.

    Args:
        encoder: `Encoder`.
        pooling: As in `FeatureExtractor`.
        kind: `FeatureExtractor` or `SubsetExtractor`.

    Returns: an instance of `kind`, valid until the next call for an encoder of the same architecture.
    """
    extractor = _extractor(json.dumps({**encoder.get_config(), "seed": 0}), pooling, kind)
    extractor.encoder.set_weights(encoder.get_weights())
    return extractor


@functools.lru_cache(maxsize=4)
def _extractor(config, pooling, kind):
    return kind(Encoder.from_config(json.loads(config)), pooling)
