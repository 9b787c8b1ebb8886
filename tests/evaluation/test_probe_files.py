import io
import json
import zipfile

import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.probe_files import load_probe, save_probe
from physiokeras.evaluation.tasks import Task

pytestmark = pytest.mark.once

TASK = Task("stage", "stage", "classes", ("W", "N1", "N2"))


def probe(width=4):
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=shape).astype(np.float32) for shape in [width, width, (width, 3), 3]]
    return Probe(TASK, *arrays, 0.1, "digest", {0.1: 0.5, 1.0: 0.75}, context=2, context_mode="mean")


def altered(path, **changes):
    """The file with arrays or facts replaced."""
    with np.load(path) as file:
        parts = dict(file)
    facts = {**json.loads(str(parts["facts"])), **{k: v for k, v in changes.items() if k not in parts}}
    parts |= {"facts": np.array(json.dumps(facts))} | {k: v for k, v in changes.items() if k in parts}
    np.savez(path, **parts)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "stage.npz"
    save_probe(probe(), path)
    return path


def test_saved_probe_predicts_the_same(saved):
    features = np.random.default_rng(1).normal(size=(5, 4))
    loaded = load_probe(saved, encoder="digest")
    np.testing.assert_array_equal(loaded.predict_proba(features), probe().predict_proba(features))
    assert (loaded.task, loaded.strength, loaded.tried) == (TASK, 0.1, {0.1: 0.5, 1.0: 0.75})
    assert (loaded.context, loaded.context_mode) == (2, "mean")


def test_file_of_an_earlier_version_has_no_context(saved):
    with np.load(saved) as file:
        facts = json.loads(str(file["facts"]))
    del facts["context"], facts["context_mode"]
    altered(saved, facts=np.array(json.dumps(facts)))
    assert (load_probe(saved).context, load_probe(saved).context_mode) == (0, "concatenate")


def test_features_of_another_encoder_are_refused(saved):
    with pytest.raises(DataError, match="features of encoder digest, not other"):
        load_probe(saved, encoder="other")


def test_pickle_is_refused_and_not_run(saved):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the pickle ran",)

    altered(saved, weights=np.array([Trap()], dtype=object))
    with pytest.raises(DataError, match=r"stage\.npz: not a probe's file"):
        load_probe(saved)


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -200])
def test_cut_file_is_refused(saved, cut):
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(DataError, match="not a probe's file"):
        load_probe(saved)


def test_flipped_byte_in_the_weights_is_refused(saved):
    content = bytearray(saved.read_bytes())
    place = content.find(probe().weights.tobytes())
    content[place + 5] ^= 1
    saved.write_bytes(content)
    with pytest.raises(DataError, match="not a probe's file"):
        load_probe(saved)


def test_absurd_shape_is_refused_before_memory_is_taken(saved):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)})
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("mean.npy", header.getvalue())
    with pytest.raises(DataError, match="which its size contradicts"):
        load_probe(saved)


def test_file_that_unpacks_without_end_is_refused(saved, monkeypatch):
    monkeypatch.setattr("physiokeras.evaluation.probe_files.LARGEST", 1000)
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean.npy", bytes(10**6))
    with pytest.raises(DataError, match="would take 1000000 bytes"):
        load_probe(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "something else"}, "its format is not"),
        ({"mean": np.zeros(5, np.float32)}, "other shapes"),
        ({"weights": np.zeros((4, 2), np.float32)}, "other shapes"),
        ({"mean": np.zeros(4)}, "not float32"),
        ({"scale": np.full(4, np.nan, np.float32)}, "not finite"),
        ({"task": {"name": "t"}}, "classes"),
        ({"task": {"name": "t", "label": "t", "classes": [], "run": "x"}}, "run"),
        ({"tried": 3}, "not iterable"),
        ({"context_mode": "median"}, "its context mode is 'median'"),
    ],
)
def test_contradictory_content_is_refused(saved, changes, message):
    altered(saved, **changes)
    with pytest.raises(DataError, match=message):
        load_probe(saved)
