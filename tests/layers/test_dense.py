import keras
import numpy as np
import pytest

from physiokeras.layers import TokenDense, TokenNormalization, gelu

INPUTS = np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32")
PAIRS = {
    "dense": (TokenDense, keras.layers.Dense, {"units": 6}),
    "dense without bias": (TokenDense, keras.layers.Dense, {"units": 6, "use_bias": False, "activation": "tanh"}),
    "normalization": (TokenNormalization, keras.layers.LayerNormalization, {"epsilon": 1e-5}),
}


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", PAIRS)
def test_values_are_those_of_keras(name, dtype):
    ours, theirs, arguments = PAIRS[name]
    ours, theirs = ours(**arguments, dtype=dtype), theirs(**arguments, dtype=dtype)
    inputs = 3.0 + 10.0 * INPUTS
    ours.build(inputs.shape), theirs.build(inputs.shape)
    draw = np.random.default_rng(1)
    weights = [draw.normal(size=w.shape) for w in theirs.get_weights()]
    ours.set_weights(weights), theirs.set_weights(weights)
    expected, found = theirs(inputs), ours(inputs)
    assert keras.backend.standardize_dtype(found.dtype) == keras.backend.standardize_dtype(expected.dtype)
    found, expected = (keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for x in (found, expected))
    tolerance = 1e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_gelu_is_exact():
    x = np.linspace(-8, 8, 401, dtype="float32")
    expected = keras.ops.convert_to_numpy(keras.activations.gelu(x, approximate=False))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(gelu(keras.ops.convert_to_tensor(x))), expected, atol=2e-6)


def test_parts_are_those_of_the_whole():
    layer = TokenDense(6)
    layer.build(INPUTS.shape)
    layer.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in layer.get_weights()])
    parts = layer.parts(keras.ops.convert_to_tensor(INPUTS), 3)
    assert [tuple(part.shape) for part in parts] == 3 * [(3, 5, 2)]
    whole = keras.ops.convert_to_numpy(layer(INPUTS))
    np.testing.assert_allclose(np.concatenate([keras.ops.convert_to_numpy(p) for p in parts], -1), whole, atol=1e-5)
