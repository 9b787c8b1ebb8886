import keras
import numpy as np
import pytest
from tiny import CHANNELS, MODALITIES, TIME, autoencoder, encoder, to_numpy, varied, windows

DEPTH, ABSENT = 2, [(1, "ecg"), (2, "eeg")]


def made(fusion):
    """Encoders of the same weights, whatever their fusion."""
    keras.utils.set_random_seed(0)
    return varied(encoder(depth=DEPTH, fusion=fusion))


@pytest.fixture(scope="module")
def encoders():
    return [made(fusion) for fusion in range(DEPTH + 1)]


def changed(inputs, name):
    return {**inputs, name: inputs[name] + 5}


def influenced(part, inputs, name):
    """For each block, boolean `(batch, modalities)`: whether its tokens change with one modality's signal."""
    first, second = (to_numpy(part(x, return_layers=True)["layers"]) for x in (inputs, changed(inputs, name)))
    return [
        np.abs(a - b).reshape(len(a), len(MODALITIES), -1).max(axis=2) > 1e-6
        for a, b in zip(first, second, strict=True)
    ]


@pytest.mark.parametrize("fusion", range(DEPTH + 1))
@pytest.mark.parametrize("name", MODALITIES)
def test_modalities_meet_after_the_first_blocks_and_not_before(encoders, fusion, name):
    inputs = windows(absent=ABSENT)
    present = np.stack([inputs["present"][:, c].any(axis=1) for c in CHANNELS.values()], axis=1)
    own = np.array([other == name for other in MODALITIES])
    for block, found in enumerate(influenced(encoders[fusion], inputs, name)):
        expected = present & present[:, own] & (own if block < fusion else True)
        np.testing.assert_array_equal(found, expected)


def test_late_fusion_encodes_each_modality_as_if_it_were_alone(encoders):
    inputs = windows(absent=ABSENT)
    whole = to_numpy(encoders[DEPTH](inputs)).reshape(6, 3, TIME, -1)
    for i, channels in enumerate(CHANNELS.values()):
        others = np.ones_like(inputs["present"])
        others[:, channels] = False
        alone = {**inputs, "present": inputs["present"] & ~others}
        for fusion in (0, DEPTH):
            found = to_numpy(encoders[fusion](alone)).reshape(6, 3, TIME, -1)
            np.testing.assert_allclose(found[:, i], whole[:, i], atol=1e-5)


def test_attention_of_the_first_blocks_stays_within_a_modality(encoders):
    inputs = windows()
    attention = to_numpy(encoders[1](inputs, return_attention=True)["attention"])
    same = np.kron(np.eye(3), np.ones((TIME, TIME))).astype(bool)
    assert not attention[0][:, :, ~same].any()
    assert (attention[0][:, :, same] > 0).all()
    assert (attention[1] > 0).all()
    np.testing.assert_allclose(attention[0].sum(axis=-1), 1, atol=1e-5)


def test_the_weights_are_as_many_and_of_the_same_names_whatever_the_fusion(encoders):
    shapes = [[(weight.path, tuple(weight.shape)) for weight in part.weights] for part in encoders]
    assert shapes[0] == shapes[1] == shapes[2]
    assert [part.get_config()["fusion"] for part in encoders] == [0, 1, 2]


def test_models_saved_before_there_was_a_fusion_are_of_early_fusion(encoders):
    config = {key: value for key, value in encoders[0].get_config().items() if key != "fusion"}
    assert type(encoders[0]).from_config(config).fusion == 0


@pytest.mark.parametrize("fusion", [-1, DEPTH + 1])
def test_fusion_beyond_the_blocks_is_refused(fusion):
    with pytest.raises(ValueError, match=r"`fusion` must lie in \[0, `depth`\]. Received: fusion="):
        encoder(depth=DEPTH, fusion=fusion)


@pytest.mark.parametrize("fusion", [1, DEPTH])
def test_the_autoencoder_knows_the_modality_of_every_visible_token(fusion):
    model = varied(autoencoder(encoder(depth=DEPTH, fusion=fusion), mask={"ratio": 0.5}))
    tokens, transform = [], model.encoder.transform

    def spy(*arguments, **named):
        tokens.append(transform(*arguments, **named))
        return tokens[-1]

    model.encoder.transform = spy
    inputs = windows(absent=ABSENT)
    model(inputs)
    model(changed(inputs, "ecg"))
    present = inputs["present"][:, [0, 2, 3]]
    visible, valid, _ = to_numpy(model.mask(present, present))
    moved = np.abs(to_numpy(tokens[0]) - to_numpy(tokens[1])).max(axis=2) > 1e-6
    ecg = valid & (visible // TIME == 1)
    expected = ecg if fusion == DEPTH else valid & ecg.any(axis=1)[:, None]
    np.testing.assert_array_equal(moved, expected)


def test_every_weight_trains_with_absent_modalities_too():
    keras.utils.set_random_seed(0)
    model = autoencoder(encoder(depth=DEPTH, fusion=1))
    model.compile(keras.optimizers.SGD(0.1, global_clipnorm=1.0))
    before = model.get_weights()
    losses = model.fit(windows(absent=[*ABSENT, (5, "eeg"), (5, "ecg"), (5, "emg")]), verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    for weight, old in zip(model.weights, before, strict=True):
        assert np.isfinite(weight.numpy()).all(), weight.path
        assert not np.array_equal(weight.numpy(), old), weight.path
