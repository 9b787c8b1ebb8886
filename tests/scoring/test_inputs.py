from types import SimpleNamespace

import numpy as np
import pytest
from tiny import MODALITIES, encoder, windows

from physiokeras.scoring.inputs import of_stream

pytestmark = pytest.mark.once


def test_present_of_a_stream_has_the_order_of_the_streams_own_modalities():
    whole, turned = windows(3), ["emg", "ecg", "eeg"]
    batch = {name: whole[name] for name in turned} | {"present": np.tile([True, False, True, True], (3, 1))}
    stream = SimpleNamespace(as_numpy_iterator=lambda: iter([(batch,)]))
    for batches, absent in ((stream, "ecg"), ([batch], "eeg")):
        ((inputs, _),) = of_stream(batches, encoder(), list(MODALITIES))
        for name, columns in (("eeg", slice(0, 2)), ("ecg", slice(2, 3)), ("emg", slice(3, 4))):
            assert inputs["present"][:, columns].all() == (name != absent)
