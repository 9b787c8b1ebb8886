import itertools

import numpy as np
import pytest
from tiny import CHANNELS, ROWS, encoder, varied, windows

from physiokeras.models import FeatureExtractor
from physiokeras.models.subsets import PatchFeatures, PatchReader, SubsetExtractor


@pytest.mark.parametrize("fusion", [0, 1, 2])
@pytest.mark.parametrize("pooling", ["mean", "concatenate"])
def test_reading_some_modalities_equals_marking_the_others_absent(fusion, pooling):
    part = varied(encoder(depth=2, fusion=fusion))
    inputs = windows(absent=[(0, "eeg"), (1, "ecg"), (1, "emg")])
    names, whole, some = list(part.modalities), FeatureExtractor(part, pooling), SubsetExtractor(part, pooling)
    for left in itertools.chain(itertools.combinations(range(3), 1), itertools.combinations(range(3), 2)):
        present = inputs["present"].copy()
        for number in set(range(3)) - set(left):
            present[:, CHANNELS[names[number]]] = False
        expected = whole.predict_on_batch({**inputs, "present": present})
        found = some.predict_on_batch({**inputs, "left": tuple(np.full(ROWS, number, "int32") for number in left)})
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("view", ["samples", "both"])
@pytest.mark.parametrize("pooling", ["mean", "concatenate"])
def test_two_halves_of_the_extractor_give_its_features_of_any_subset(view, pooling):
    part = varied(encoder(depth=2, fusion=1, view=view, spans=(1, 2)))
    inputs = windows(absent=[(0, "eeg"), (1, "ecg")])
    whole = FeatureExtractor(part, pooling)
    whole.adapt(windows(seed=1))
    reader, features = PatchReader(part), PatchFeatures(part, pooling)
    patches = reader.predict_on_batch(inputs)
    kept = np.random.default_rng(0).random((ROWS, 3)) < 0.6
    assert 0 < kept.sum() < kept.size
    present = inputs["present"].copy()
    for number, columns in enumerate(CHANNELS.values()):
        present[:, columns] &= kept[:, number, None]
    for subset, of_channels in ((patches["present"], inputs["present"]), (patches["present"] & kept, present)):
        found = features.predict_on_batch({**patches, "present": subset})
        expected = whole.predict_on_batch({**inputs, "present": of_channels})
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert np.abs(expected).max() > 0.1
