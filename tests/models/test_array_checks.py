"""What is wrong with arrays is said before a training on them."""

import warnings

import numpy as np
import pytest
from tiny import autoencoder, encoder, windows

from physiokeras.models import LinearProbe

pytestmark = pytest.mark.once


def compiled(model):
    model.compile("sgd", **({"loss": "sparse_categorical_crossentropy"} if isinstance(model, LinearProbe) else {}))
    return model


def test_nan_in_present_channels_is_warned_of_once():
    inputs, model = windows(4), compiled(autoencoder())
    inputs["ecg"][1, 3] = np.nan
    with pytest.warns(UserWarning, match="'ecg' holds NaN or infinity in 1 of 4 windows") as found:
        model.fit(inputs, batch_size=2, verbose=0)
    assert sum("holds NaN" in str(one.message) for one in found) == 1
    inputs = windows(4, absent=[(1, "ecg")])
    inputs["ecg"][1, 3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(inputs, batch_size=2, verbose=0)


def test_inputs_without_any_channel_are_warned_of():
    inputs = windows(2)
    inputs["present"] = np.zeros_like(inputs["present"])
    with pytest.warns(UserWarning, match="no channel is present in any window"):
        compiled(autoencoder()).fit(inputs, verbose=0)


def test_unequal_numbers_of_windows_are_an_error():
    inputs = windows(4)
    inputs["ecg"] = inputs["ecg"][:3]
    with pytest.raises(ValueError, match=r"the same number of windows. Received: .*ecg 3"):
        compiled(autoencoder()).fit(inputs, verbose=0)


def test_texts_are_no_classes():
    probe = compiled(LinearProbe(encoder(), {"stage": 2}))
    for texts in (np.array(["W", "R"]), ["W", "R"]):
        with pytest.raises(ValueError, match=r"'stage' must be class numbers .*Received: \['W'\].*return_inverse"):
            probe.fit(windows(2), {"stage": texts}, verbose=0)
