"""Spectra of patches: numbers against SciPy, statistics, gradients, saving, other backends."""

import importlib.util
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from contract import check_layer
from scipy.signal import periodogram
from tiny import to_numpy

from physiokeras.constants import INT16_SCALE
from physiokeras.layers import PatchSpectrum

OTHER = {"tensorflow": "torch", "jax": "torch", "torch": "jax"}[keras.config.backend()]
PRESENT = np.array([[True, True], [True, False], [False, True], [True, True], [False, False]])


def noise(rows=5, samples=240, channels=2, seed=0):
    """Noise whose power falls with frequency and differs between rows and channels, on an offset."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, samples, channels)).cumsum(axis=1) * 0.1 + draw.normal(size=(rows, samples, channels))
    return (x * draw.uniform(0.5, 2, (rows, 1, channels)) + draw.normal(size=(rows, 1, channels))).astype("float32")


def described(signal, time, spans, bands):
    """Powers and means of one channel `(samples,)`: lists of `(time, numbers)` in float64, by SciPy's periodogram."""
    patch, powers, means = len(signal) // time, [], []
    for span in spans:
        width = span * patch
        rows = []
        for p in range(time):
            start = min(max(p * patch - (width - patch) // 2, 0), len(signal) - width)
            piece = signal[start : start + width].astype("float64")
            taper = np.hanning(width + 2)[1:-1]
            _, power = periodogram(piece - piece.mean(), 1.0, taper, detrend=False, return_onesided=False)
            rows.append((power[: width // 2 + 1], piece.mean()))
        edges = np.unique(np.round(np.geomspace(1, width // 2 + 1, min(bands, width // 2) + 1)).astype(int))
        for low, high in itertools.pairwise(edges):
            powers.append([power[low:high].mean() for power, _ in rows])
        means.append([mean for _, mean in rows])
    return np.array(powers).T, np.array(means).T


def expected(train, present, signal, time, spans, bands):
    """The whole layer's numbers `(batch, time, numbers)`, as its description has them."""
    columns = []
    for c in range(signal.shape[2]):
        known = [described(x, time, spans, bands) for x in train[present[:, c], :, c]]
        floor = 0.001 * np.median([powers for powers, _ in known], axis=(0, 1))
        numbers, own = (
            np.array([np.hstack([np.log(powers + floor), means]) for powers, means in found])
            for found in (known, [described(x, time, spans, bands) for x in signal[:, :, c]])
        )
        columns.append((own - numbers.mean(axis=(0, 1))) / numbers.std(axis=(0, 1)))
    return np.concatenate(columns, axis=-1)


@pytest.mark.parametrize("samples", [240, 84])  # patches of 20 samples, and of 7, which have no middle
def test_numbers_equal_their_description_in_scipy(samples):
    train, signal = noise(samples=samples), noise(samples=samples, seed=1) * 1.5
    layer = PatchSpectrum(12, (1, 4, 7), bands=5)
    layer.adapt([(train[:2], PRESENT[:2]), (train[2:], PRESENT[2:])])
    found = to_numpy(layer(signal))
    wanted = expected(train, PRESENT, signal, 12, (1, 4, 7), 5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_tone_raises_its_band_alone():
    time = np.arange(3000) / 100
    tone = np.sin(2 * np.pi * 11 * time)[None, :, None] + 1e-3 * np.random.default_rng(0).normal(size=(4, 3000, 1))
    layer = PatchSpectrum(30, (4,))
    layer.adapt(noise(4, 3000, 1))
    numbers = to_numpy(layer(tone.astype("float32"))).mean(axis=(0, 1))
    # 11 Hz are 44 cycles in 4 s; bands of 4 s at 100 Hz are log-spaced from 1 to 201 cycles.
    assert numbers[:8].argmax() == int(8 * np.log(44) / np.log(201))


@pytest.mark.once
def test_a_tone_raises_most_the_numbers_whose_names_hold_its_frequency():
    layer, draw = PatchSpectrum(10, (1, 4)), np.random.default_rng(0)
    still = draw.normal(size=(4, 640, 2)).astype("float32")  # patches of 64 samples, half a second
    layer.adapt(still)
    names = layer.number_names(["C3", "C4"], 0.5)
    still[..., 1] += 3 * np.sin(2 * np.pi * 10 * np.arange(640) / 128)
    rose = to_numpy(layer(still)).mean(axis=(0, 1))
    for length in ("0.5", "2"):
        own = [n for n, name in enumerate(names) if name.endswith(f"Hz of {length} s")]
        low, high = re.fullmatch(r"C4 (\S+) to (\S+) Hz .*", names[max(own, key=rose.__getitem__)]).groups()
        assert float(low) <= 10 <= float(high)
    assert names[-2:] == ["C4 mean of 0.5 s", "C4 mean of 2 s"]


def test_spans_at_the_edges_are_moved_inside_and_long_ones_are_the_window():
    signal = noise(samples=60)
    layer = PatchSpectrum(6, (3, 16))
    layer.adapt(signal)
    short, long = np.split(to_numpy(layer(signal)).reshape(5, 6, 2, -1)[..., :14], 2, axis=-1)
    np.testing.assert_array_equal(short[:, 0], short[:, 1])
    assert np.abs(short[:, 1] - short[:, 2]).max(axis=(1, 2)).all()
    np.testing.assert_array_equal(long, np.broadcast_to(long[:, :1], long.shape))


@pytest.mark.parametrize(("patch", "bands"), [(1, 0), (2, 1), (3, 1), (4, 2), (16, 6), (64, 7)])
def test_slow_signals_have_fewer_bands_and_none_is_empty(patch, bands):
    signal = noise(samples=4 * patch)
    layer = PatchSpectrum(4, (1,))
    layer.adapt(signal)
    assert layer.numbers == bands + 1
    assert np.isfinite(to_numpy(layer(signal))).all()


def test_training_windows_have_mean_0_and_variance_1():
    signal = noise(rows=40)
    layer = PatchSpectrum(12)
    layer.adapt(signal)
    numbers = to_numpy(layer(signal))
    np.testing.assert_allclose(numbers.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(numbers.std(axis=(0, 1)), 1, atol=1e-4)


def test_statistics_are_of_exactly_the_windows_given():
    train, other = noise(), noise(seed=7) * 9
    layer, again = PatchSpectrum(12), PatchSpectrum(12)
    layer.adapt(other)
    layer.adapt(train)
    again.adapt(train[i : i + 2] for i in range(0, 5, 2))
    for ours, theirs in zip(layer.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    before = layer.get_weights()
    layer(other)
    np.testing.assert_array_equal(np.concatenate(layer.get_weights(), 1), np.concatenate(before, 1))
    with pytest.raises(ValueError, match="at least one window"):
        layer.adapt([])


def test_absent_channels_are_zero_and_count_in_no_statistic():
    signal = noise()
    garbage = np.where(PRESENT[:, None], signal, np.float32("nan"))
    layer, clean = PatchSpectrum(12), PatchSpectrum(12)
    layer.adapt([(garbage, PRESENT)])
    clean.adapt([(np.where(PRESENT[:, None], signal, 0), PRESENT)])
    for ours, theirs in zip(layer.get_weights(), clean.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    numbers = to_numpy(layer(garbage, present=PRESENT)).reshape(5, 12, 2, -1)
    kept = np.broadcast_to(PRESENT[:, None, :, None], numbers.shape)
    assert not numbers[~kept].any()
    np.testing.assert_array_equal(numbers[kept], to_numpy(layer(signal)).reshape(numbers.shape)[kept])


def test_channels_never_seen_and_constant_numbers_count_as_zero():
    signal = noise()
    signal[:, :, 0] = 3.0
    layer = PatchSpectrum(12)
    layer.adapt([(signal, np.array([[True, False]] * 5))])
    assert not to_numpy(layer(noise())).any()


def test_flat_signals_stay_finite():
    train, flat = noise(), noise()
    train[0, :, 0], flat[:, :, 0] = 20.0, 0.0
    layer = PatchSpectrum(12)
    layer.adapt(train)
    numbers = to_numpy(layer(flat))
    assert np.isfinite(numbers).all()
    layer.adapt(np.zeros_like(flat))
    np.testing.assert_allclose(layer.get_weights()[0], 1e-3 * INT16_SCALE**2 / 12, rtol=1e-5)


def test_training_windows_that_are_not_finite_are_refused():
    signal = noise()
    signal[3, 5, 1] = np.inf
    with pytest.raises(ValueError, match="channel 1: training windows hold values that are not finite"):
        PatchSpectrum(12).adapt(signal)


def test_without_statistics_all_is_nan():
    layer = PatchSpectrum(12)
    assert np.isnan(to_numpy(layer(noise()))).all()
    assert not layer.adapted
    layer.adapt(noise())
    assert layer.adapted


def test_gradients_reach_every_sample_and_are_finite():
    class Learned(keras.layers.Layer):
        def build(self, _):
            self.signal = self.add_weight(shape=(1, 240, 2), initializer="zeros", name="signal")

        def call(self, x):
            return x + self.signal

    layer, signal = PatchSpectrum(12), noise()
    layer.adapt(signal)
    signal[0, :, 0] = 0.0  # no power at all
    inputs = keras.Input((240, 2))
    model = keras.Model(inputs, layer(Learned(name="learned")(inputs)))
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    model.train_on_batch(signal, np.zeros((5, 12, 2 * layer.numbers), "float32"))
    moved = model.get_layer("learned").signal.numpy()
    assert np.isfinite(moved).all()
    assert (moved != 0).mean() > 0.99


def test_stays_in_float32_under_mixed_precision():
    signal = noise() + np.float32(15)  # bfloat16 would round the signal away
    layer, mixed = PatchSpectrum(12), PatchSpectrum(12, dtype="mixed_bfloat16")
    for each in (layer, mixed):
        each.adapt(signal)
    found = mixed(signal)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_array_equal(to_numpy(found), to_numpy(layer(signal)))


def test_keeps_the_contract(tmp_path):
    inputs = {"signal": noise(), "present": PRESENT}
    check_layer(PatchSpectrum, {"time": 12, "spans": (1, 4), "bands": 5}, inputs, tmp_path, trains=False)


def test_statistics_are_saved(tmp_path):
    layer = PatchSpectrum(12)
    layer.adapt(noise())
    inputs = keras.Input((240, 2))
    model = keras.Model(inputs, layer(inputs))
    assert not model.trainable_weights
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(loaded(noise(seed=1))), to_numpy(model(noise(seed=1))))


def test_wrong_arguments_are_named():
    for arguments, words in [({"spans": ()}, "`spans`"), ({"spans": (0, 1)}, "`spans`"), ({"bands": 0}, "`bands`")]:
        with pytest.raises(ValueError, match=words):
            PatchSpectrum(12, **arguments)
    with pytest.raises(ValueError, match="samples=241, time=12"):
        PatchSpectrum(12)(np.zeros((1, 241, 1), "float32"))


PROGRAM = """
import sys, keras, numpy as np
from physiokeras.layers import PatchSpectrum
train, signal = np.load(sys.argv[1])
layer = PatchSpectrum(12)
layer.adapt(train)
np.save(sys.argv[2], keras.ops.convert_to_numpy(layer(signal)))
"""


@pytest.mark.skipif(not importlib.util.find_spec(OTHER), reason=f"{OTHER} is not installed")
def test_another_backend_gives_equal_numbers(tmp_path):
    train, signal = noise(), noise(seed=1)
    np.save(tmp_path / "in.npy", np.stack([train, signal]))
    environment = {**os.environ, "KERAS_BACKEND": OTHER, "PYTHONPATH": str(Path(__file__).parents[2])}
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    layer = PatchSpectrum(12)
    layer.adapt(train)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), to_numpy(layer(signal)), atol=1e-4)
