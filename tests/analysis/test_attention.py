import itertools

import numpy as np
import pytest
from tiny import MODALITIES, TIME, encoder, to_numpy, varied, windows

from physiokeras.analysis import attention_measures as measure
from physiokeras.analysis.attention import (
    CONDITIONS,
    attention_differences,
    attention_sums,
    attention_table,
    curve_intervals,
    shifted,
)

PEOPLE = np.array(["b", "a", "b", "c", "a", "c", "c", "b", "a", "c"])
ABSENT = [(0, "eeg"), (3, "ecg"), (3, "emg"), (5, "emg")]


@pytest.fixture(scope="module")
def model():
    return varied(encoder(depth=2))


@pytest.fixture(scope="module")
def inputs():
    return windows(len(PEOPLE), absent=ABSENT)


@pytest.fixture(scope="module")
def whole(model, inputs):
    return attention_sums(model, [(inputs, PEOPLE)])


def parts(inputs, *borders):
    edges = [0, *borders, len(PEOPLE)]
    for first, last in itertools.pairwise(edges):
        yield {name: values[first:last] for name, values in inputs.items()}, PEOPLE[first:last]


def test_windows_one_by_one_give_what_all_at_once_give(model, inputs, whole):
    streamed = attention_sums(model, parts(inputs, 1, 4, 9))
    assert streamed.people.tolist() == ["a", "b", "c"]
    assert streamed.windows.tolist() == [3, 3, 4]
    assert (streamed.layers, streamed.modalities) == (("1", "2", "rollout"), tuple(MODALITIES))
    for name in ("bands", "picture"):
        np.testing.assert_allclose(getattr(streamed, name), getattr(whole, name), rtol=1e-5)
    for condition in CONDITIONS[:1] + CONDITIONS[2:]:  # permutations are drawn for each batch
        np.testing.assert_allclose(streamed.mass[condition], whole.mass[condition], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(streamed.expected[condition], whole.expected[condition], rtol=1e-6)


def test_sums_are_those_of_the_encoders_own_attention(model, inputs, whole):
    attention = to_numpy(model(inputs, return_attention=True)["attention"])
    present = np.stack([inputs["present"][:, :2].any(axis=1), *inputs["present"][:, 2:].T], axis=1)
    for layer, weights in enumerate(attention):
        others = measure.without_self(weights.mean(axis=1)[:, None], present)
        expected = measure.spread(others, 3)[PEOPLE == "a"].sum(axis=0)[0]
        np.testing.assert_allclose(whole.mass[CONDITIONS[0]][0, layer], expected, rtol=1e-4, atol=1e-6)
    through = np.eye(3 * TIME)
    for weights in attention:
        through = (weights[6].mean(axis=0) + np.eye(3 * TIME)) / 2 @ through
    alone = attention_sums(model, [({name: values[6:7] for name, values in inputs.items()}, PEOPLE[6:7])], nulls=False)
    np.testing.assert_allclose(alone.picture[-1], through, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(alone.picture.sum(axis=-1), 1, rtol=1e-5)
    assert list(alone.mass) == [CONDITIONS[0]]


def test_tokens_of_absent_modalities_count_nowhere(whole):
    mass, even = whole.total()
    queries = TIME * np.array([len(PEOPLE) - sum(name == m for _, m in ABSENT) for name in MODALITIES])
    np.testing.assert_allclose(mass.sum(axis=(-2, -1)), np.broadcast_to(queries, (3, 3)), rtol=1e-5)
    np.testing.assert_allclose(even[0].sum(axis=(-2, -1)), queries, rtol=1e-5)


def test_every_measure_has_an_interval_over_people_that_holds_it(whole):
    rows = attention_table(whole, draws=200)
    assert len(rows) == 3 * (4 * 3 + 1)
    for row in rows:
        assert row["low"] <= row["value"] <= row["high"]
    value, low, high = curve_intervals(whole, draws=200)
    assert value.shape == (3, TIME)
    assert ((low <= value) & (value <= high)).all()


def test_difference_is_that_of_the_measures_and_of_a_model_to_itself_none(model, inputs, whole):
    same = attention_differences(whole, whole, draws=20)
    assert all(numbers == (0, 0, 0) for numbers in same.values())
    other = attention_sums(varied(encoder(depth=2, heads=1)), [(inputs, PEOPLE)])
    tables = [
        {row["measure"]: row["value"] for row in attention_table(sums)
         if (row["condition"], row["layer"]) == (CONDITIONS[0], "rollout")}
        for sums in (whole, other)
    ]  # fmt: skip
    found = attention_differences(whole, other, draws=200)
    assert found.keys() == tables[0].keys()
    for name, (value, low, high) in found.items():
        assert value == pytest.approx(tables[0][name] - tables[1][name], abs=1e-9)
        assert low <= value <= high
    with pytest.raises(ValueError, match="same people"):
        attention_differences(whole, attention_sums(model, [(inputs, np.repeat("a", len(PEOPLE)))]))


def test_one_person_gives_numbers_without_intervals(model, inputs):
    rows = attention_table(attention_sums(model, [(inputs, np.array(["a"] * len(PEOPLE)))], nulls=False))
    assert all(np.isfinite(row["value"]) and np.isnan(row["low"]) for row in rows)


def test_one_modality_has_times_but_nothing_across():
    alone = encoder({"ecg": MODALITIES["ecg"]})
    signals = {"ecg": windows(len(PEOPLE))["ecg"]}  # without "present" all are
    rows = {row["measure"]: row for row in attention_table(attention_sums(alone, [(signals, PEOPLE)], nulls=False))}
    assert np.isfinite(rows["alignment"]["value"])
    assert np.isnan(rows["alignment_of_others"]["value"])
    assert np.isnan(rows["cross_modality"]["value"])


def test_shifting_rolls_each_modality_by_its_own_tokens(model, inputs):
    moved = shifted(model, inputs, [0, 1, 3])
    np.testing.assert_array_equal(moved["eeg"], inputs["eeg"])
    for name, tokens in (("ecg", 1), ("emg", 3)):
        samples = tokens * MODALITIES[name]["samples"] // TIME
        np.testing.assert_array_equal(moved[name][:, samples:], inputs[name][:, :-samples])
        np.testing.assert_array_equal(moved[name][:, :samples], inputs[name][:, -samples:])


def test_attention_that_follows_the_clock_or_the_signals_shows_when_they_are_shifted():
    """Stands in for an encoder: each token attends to the one, in the next modality, at its time or of its content."""

    class Stub:
        time, tokens, depth = 6, 18, 1

        def __init__(self, by_signals):
            self.modalities = {name: {"samples": 6, "channels": 1} for name in "abc"}
            self.by_signals = by_signals

        def attend(self, inputs):
            content = [inputs[name][:, :, 0] for name in self.modalities]
            when = [np.broadcast_to(np.arange(6), x.shape) for x in content]
            keys = np.concatenate(content if self.by_signals else when, axis=1)
            other = np.repeat(np.arange(3), 6)[:, None] != np.repeat(np.arange(3), 6)
            same = (keys[:, :, None] == keys[:, None]) & other
            return (same / same.sum(axis=2, keepdims=True)).astype("float32")[:, None]

    from physiokeras.analysis import attention

    inputs = {name: np.tile(np.arange(6.0)[None, :, None], (4, 1, 1)) for name in "abc"}
    for by_signals, followed, lost in ((False, 2, 3), (True, 3, 2)):
        stub = Stub(by_signals)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(attention, "HeadMeans", lambda stub: stub)
            patch.setattr(attention, "predict", lambda reader, inputs, batch: reader.attend(inputs))
            sums = attention_sums(stub, [(inputs, np.array(list("aabb")))])
        found = [measure.alignment_of_others(*sums.total(name), width=0)[0] for name in CONDITIONS]
        assert found[0] == found[followed] == pytest.approx(6)
        assert found[lost] == pytest.approx(0)


def test_no_window_is_an_error(model):
    with pytest.raises(ValueError, match="There is no window"):
        attention_sums(model, [])
