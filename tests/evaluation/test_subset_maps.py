import io
import json

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score

from physiokeras.errors import DataError
from physiokeras.evaluation.features import Features
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.subset_maps import SubsetMap, SubsetMaps, mapped_subsets
from physiokeras.evaluation.tasks import Task

pytestmark = pytest.mark.once

NAMES = ("eeg", "eog", "ecg")
WIDTH, SOURCES = 12, 3


def of_sources(windows=3000, seed=0):
    """Latent sources, and features linear in them: `full`, and dict of subset to features of other weights and mean.

    Each subset's features tell all sources, each moves the mean elsewhere, and some numbers are constant there.
    """
    weights = np.random.default_rng(9)
    sources = np.random.default_rng(seed).normal(size=(windows, SOURCES))
    full = sources @ weights.normal(size=(SOURCES, WIDTH)) + weights.normal(size=WIDTH)
    some = {}
    for left in mapped_subsets(NAMES):
        mixed = sources @ weights.normal(size=(SOURCES, WIDTH)) + 10 * weights.normal(size=WIDTH)
        mixed[:, -2:] = 0
        some[left] = mixed
    return sources, full, some


def absent(left, windows):
    return np.tile([name in left for name in NAMES], (windows, 1))


def test_map_recovers_features_that_are_linear_in_the_same_sources():
    _, full, some = of_sources()
    maps = SubsetMaps.fit(NAMES, full, some, strength=1e-6)
    _, other_full, other = of_sources(500, seed=1)
    for left in mapped_subsets(NAMES):
        found, known = maps.apply(other[left], absent(left, 500))
        assert known.all()
        np.testing.assert_allclose(found, other_full, atol=1e-4)
        assert np.abs(other[left] - other_full).max() > 1
        assert maps.maps[left].into.shape == (WIDTH, SOURCES)


def test_map_of_full_rank_is_the_ridge_regression_of_scikit_learn():
    draw = np.random.default_rng(2)
    some, full = draw.normal(size=(400, 5)), draw.normal(size=(400, 5))
    full[:, :3] += some[:, :3] @ draw.normal(size=(3, 3))
    some, full = (values * [1, 2, 3, 4, 5] + 7 for values in (some, full))
    found = SubsetMap.fit(some, full, strength=50.0)(some)
    x, y = ((values - values.mean(axis=0)) / values.std(axis=0) for values in (some, full))
    expected = Ridge(alpha=50.0).fit(x, y).predict(x) * full.std(axis=0) + full.mean(axis=0)
    lost = np.sum(((found - expected) / full.std(axis=0)) ** 2) / np.sum(((expected - full.mean(0)) / full.std(0)) ** 2)
    assert lost < 0.001


def test_subset_that_tells_nothing_maps_to_the_mean():
    draw = np.random.default_rng(3)
    full = draw.normal(size=(100, 4)) + 5
    found = SubsetMap.fit(np.zeros((100, 4)), full)(np.zeros((2, 4)))
    np.testing.assert_allclose(found, [full.mean(axis=0)] * 2, rtol=1e-6)


def test_windows_with_all_modalities_and_those_without_a_map_stay():
    _, full, some = of_sources(200)
    maps = SubsetMaps.fit(NAMES, full, {("eeg",): some[("eeg",)]})
    present = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
    found, known = maps.apply(full[:4], present)
    assert known.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(found[[0, 2, 3]], full[[0, 2, 3]])
    assert np.abs(found[1] - full[1]).max() > 0.1


def test_probe_predicts_by_mapped_features_what_it_predicts_by_all_and_not_one_class():
    sources, full, some = of_sources()
    targets = (sources[:, 0] > 0).astype(int) + (sources[:, 1] > 0.5)
    task = Task("stage", "stage", "classes", ("W", "N1", "N2"))
    probe = Probe.fit(task, Features(full, {"stage": targets}, np.arange(len(full))))
    maps = SubsetMaps.fit(NAMES, full, some)
    for left in mapped_subsets(NAMES):
        without = balanced_accuracy_score(targets, probe.predict(some[left]))
        mapped = probe.predict(maps.apply(some[left], absent(left, len(full)))[0])
        assert len(np.unique(mapped)) == 3
        score = balanced_accuracy_score(targets, mapped)
        assert score > 0.75
        assert score > without + 0.1


def test_modalities_beyond_six_have_maps_of_one_and_of_all_but_one():
    assert len(mapped_subsets("abcdef")) == 62
    assert {len(left) for left in mapped_subsets("abcdefg")} == {1, 6}


@pytest.fixture
def saved(tmp_path):
    _, full, some = of_sources(300)
    maps = SubsetMaps.fit(NAMES, full, some, encoder="digest")
    maps.save(tmp_path / "subset_maps.npz")
    return maps, some, tmp_path / "subset_maps.npz"


def test_saved_maps_give_the_same(saved):
    maps, some, path = saved
    loaded = SubsetMaps.load(path, encoder="digest")
    assert (loaded.modalities, loaded.encoder, list(loaded.maps)) == (NAMES, "digest", mapped_subsets(NAMES))
    for left, values in some.items():
        present = absent(left, len(values))
        np.testing.assert_array_equal(loaded.apply(values, present)[0], maps.apply(values, present)[0])


def test_maps_of_another_encoder_are_refused(saved):
    with pytest.raises(DataError, match=r"subset_maps\.npz: fitted on features of encoder digest, not other"):
        SubsetMaps.load(saved[2], encoder="other")


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -200])
def test_cut_file_is_refused_by_name(saved, cut):
    saved[2].write_bytes(saved[2].read_bytes()[:cut])
    with pytest.raises(DataError, match=r"subset_maps\.npz: not a file of subset maps"):
        SubsetMaps.load(saved[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "physiokeras probe 1"}, "its format is not"),
        ({"subsets": [["eeg"], ["snore"]]}, "no proper subset"),
        ({"subsets": [["eeg", "eog", "ecg"]]}, "no proper subset"),
        ({"subsets": [["eeg"]] * 9}, "into_6"),
        ({"modalities": 3}, "not iterable"),
        ({"bias_1": np.zeros(5, np.float32)}, "contradict each other"),
        ({"into_0": np.zeros((WIDTH, SOURCES))}, "not finite float32"),
        ({"out_2": np.full((SOURCES, WIDTH), np.nan, np.float32)}, "not finite float32"),
        (
            {n: np.zeros(s, np.float32) for n, s in (("into_0", (5, 1)), ("out_0", (1, 5)), ("bias_0", 5))},
            "different widths",
        ),
        ({"bias_0": np.array([{}], dtype=object)}, "not a file"),
    ],
)
def test_contradictory_content_is_refused(saved, changes, message):
    path = saved[2]
    with np.load(path) as file:
        parts = dict(file)
    facts = {**json.loads(str(parts["facts"])), **{k: v for k, v in changes.items() if k not in parts}}
    parts |= {"facts": np.array(json.dumps(facts))} | {k: v for k, v in changes.items() if k in parts}
    content = io.BytesIO()
    np.savez(content, **parts)
    path.write_bytes(content.getvalue())
    with pytest.raises(DataError, match=message):
        SubsetMaps.load(path)
