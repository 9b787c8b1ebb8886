"""State of callbacks other than `Checkpoints`: saved with a checkpoint, or refused."""

import inspect
import warnings

import keras
import numpy as np

_KEPT = {
    keras.callbacks.EarlyStopping: ("best", "wait", "stopped_epoch", "best_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
}
_STATELESS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.History,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.SwapEMAWeights,
    keras.callbacks.TensorBoard,
    keras.callbacks.TerminateOnNaN,
)


def beside(callback):
    """The other callbacks of a `fit`, by the names under which their states are kept.

    Call it in `on_train_begin` of `callback`. Keras gives a callback no list of the others, but the list calls it and
    so is found on the stack.

    Returns: dict of name, such as "EarlyStopping" or "EarlyStopping#1", to callback, in the order of the list.

    Raises:
        ValueError: One of them contradicts checkpoints; the message says which, why and what to do.
    """
    calling = inspect.currentframe().f_back
    while calling and not isinstance(calling.f_locals.get("self"), keras.callbacks.CallbackList):
        calling = calling.f_back
    listed = calling.f_locals["self"].callbacks if calling else [callback]
    found, after = {}, False
    for other in listed:
        if other is callback:
            after = True
            continue
        _refuse(other, after)
        name, kind = type(other).__name__, sum(type(other).__name__ == key.partition("#")[0] for key in found)
        found[f"{name}#{kind}" if kind else name] = other
    return found


def states(callbacks):
    """Current states of callbacks.

    Args:
        callbacks: dict of name to callback.

    Returns: dict of name to dict of JSON values, and of lists of arrays.
    """
    return {name: _state_of(callback) for name, callback in callbacks.items() if _has_state(callback)}


def set_states(callbacks, stored, warn):
    """Restore what `states` returned; with `warn`, warn of callbacks that cannot be restored."""
    for name, callback in callbacks.items():
        kept = _has_state(callback)
        if kept and name in stored:
            if _has_own_state(callback):
                callback.load_state_dict(stored[name])
            else:
                vars(callback).update(stored[name])
        elif warn and kept:
            warnings.warn(f"The checkpoint holds no state of {name}, which starts again.", stacklevel=3)
        elif warn and not isinstance(callback, _STATELESS) and not _is_of_this_package(callback):
            warnings.warn(
                f"If {name} has a state, it starts again: checkpoints do not hold it. Give it `state_dict()`, which "
                "returns a dict of JSON values, and `load_state_dict(state)`.",
                stacklevel=3,
            )


def pack(stored):
    """States of callbacks for a file: dict of name to JSON values, dict of array names to arrays."""
    facts, arrays = {}, {}
    for name, state in stored.items():
        facts[name] = {}
        for key, value in state.items():
            if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                arrays |= {
                    f"callbacks/{name}/{key}/{number:06d}": np.array(array) for number, array in enumerate(value)
                }
            else:
                facts[name][key] = value
    return facts, arrays


def unpack(facts, arrays):
    """States of callbacks from what `pack` made."""
    stored = {name: dict(state) for name, state in facts.items()}
    for path in sorted(arrays):
        if path.startswith("callbacks/"):
            _, name, key, _ = path.split("/")
            stored[name].setdefault(key, []).append(arrays[path])
    return stored


def has_stopped(callbacks):
    """Whether an `EarlyStopping` among them has ended the training."""
    return any(isinstance(one, keras.callbacks.EarlyStopping) and one.stopped_epoch > 0 for one in callbacks.values())


def _refuse(callback, after):
    name, reason = type(callback).__name__, None
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        reason = "it loads a state of its own when `fit` begins. Leave it out: `Checkpoints` replaces it"
    elif isinstance(callback, keras.callbacks.SwapEMAWeights) and callback.swap_on_epoch:
        reason = "with `swap_on_epoch` checkpoints would hold averages for weights. Use `SwapEMAWeights()`"
    elif isinstance(callback, keras.callbacks.CSVLogger) and not callback.append:
        reason = "without `append=True` each `fit` overwrites its file. Give that, or use `MetricsFile`"
    elif after and _has_state(callback):
        reason = "checkpoints would lack what it does at an epoch's end. Put it before `Checkpoints` in the list"
    if reason:
        raise ValueError(f"{name} cannot be used beside `Checkpoints` like this: {reason}.")


def _is_of_this_package(callback):
    return type(callback).__module__.startswith("physiokeras.")


def _has_own_state(callback):
    return hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")


def _has_state(callback):
    return _has_own_state(callback) or isinstance(callback, tuple(_KEPT))


def _state_of(callback):
    if _has_own_state(callback):
        return callback.state_dict()
    names = next(names for kind, names in _KEPT.items() if isinstance(callback, kind))
    return {name: _plain(getattr(callback, name)) for name in names if hasattr(callback, name)}


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value
