import itertools

import numpy as np
import pytest

from physiokeras.constants import INT16_SCALE
from physiokeras.evaluation.band_power import BANDS, band_edges, band_powers, features_of_records
from physiokeras.pipelines import Manifest, convert, simulate, windows

pytestmark = pytest.mark.once
DRAW = np.random.default_rng(0)
SECONDS, RATE = 20, 32


def by_hand(signal, rate, span):
    """Log band powers of one window by a loop over seconds, with NumPy's transform."""
    samples = span * rate
    before = (samples - rate) // 2
    after = samples - rate - before
    padded = [*signal[before:0:-1], *signal, *signal[-2 : -after - 2 : -1]] if before or after else list(signal)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)
    rows = []
    for second in range(len(signal) // rate):
        own = np.array(padded[second * rate : second * rate + samples])
        density = np.abs(np.fft.rfft((own - own.mean()) * taper)) ** 2 / (rate * np.sum(taper**2))
        density[1:-1] *= 2  # of negative frequencies too
        edges = np.round(np.exp(np.linspace(0, np.log(len(density)), 9))).astype(int)
        edges = sorted(set(edges.tolist()))
        rows.append([np.mean(density[a:b]) for a, b in itertools.pairwise(edges)])
    noise = INT16_SCALE**2 / 12 * 2 / rate
    return np.mean(np.log(np.array(rows) + noise), axis=0)


def test_powers_equal_a_loop_over_seconds():
    signals = DRAW.normal(size=(3, SECONDS * RATE)).cumsum(axis=1) / 10
    found = band_powers(signals, RATE)
    for signal, row in zip(signals, found, strict=True):
        expected = [signal.mean(), *(number for span in (1, 4, 16) for number in by_hand(signal, RATE, span))]
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frequencies", [3, 5, 9, 17, 65, 513])
def test_bands_are_at_most_eight_and_cover_every_frequency_but_zero_once(frequencies):
    edges = band_edges(2 * frequencies - 2, BANDS)
    covered = [number for low, high in itertools.pairwise(edges) for number in range(low, high)]
    assert covered == list(range(1, frequencies))
    assert len(edges) <= 9


def test_power_lies_in_the_band_of_a_sine_and_follows_its_amplitude():
    time = np.arange(SECONDS * RATE) / RATE
    sine = np.sin(2 * np.pi * 5.5 * time)
    one, ten, silent = band_powers(np.stack([sine, 10 * sine, 0 * sine]), RATE)
    # The last eight numbers are of spans of 16 s: frequencies are 1/16 Hz apart, 5.5 Hz is number 88.
    edges = band_edges(16 * RATE, BANDS)
    band = int(np.searchsorted(edges, 88, side="right")) - 1
    assert int(np.argmax(one[-8:])) == band
    # A sine of amplitude 1 has power 1/2; a density's mean times the band's width is its power.
    width = (edges[band + 1] - edges[band]) / 16
    inside = one[-8:][band] + np.log(width)
    assert inside == pytest.approx(np.log(0.5), abs=0.2)  # reflection bends its ends
    assert ten[-8:][band] - one[-8:][band] == pytest.approx(np.log(100), abs=1e-3)
    assert np.isfinite(silent).all()


def test_short_windows_and_slow_channels_leave_out_the_spans_that_do_not_fit():
    def numbers(seconds, rate):
        return band_powers(np.zeros((2, seconds * rate)), rate).shape[1]

    def bands(samples):
        return len(band_edges(samples, BANDS)) - 1

    assert numbers(10, 32) == 1 + bands(32) + bands(4 * 32)  # no span of 16 s
    assert numbers(20, 2) == 1 + bands(4 * 2) + bands(16 * 2)  # two samples have no spectrum
    assert numbers(3, 1) == 1  # the mean alone


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bands")
    source = simulate(folder / "source", 3, 0, 0.1, seed=1, workers=1)
    convert(source, "simulated", folder / "prepared", workers=1, progress=None)
    return Manifest.read(folder / "prepared")


def test_features_are_those_of_the_channels_and_absent_ones_are_zeros(manifest):
    names = [record.name for record in manifest.records]
    found = features_of_records(manifest, names, ["eeg", "ecg"])
    data = windows(manifest.folder, modalities=["eeg", "ecg"], labels=["record", "window"])
    channels = [data["eeg"][..., i] for i in range(data["eeg"].shape[2])] + [data["ecg"][..., 0]]
    rates = [manifest.modalities["eeg"]["rate"]] * data["eeg"].shape[2] + [manifest.modalities["ecg"]["rate"]]
    own = [band_powers(x * INT16_SCALE, rate) for x, rate in zip(channels, rates, strict=True)]
    expected = [np.where(data["present"][:, [i]], part, 0) for i, part in enumerate(own)]
    np.testing.assert_allclose(found.values, np.concatenate(expected, axis=1), atol=1e-5)
    np.testing.assert_array_equal(found.labels["window"], data["window"])
    assert found.people.tolist() == [manifest.records[index].person for index in data["record"]]
    ecg = features_of_records(manifest, names, ["eeg", "ecg"], left=["ecg"]).values
    np.testing.assert_array_equal(ecg[:, -own[-1].shape[1] :], found.values[:, -own[-1].shape[1] :])
    assert not ecg[:, : -own[-1].shape[1]].any()
