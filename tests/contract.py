"""What every layer promises, checked at once."""

import inspect

import keras
import numpy as np
from tiny import to_numpy


def check_layer(kind, arguments, inputs, folder, training=False, trains=True):
    """Check configuration, shapes, names, saving, bfloat16 and one step of training.

    Args:
        kind: The class.
        arguments: Arguments of its constructor, none at its default if that can be.
        inputs: Arguments of its call, name -> array.
        folder: Where to save.
        training: Value of `training` in the check of shapes.
        trains: Whether it has weights to train.
    """
    keras.utils.set_random_seed(0)
    layer = kind(**arguments, name="layer")
    _check_config(layer, arguments)
    outputs = layer(**inputs)
    _check_names(layer, kind(**arguments, name="layer"), inputs)
    model = _check_symbolic(layer, inputs, outputs, training)
    _check_saving(model, inputs, folder)
    if trains:
        _check_bfloat16(kind, arguments, layer, inputs, outputs)
        _check_step(model, inputs, to_numpy(outputs))


def _check_config(layer, arguments):
    config = layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters
    # Keras's own layers leave out arguments that are None.
    expected = {name for name, p in parameters.items() if p.default is not None} - {"self", "kwargs"}
    assert expected <= config.keys(), "every argument of the constructor is in the configuration"
    assert arguments.keys() <= parameters.keys()
    for name, value in arguments.items():
        assert config[name] == value, name
    assert type(layer).from_config(config).get_config() == config


def _check_names(layer, other, inputs):
    other(**inputs)
    paths = [weight.path for weight in layer.weights]
    assert len(set(paths)) == len(paths)
    assert paths == [weight.path for weight in other.weights], "no name depends on what was built before"
    names = [part.name for part in layer._flatten_layers(include_self=False)]
    assert names == [part.name for part in other._flatten_layers(include_self=False)]


def _check_symbolic(layer, inputs, outputs, training):
    symbols = {k: keras.Input(v.shape[1:], dtype=v.dtype.name, name=k) for k, v in inputs.items()}
    mode = {"training": training} if "training" in inspect.signature(layer.call).parameters else {}
    results = layer(**symbols, **mode)
    for symbol, tensor in zip(keras.tree.flatten(results), keras.tree.flatten(outputs), strict=True):
        assert symbol.shape[1:] == tuple(tensor.shape)[1:]
        assert symbol.shape[0] in (None, tensor.shape[0])
        assert symbol.dtype == keras.backend.standardize_dtype(tensor.dtype)
    return keras.Model(symbols, layer(**symbols))


def _check_saving(model, inputs, folder):
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    for ours, theirs in zip(_flat(model(inputs)), _flat(loaded(inputs)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _check_bfloat16(kind, arguments, layer, inputs, outputs):
    mixed = kind(**arguments, name="layer", dtype="mixed_bfloat16")
    mixed.build(next(iter(inputs.values())).shape)
    mixed.set_weights(layer.get_weights())
    result = mixed(**inputs)
    assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    np.testing.assert_allclose(_flat(keras.ops.cast(result, "float32"))[0], _flat(outputs)[0], atol=0.06, rtol=0.06)


def _check_step(model, inputs, outputs):
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    history = model.fit(inputs, outputs + np.linspace(-1, 1, outputs.size).reshape(outputs.shape), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for weight, old in zip(model.weights, before, strict=True):
        assert np.isfinite(weight.numpy()).all(), weight.path
        assert not np.array_equal(weight.numpy(), old), weight.path


def _flat(outputs):
    return keras.tree.flatten(to_numpy(outputs))
