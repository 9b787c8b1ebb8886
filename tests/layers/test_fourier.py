import numpy as np
import pytest
from keras import ops

from physiokeras.layers.fourier import rfft_by_products


@pytest.mark.parametrize("transform", [ops.rfft, rfft_by_products])
@pytest.mark.parametrize("samples", [1, 2, 7, 24, 64, 100, 1600])
def test_transform_is_that_of_numpy_for_any_length(transform, samples):
    signal = np.random.default_rng(samples).normal(size=(3, 2, samples)).astype("float32")
    real, imaginary = (ops.convert_to_numpy(part) for part in transform(ops.convert_to_tensor(signal)))
    exact = np.fft.rfft(signal.astype("float64"))
    np.testing.assert_allclose(real + 1j * imaginary, exact, atol=2e-6 * np.abs(exact).max())
