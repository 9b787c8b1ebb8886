"""What Keras does for every model works for ours: quantization, LoRA, cloning, summary."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tiny import MODALITIES, TIME, WIDTH, autoencoder, encoder, to_numpy, windows

from physiokeras.models import Encoder, FeatureExtractor, LinearProbe, digest, load, save

ABSENT = [(1, "ecg"), (2, "eeg"), (2, "emg"), (5, "eeg"), (5, "ecg"), (5, "emg")]


def classes(rows, seed):
    """Windows of two classes, which differ in a weak waveform of every modality, and their labels."""
    labels = np.arange(rows) % 2
    inputs = windows(rows, seed=seed)
    for name, m in MODALITIES.items():
        wave = np.sin(np.arange(m["samples"]) * 2 * np.pi / m["samples"])[None, :, None]
        inputs[name] += (np.where(labels, 0.5, -0.5)[:, None, None] * wave).astype("float32")
    return inputs, labels


def accuracy(extractor):
    """Accuracy of a linear probe of 192 windows on 384 others: whole batches, so that one shape is compiled."""
    (train, right), (test, expected) = (classes(rows, seed) for rows, seed in ((192, 1), (384, 2)))
    probe = LogisticRegression().fit(extractor.predict(train, verbose=0), right)
    return probe.score(extractor.predict(test, verbose=0), expected)


def test_int8_features_and_probe_are_close_to_those_of_float32():
    """Measured on PyTorch: the features differ by 1.0 % of their spread, the probe scores .836 after .841."""
    keras.utils.set_random_seed(4)
    extractor = FeatureExtractor(encoder(width=32, depth=2), "concatenate")
    inputs = windows(64, absent=ABSENT)
    features, score = extractor.predict(inputs, verbose=0), accuracy(extractor)
    extractor.quantize("int8")
    kernels = [layer for block in extractor.encoder.blocks for layer in (block.query_key_value, block.mix, block.up)]
    assert {layer.quantization_mode for layer in kernels} == {"int8"}
    error = extractor.predict(inputs, verbose=0) - features
    assert 0 < np.sqrt(np.mean(error**2)) < 0.02 * features.std()
    assert score > 0.8
    assert accuracy(extractor) > score - 0.02


@pytest.mark.once
def test_a_quantized_model_is_not_saved_as_if_it_were_not(tmp_path):
    part = encoder()
    part.quantize("int8")
    with pytest.raises(ValueError, match="save it before `quantize`"):
        save(part, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def dense_layers(part):
    """The dense layers of an encoder's blocks."""
    return [layer for b in part.blocks for layer in (b.query_key_value, b.mix, b.up, b.down)]


@pytest.fixture
def adapted():
    """A trained probe whose encoder has LoRA in its blocks, and the kernels before."""
    keras.utils.set_random_seed(5)
    part = encoder()
    before = [to_numpy(layer.kernel) for layer in dense_layers(part)]
    for layer in dense_layers(part):
        layer.enable_lora(2)
    probe = LinearProbe(part, {"stage": 2}, frozen=False)
    probe.compile(keras.optimizers.Adam(0.05), {"stage": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
    inputs, labels = classes(64, 3)
    probe.fit(inputs, {"stage": labels}, batch_size=16, epochs=2, verbose=0)
    return probe, before


def test_lora_trains_a_few_numbers_instead_of_the_kernels(adapted):
    probe, before = adapted
    for layer, old in zip(dense_layers(probe.encoder), before, strict=True):
        assert {w.name for w in layer.trainable_weights} == {"lora_kernel_a", "lora_kernel_b", "bias"}
        update = to_numpy(layer.lora_kernel_a) @ to_numpy(layer.lora_kernel_b)
        assert np.abs(update).max() > 1e-3
        np.testing.assert_allclose(to_numpy(layer.kernel), old + update, atol=1e-6)


@pytest.mark.parametrize("way", ["folder", "keras file", "weights file"])
def test_what_lora_learned_is_saved_in_the_kernels(adapted, tmp_path, way):
    probe, inputs = adapted[0], windows()
    if way == "folder":
        save(probe, tmp_path)
        loaded = load(tmp_path)
        assert digest(loaded) == digest(probe)
    elif way == "keras file":
        probe.save(tmp_path / "probe.keras")
        loaded = keras.saving.load_model(tmp_path / "probe.keras", compile=False)
    else:
        probe.save_weights(tmp_path / "probe.weights.h5")
        loaded = LinearProbe(encoder(), {"stage": 2}, frozen=False)
        loaded.load_weights(tmp_path / "probe.weights.h5")
    assert not any(layer.lora_enabled for layer in dense_layers(loaded.encoder))
    np.testing.assert_allclose(to_numpy(loaded(inputs))["stage"], to_numpy(probe(inputs))["stage"], atol=1e-5)


@pytest.mark.parametrize("make", [encoder, lambda: autoencoder(dropout={"per": "sample"})], ids=["encoder", "masked"])
def test_a_clone_has_the_same_architecture_and_weights_of_its_own(make):
    ours = make()
    clone = keras.models.clone_model(ours)
    assert type(clone) is type(ours)
    assert clone.get_config() == ours.get_config()
    assert not {id(weight) for weight in clone.weights} & {id(weight) for weight in ours.weights}
    assert digest(clone) != digest(ours)
    clone.set_weights(ours.get_weights())
    for a, b in zip(*(keras.tree.flatten(to_numpy(model(windows()))) for model in (ours, clone)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_summary_counts_the_weights_of_every_part():
    part, lines = encoder(depth=2), []
    part.summary(print_fn=lambda line, **options: lines.append(line), line_length=100)
    text = "\n".join(lines)
    for name in ("tokenizer_eeg", "tokenizer_ecg", "tokenizer_emg", "embedding", "block_0", "block_1", "norm"):
        assert name in text
    # Tokenizers: patch and linear; embedding; block: two norms, qkv, mix, up, down; norm.
    tokenizers = sum((m["samples"] // TIME * m["channels"] + 1 + WIDTH + 1) * WIDTH for m in MODALITIES.values())
    block = 4 * WIDTH + 12 * WIDTH**2 + 9 * WIDTH
    total = tokenizers + 3 * WIDTH + 2 * block + 2 * WIDTH
    assert f"Total params: {total:,}" in text
    assert isinstance(part, Encoder)


def test_mixed_precision_computes_close_to_float32():
    keras.utils.set_random_seed(6)
    ours = encoder(width=32, depth=2)
    mixed = encoder(width=32, depth=2, dtype="mixed_bfloat16")
    mixed.set_weights(ours.get_weights())
    inputs = windows(32, absent=ABSENT)
    tokens, expected = mixed(inputs), to_numpy(ours(inputs))
    assert keras.backend.standardize_dtype(tokens.dtype) == "bfloat16"
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    error = to_numpy(keras.ops.cast(tokens, "float32")) - expected
    assert 0 < np.sqrt(np.mean(error**2)) < 0.02 * expected.std()
