import hashlib
import json
import shutil

import keras
import numpy as np
import pytest
from tiny import MODALITIES, autoencoder, to_numpy, windows
from tiny import encoder as make

from physiokeras.errors import DataError
from physiokeras.models import Encoder, FeatureExtractor, LinearProbe, MaskedAutoencoder, digest, load, save
from physiokeras.models.saving import load_weights, metadata, named_weights

SINGLE = {"ecg": MODALITIES["ecg"]}


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    save(model, path, rates={"eeg": 100})
    return path


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def assert_same_outputs(ours, theirs, inputs):
    for a, b in zip(*(keras.tree.flatten(to_numpy(x(inputs))) for x in (ours, theirs)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_folder_gives_the_same_model(model, folder, inputs):
    loaded = load(folder)
    assert isinstance(loaded, MaskedAutoencoder)
    assert loaded.get_config() == model.get_config()
    assert digest(loaded) == digest(model)
    assert_same_outputs(model, loaded, inputs)


def test_keras_files_give_the_same_model(model, inputs, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, MaskedAutoencoder)
    assert digest(loaded) == digest(model)
    assert_same_outputs(model, loaded, inputs)


@pytest.mark.parametrize("kind", ["encoder", "extractor", "probe", "with dropout"])
def test_every_kind_of_model_can_be_saved(kind, tmp_path):
    part = make(SINGLE, dropout=0.1, dtype="mixed_bfloat16" if kind == "encoder" else None)
    ours = {
        "encoder": lambda: part,
        "extractor": lambda: FeatureExtractor(part, "concatenate"),
        "probe": lambda: LinearProbe(part, {"stage": 3}, frozen=False),
        "with dropout": lambda: autoencoder(part, dropout={"rate": 0.5}),
    }[kind]()
    save(ours, tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is type(ours)
    assert digest(loaded) == digest(ours)
    assert loaded.dtype_policy.name == ours.dtype_policy.name
    assert loaded.get_config() == ours.get_config()
    ours.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert digest(again) == digest(ours)
    assert again.get_config() == ours.get_config()


def test_the_metadata_tell_what_was_saved(folder):
    facts = metadata(folder)
    assert facts["modalities"] == list(MODALITIES)
    assert facts["rates"] == {"eeg": 100}
    assert (facts["keras"], facts["backend"]) == (keras.__version__, keras.config.backend())
    for name, checksum in facts["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "metadata.json", "weights.safetensors"]


def test_the_digest_changes_with_every_weight():
    part = make(SINGLE)
    digests = {digest(part)}
    for weight in part.weights:
        value = weight.numpy()
        value.flat[-1] = np.nextafter(value.flat[-1], np.float32(9))
        weight.assign(value)
        digests.add(digest(part))
    assert len(digests) == len(part.weights) + 1


def test_the_digest_does_not_depend_on_what_was_built_before():
    first, second = FeatureExtractor(make(SINGLE)), FeatureExtractor(make(SINGLE))
    second.set_weights(first.get_weights())
    assert digest(first) == digest(second)


def test_weights_of_another_architecture_are_listed_and_not_loaded(folder, tmp_path):
    other = make({"ecg": MODALITIES["ecg"], "resp": {"samples": 4, "channels": 1}}, depth=0, width=16)
    before = digest(other)
    save(make(SINGLE, depth=0), tmp_path)
    with pytest.raises(DataError, match="another architecture; nothing was loaded") as caught:
        load_weights(other, tmp_path / "weights.safetensors")
    assert "(8,) in the file, (16,) in the model" in str(caught.value)
    assert "more" in str(caught.value)
    assert digest(other) == before
    narrow = make({"eeg": {"samples": 8, "channels": 1}}, depth=0)
    with pytest.raises(DataError) as caught:
        load_weights(narrow, tmp_path / "weights.safetensors")
    assert "tokenizer_ecg/linear/bias: (8,) in the file, not in the model" in str(caught.value)
    assert "tokenizer_eeg/linear/bias: missing in the file, (8,) in the model" in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "metadata.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "empty"])
def test_damaged_folders_are_refused(copy, name, damage):
    data = bytearray((copy / name).read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0x40
    if damage == "missing":
        (copy / name).unlink()
    else:
        (copy / name).write_bytes({"cut": data[: len(data) // 2], "flipped": data, "empty": b""}[damage])
    with pytest.raises(DataError) as caught:
        load(copy)
    assert str(copy) in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [b"[]", b'{"class": "Dense", "config": {}}', b'{"class": "Encoder"}', b'{"class": "Encoder", "config": {"x": 1}}'],
)
def test_configurations_of_no_model_are_refused(copy, config):
    facts = json.loads((copy / "metadata.json").read_bytes())
    facts["sha256"]["config.json"] = hashlib.sha256(config).hexdigest()
    (copy / "metadata.json").write_text(json.dumps(facts))
    (copy / "config.json").write_bytes(config)
    with pytest.raises(DataError, match="does not describe one of Encoder"):
        load(copy)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "physiokeras model 0", "sha256": {}}', '{"sha256": 3}'])
def test_metadata_of_another_format_are_refused(copy, text):
    (copy / "metadata.json").write_text(text)
    with pytest.raises(DataError, match="not of the format"):
        load(copy)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(DataError, match=r"no metadata\.json"):
        load(tmp_path)


def test_folder_around_a_model_is_refused_with_the_way_to_it(folder):
    around = folder.with_name("around")
    shutil.copytree(folder, around / "model")
    with pytest.raises(DataError, match=f"around: no metadata.json; give its folder model, {around / 'model'}"):
        load(around)


def test_weights_that_are_no_weights_are_refused(copy, model):
    (copy / "weights.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(DataError, match="not a safetensors file"):
        load_weights(model, copy / "weights.safetensors")


def test_a_folder_is_rewritten_whole(tmp_path):
    save(make(SINGLE), tmp_path)
    second = make({"emg": MODALITIES["emg"]}, depth=0)
    save(second, tmp_path)
    assert metadata(tmp_path)["modalities"] == ["emg"]
    assert digest(load(tmp_path)) == digest(second)


def test_other_models_are_refused(tmp_path):
    with pytest.raises(TypeError, match="Received: Sequential"):
        save(keras.Sequential([keras.layers.Dense(2)]), tmp_path)


def test_names_of_weights_are_those_of_their_places(model):
    names = list(named_weights(model.encoder))
    assert names[0] == "tokenizer_eeg/patch/kernel"
    assert "block_0/query_key_value/kernel" in names
    assert [f"encoder/{name}" for name in names] == list(named_weights(model))[: len(names)]


def test_a_loaded_encoder_encodes_alike(model, tmp_path, inputs):
    save(model.encoder, tmp_path)
    loaded = load(tmp_path)
    assert isinstance(loaded, Encoder)
    assert_same_outputs(model.encoder, loaded, inputs)
    assert windows().keys() == inputs.keys()
