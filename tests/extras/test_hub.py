"""Run where the extra `[hub]` is installed: pytest tests/extras/test_hub.py. The hub is a server on loopback."""

import contextlib
import hashlib
import io
import json
import os
import tempfile

import numpy as np
import pytest
from hub_server import Hub, serving

SERVED = contextlib.ExitStack()
HUB = Hub()
# The hub's client reads these when it is imported, and Keras imports it.
os.environ |= {
    "HF_ENDPOINT": SERVED.enter_context(serving(HUB)),
    "HF_HOME": SERVED.enter_context(tempfile.TemporaryDirectory()),
    "HF_TOKEN": "hf_of_nobody",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}

import keras  # noqa: E402
from huggingface_hub import ModelCard, constants  # noqa: E402

import physiokeras  # noqa: E402
from physiokeras import pipelines  # noqa: E402
from physiokeras.errors import DataError  # noqa: E402
from physiokeras.experiments import hub  # noqa: E402
from physiokeras.models import digest  # noqa: E402
from physiokeras.pipelines import convert  # noqa: E402
from physiokeras.pipelines.prepared.remote import local_folder  # noqa: E402
from physiokeras.pipelines.simulation.simulator import simulate  # noqa: E402
from physiokeras.recipes import export, push  # noqa: E402

HERE, THERE = "eeg_small", "hf://me/eeg"


@pytest.fixture(scope="module", autouse=True)
def server():
    yield
    SERVED.close()


@pytest.fixture(scope="module")
def pushed():
    """Address with the commit of a preset that the command pushed."""
    assert push.main(["--model", HERE, "--to", THERE]) == 0
    return f"{THERE}@{HUB.commits['me/eeg'][-1][0]}"


@pytest.fixture
def repository(pushed):
    """Files of a repository of its own, which each test may change, and a function that publishes them."""
    files = dict(HUB.commits["me/eeg"][-1][1])
    name = f"me/{len(HUB.commits)}"

    def publish(listed=True):
        if listed:
            sums = {n: hashlib.sha256(c).hexdigest() for n, c in files.items() if n not in (hub.LISTING, *hub.CARD)}
            files[hub.LISTING] = json.dumps({"format": hub.FORMAT, "files": sums}).encode()
        HUB.commit(name, files)
        return f"hf://{name}"

    yield files, publish
    HUB.cut.clear()
    HUB.changed.clear()
    HUB.sizes.clear()


def windows(model, rows=3):
    draw = np.random.default_rng(0)
    shapes = {name: (rows, sizes["samples"], sizes["channels"]) for name, sizes in model.encoder.modalities.items()}
    return {name: draw.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def test_pushed_model_is_read_back_with_the_same_weights_and_predictions(pushed, capsys):
    ours, theirs = physiokeras.load(HERE), physiokeras.load(THERE)
    assert theirs.folder.name == pushed.partition("@")[2]
    assert f"is now {pushed}" in capsys.readouterr().out
    assert digest(theirs.model) == digest(ours.model)
    inputs = windows(ours)
    np.testing.assert_array_equal(theirs.predict(inputs).probabilities, ours.predict(inputs).probabilities)
    physiokeras.load(pushed)
    assert "is now" not in capsys.readouterr().out


def test_keras_reads_the_same_model_from_the_hub(pushed):
    model = keras.saving.load_model(THERE)
    assert digest(model) == digest(physiokeras.load(HERE).model)


def test_prepared_data_are_read_from_a_data_set_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("PHYSIOKERAS_CACHE", str(tmp_path / "cache"))
    source = simulate(tmp_path / "source", 2, hours=0.1, seed=4, progress=False)
    folder = convert(source, "simulated", tmp_path / "out", progress=None).folder
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    HUB.commit("datasets/me/nights", {f"prepared/{name}": content for name, content in files.items()})
    ours, theirs = (pipelines.windows(place) for place in (folder, "hf://datasets/me/nights/prepared"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    copy = local_folder("hf://datasets/me/nights", lambda name: name.endswith(".json"))
    assert (copy / "prepared" / "manifest.json").read_bytes() == files["manifest.json"]


def test_card_has_the_hubs_metadata_and_the_presets_text(pushed):
    card = ModelCard(HUB.head("me/eeg")["README.md"].decode())
    assert card.data.library_name == "keras"
    assert (card.data.license, card.data.license_name) == ("other", "Apache-2.0; data ODC-By 1.0")
    assert {"physiokeras", "ecg"} <= set(card.data.tags)
    assert "## Scores" in card.text
    assert f'physiokeras.load("{THERE}")' in card.text


def test_names_of_people_and_of_this_machine_are_not_published(pushed):
    text = b"".join(content for name, content in HUB.head("me/eeg").items() if name.endswith(".json")).decode()
    assert "Subject00" not in text
    assert "machine" not in text
    assert "command" not in text


def test_an_older_revision_is_still_read_after_another_push(pushed):
    assert physiokeras.push(HERE, THERE, license="mit") != pushed
    assert ModelCard(HUB.head("me/eeg")["README.md"].decode()).data.license == "mit"
    assert physiokeras.load(pushed).folder.name == pushed.partition("@")[2]
    assert physiokeras.load(THERE).folder.name != pushed.partition("@")[2]


def test_files_of_an_earlier_push_are_removed(repository):
    files, publish = repository
    files["probes/other.npz"] = b"PK"
    address = publish()
    physiokeras.push(HERE, address)
    assert "probes/other.npz" not in HUB.head(address[5:])
    physiokeras.load(address)


def test_without_a_network_the_cache_is_read(pushed, monkeypatch, capsys):
    there = physiokeras.load(THERE).folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(HUB.asked)
    assert physiokeras.load(THERE).folder == there
    assert "from the cache" in capsys.readouterr().out
    physiokeras.load(f"{THERE}@{there.name}")
    assert len(HUB.asked) == asked
    with pytest.raises(DataError, match="hf://me/never: is not in the cache, and the hub was not reached"):
        physiokeras.load("hf://me/never")


def test_a_hub_that_does_not_answer_leaves_the_cache(pushed, monkeypatch):
    there = physiokeras.load(THERE).folder
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    assert physiokeras.load(THERE).folder == there
    with pytest.raises(DataError, match="the hub was not reached"):
        physiokeras.load("hf://me/never")


def test_no_such_model_and_no_such_revision_are_said(pushed):
    for address in ("hf://me/nothing", f"{THERE}@nothing"):
        with pytest.raises(DataError, match=f"{address}: no such model, or a private one"):
            physiokeras.load(address)


def test_truncated_download_is_refused_and_whole_the_next_time(repository):
    _, publish = repository
    address = publish()
    HUB.cut.add("model/weights.safetensors")
    with pytest.raises(DataError, match="was not downloaded whole"):
        physiokeras.load(address)
    HUB.cut.clear()
    assert physiokeras.load(address).tasks == ("task",)


def test_changed_bytes_are_downloaded_once_more_and_then_refused(repository):
    files, publish = repository
    address, name = publish(), "probes/task.npz"
    HUB.changed[name] = files[name][:-1] + b"?"
    with pytest.raises(DataError, match=rf"{address}: refused: the SHA-256 of {name}"):
        physiokeras.load(address)
    assert sum(f"GET /{address[5:]}/resolve" in line and name in line for line in HUB.asked) == 2
    HUB.changed.clear()
    assert physiokeras.load(address).tasks == ("task",)


@pytest.mark.parametrize("name", ["../evil.json", "model.bin", "probes/task.pkl", "model.keras", "a/b/c.json"])
def test_nothing_of_a_repository_with_other_files_is_downloaded(repository, name):
    files, publish = repository
    files[name] = b"{}"
    address = publish()
    with pytest.raises(DataError, match=f"{address}: refused: "):
        physiokeras.load(address)
    assert not any(f"/{address[5:]}/resolve" in line for line in HUB.asked)


def test_json_larger_than_any_models_is_not_downloaded(repository):
    _, publish = repository
    address = publish()
    HUB.sizes["model/config.json"] = 2**40
    with pytest.raises(DataError, match=r"model/config.json has 1099511627776 bytes"):
        physiokeras.load(address)
    assert not any(f"/{address[5:]}/resolve" in line for line in HUB.asked)


def pickled():
    content = io.BytesIO()
    np.savez(content, facts=np.array("{}"), weights=np.array([{}], object))
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("probes/task.npz", lambda content: pickled(), "probes/task.npz: not a probe's file, or damaged"),
        (
            "model/metadata.json",
            lambda content: content.replace(b"physiokeras model 1", b"physiokeras model 2"),
            "metadata.json: not of the format 'physiokeras model 1'",
        ),
        ("model/weights.safetensors", lambda content: content[:-8], "SHA-256 is not the one in metadata.json"),
        ("model/config.json", lambda content: b"[" * 100_000, "SHA-256 is not the one in metadata.json"),
    ],
)
def test_listed_files_that_are_no_model_are_refused_by_name(repository, name, change, message):
    files, publish = repository
    files[name] = change(files[name])
    with pytest.raises(DataError, match=message):
        physiokeras.load(publish())


def test_model_whose_channels_are_not_those_of_its_definition_is_refused(repository):
    files, publish = repository
    facts = json.loads(files["model/metadata.json"])
    channels = facts["definition"]["modalities"]["ecg"]["channels"]
    channels.append({**channels[0], "name": "another"})
    files["model/metadata.json"] = json.dumps(facts).encode()
    with pytest.raises(DataError, match="modality 'ecg': the model reads 1 channels"):
        physiokeras.load(publish())


def test_commands_take_models_of_the_hub_by_their_address(pushed, tmp_path, monkeypatch):
    seen = []
    from physiokeras import exporting
    from physiokeras.exporting import sources

    def stop(model, *rest, **more):
        seen.append(sources.read_source(model, "task", None).head.task.classes)
        raise DataError("enough")

    monkeypatch.setattr(exporting, "export", stop)
    backend = [
        "--backend",
        keras.config.backend(),
        "--format",
        "torch" if keras.config.backend() == "torch" else "saved_model",
    ]
    with pytest.raises(DataError, match="enough"):
        export.main(["--model", pushed, "--task", "task", "--out", str(tmp_path / "out"), *backend])
    assert seen == [("rest", "arithmetic")]
