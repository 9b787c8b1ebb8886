import numpy as np
import pytest
from scipy import signal

from physiokeras.constants import INT16_SCALE
from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.definition import Channel, Modality
from physiokeras.pipelines.readers.units import convert_unit
from physiokeras.pipelines.signals import processing
from physiokeras.pipelines.signals.channels import channel_windows


def modality(rate=100.0, **changes):
    return Modality(name="x", rate=rate, channels=(Channel("X"),), **changes)


def sine(frequency, rate, seconds, phase=0.0):
    return np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate + phase).astype(np.float32)


def convert(values, native, kind, window=30):
    windows = int(len(values) / native / window)
    out = np.zeros((windows, round(kind.rate * window)), np.int16)
    usable, quality = channel_windows(values.copy(), native, kind, window, out)
    return out, usable, quality


def test_short_gap_becomes_a_straight_line_and_long_ones_are_named():
    values = np.arange(1000, dtype=np.float32)
    values[100:150], values[400:600], values[:3], values[-2:] = np.nan, np.nan, np.nan, np.nan
    gaps = processing.fill_gaps(values, rate=100)
    assert gaps.tolist() == [[400, 600]]
    np.testing.assert_allclose(values[3:-2], np.arange(1000)[3:-2], rtol=1e-6)
    assert values[:3].tolist() == [3, 3, 3]
    assert values[-2:].tolist() == [997, 997]


@pytest.mark.parametrize(("length", "long"), [(99, 0), (100, 0), (101, 1)])
def test_a_gap_is_long_above_one_second(length, long):
    values = np.ones(1000, np.float32)
    values[10 : 10 + length] = np.nan
    assert len(processing.fill_gaps(values, rate=100)) == long


@pytest.mark.parametrize(
    ("native", "target"), [(200, 100), (360, 100), (480, 100), (496, 100), (31, 20), (15.5, 10), (4, 4), (64, 100)]
)
def test_resampling_keeps_a_slow_sine_in_place_at_any_ratio(native, target):
    result = processing.resample(sine(1.3, native, 60, 0.7), native, target)
    expected = sine(1.3, target, 60, 0.7)
    assert result.dtype == np.float32
    assert abs(len(result) - len(expected)) <= 1
    inner = slice(3 * target, 57 * target)
    np.testing.assert_allclose(result[inner], expected[inner], atol=6e-3)


def test_resampling_keeps_a_constant_up_to_both_ends():
    np.testing.assert_allclose(processing.resample(np.full(9000, 36.5, np.float32), 360, 100), 36.5, rtol=1e-4)


@pytest.mark.parametrize("frequency", [60, 75, 95])
def test_what_lies_above_the_new_nyquist_does_not_fold_back(frequency):
    kept = processing.resample(sine(frequency, 200, 20), 200, 100)[200:-200]
    assert np.abs(sine(frequency, 200, 20)[::2][200:-200]).max() > 0.9
    assert np.abs(kept).max() < 0.01


def test_the_pass_band_has_unit_gain_and_no_phase_shift():
    kind, values = modality(bandpass=(0.3, 35.0)), sine(10, 100, 60, 1.1)
    inner = slice(1000, -1000)
    np.testing.assert_allclose(processing.filter_signal(values, kind, 200)[inner], values[inner], atol=2e-3)


@pytest.mark.parametrize("frequency", [0.05, 48])
def test_the_stop_band_is_attenuated(frequency):
    kind, values = modality(bandpass=(0.3, 35.0)), sine(frequency, 100, 120)
    assert np.abs(processing.filter_signal(values, kind, 200)[2000:-2000]).max() < 0.02


def test_the_notch_removes_the_mains_and_spares_its_neighbours():
    kind = modality(200, bandpass=(10.0, 95.0), notch=60)
    mains, near = (processing.filter_signal(sine(f, 200, 60), kind, 200)[2000:-2000] for f in (60, 54))
    assert np.abs(mains).max() < 0.02
    assert np.abs(near).max() > 0.9


@pytest.mark.parametrize("length", [40, 5000, 600_000])
def test_chunked_filter_equals_scipy(length):
    values = np.random.default_rng(0).normal(5, 3, length).astype(np.float32)
    sections = signal.butter(4, (0.5, 40), "bandpass", fs=100, output="sos")
    expected = signal.sosfiltfilt(sections, values.astype(np.float64), padtype="even", padlen=min(600, length - 1))
    np.testing.assert_allclose(processing.zero_phase(values, sections, 600), expected, atol=2e-5)


def test_an_upper_edge_beyond_the_native_nyquist_becomes_a_high_pass():
    kind, values = modality(bandpass=(0.5, 40.0)), sine(30, 100, 60)
    np.testing.assert_allclose(
        processing.filter_signal(values, kind, native=64)[1000:-1000], values[1000:-1000], atol=2e-3
    )


def test_a_band_wholly_above_the_native_nyquist_is_an_error():
    with pytest.raises(DataError, match="recorded at 15 Hz, it has no signal in the band 10 to 45 Hz"):
        processing.design_filter(modality(bandpass=(10.0, 45.0)), native=15)


@pytest.mark.parametrize(("seconds", "absent"), [(0.5, []), (2, [1])])
def test_a_gap_over_one_second_makes_only_its_window_absent(seconds, absent):
    values = np.random.default_rng(0).normal(0, 20, 200 * 120).astype(np.float32)
    values[200 * 40 : round(200 * (40 + seconds))] = np.nan
    stored, usable, quality = convert(values, 200, modality(bandpass=(0.3, 35.0)))
    assert np.flatnonzero(~usable).tolist() == absent
    assert not stored[~usable].any()
    assert quality["present"] == usable.mean()


@pytest.mark.parametrize(("end", "absent"), [(59.95, [1]), (60, [1]), (60.005, [1]), (60.25, [1]), (60.3, [1, 2])])
def test_the_edge_of_a_long_gap_costs_no_window(end, absent):
    values = np.random.default_rng(0).normal(0, 20, 200 * 120).astype(np.float32)
    values[200 * 57 : round(200 * end)] = np.nan
    assert np.flatnonzero(~convert(values, 200, modality())[1]).tolist() == absent


def test_one_sample_of_a_long_gap_costs_a_slow_channel_no_window():
    values = np.random.default_rng(0).normal(95, 1, 120).astype(np.float32)
    values[50:61] = np.nan
    assert convert(values, 1, modality(1.0))[1].tolist() == [True, False, True, True]
    values[61] = np.nan
    assert convert(values, 1, modality(1.0))[1].tolist() == [True, False, False, True]


def test_a_gaps_edge_errs_by_less_than_two_thirds_of_a_gap_that_is_filled():
    kind = modality(bandpass=(0.3, 35.0), scale="physical", factor=10.0)
    errors = np.zeros((20, 2))
    for trial in range(20):
        values = np.random.default_rng(trial).normal(0, 20, 200 * 120).astype(np.float32)
        whole = convert(values, 200, kind)[0][2].astype(float)
        for place, (begin, end) in enumerate([(40, 60.25), (70, 71)]):
            holed = values.copy()
            holed[200 * begin : round(200 * end)] = np.nan
            stored, usable, _ = convert(holed, 200, kind)
            assert usable[2]
            errors[trial, place] = np.square(stored[2] - whole).mean()
    edge, inside = np.sqrt(errors.mean(axis=0))
    assert edge < 2 / 3 * inside


def test_a_gap_hardly_changes_the_windows_that_stay():
    values = np.cumsum(np.random.default_rng(0).normal(0, 2, 200 * 150)).astype(np.float32)
    kind = modality(bandpass=(0.3, 35.0), scale="physical", factor=10.0)
    whole, _, _ = convert(values, 200, kind)
    values[200 * 65 : 200 * 85] = np.nan
    holed, usable, _ = convert(values, 200, kind)
    difference = np.abs(whole[usable].astype(int) - holed[usable]).max() / np.abs(whole).max()
    assert usable.tolist() == [True, True, False, True, True]
    assert difference < 0.02


def test_a_disconnected_stretch_is_flat_where_it_fills_half_a_window():
    values = np.random.default_rng(0).normal(0, 20, 200 * 150).astype(np.float32)
    values[200 * 30 : 200 * 60] = -7
    values[200 * 75 : 200 * 90] = 5
    values[200 * 90 : 200 * 104] = 5
    _, usable, quality = convert(values, 200, modality(bandpass=(0.3, 35.0)))
    assert usable.tolist() == [True, False, False, True, True]
    assert "flat in 40% of the windows" in quality["notes"]


def test_a_steady_level_is_information_where_no_band_is_filtered():
    values = np.full(4 * 120, 97, np.float32)
    values[200:] = 96
    kind = modality(4.0, scale="physical", offset=95.0, factor=5.0)
    stored, usable, _ = convert(values, 4, kind)
    assert usable.all()
    np.testing.assert_allclose(stored.reshape(-1) * INT16_SCALE, (values - 95) / 5, atol=INT16_SCALE / 2)


@pytest.mark.parametrize("value", [0, np.nan])
def test_a_channel_that_never_changes_or_is_all_missing_is_absent(value):
    stored, usable, quality = convert(np.full(4 * 120, value, np.float32), 4, modality(4.0))
    assert not usable.any()
    assert not stored.any()
    assert quality["present"] == 0
    assert quality["notes"]


def test_a_channel_whose_interquartile_range_is_zero_is_absent():
    values = np.zeros(4 * 120, np.float32)
    values[::10] = 1
    _, usable, quality = convert(values, 4, modality(4.0))
    assert not usable.any()
    assert "its interquartile range is 0" in quality["notes"]


def test_robust_scale_uses_median_and_iqr_of_usable_samples_alone():
    values = np.random.default_rng(0).gamma(2, 10, 100 * 120).astype(np.float32)
    values[100 * 30 : 100 * 60] = np.nan
    _, usable, quality = convert(values, 100, modality())
    # The resampler is not in use, so a gap of exactly one window touches no other.
    kept = values.reshape(4, 3000)[usable].astype(np.float64)
    assert usable.tolist() == [True, False, True, True]
    low, middle, high = np.percentile(kept, (25, 50, 75))
    np.testing.assert_allclose([quality["offset"], quality["factor"]], [middle, high - low], rtol=1e-6)


@pytest.mark.parametrize("scale", [{"scale": "robust"}, {"scale": "physical", "offset": 3.0, "factor": 4.0}])
def test_storing_errs_by_at_most_half_a_step(scale):
    values = np.random.default_rng(0).normal(3, 4, 100 * 60).astype(np.float32)
    stored, _, quality = convert(values, 100, modality(**scale))
    back = stored.reshape(-1) * INT16_SCALE * quality["factor"] + quality["offset"]
    assert np.abs(back - values).max() <= (INT16_SCALE / 2 * quality["factor"]) * 1.01


def test_scaled_values_are_clipped_and_counted():
    values = np.random.default_rng(0).normal(0, 1, 100 * 60).astype(np.float32)
    values[:60] = 1e6
    values[60:120] = -1e6
    stored, _, quality = convert(values, 100, modality(clip=10.0))
    limit = round(10 / INT16_SCALE)
    assert stored.max() == limit
    assert stored.min() == -limit
    assert quality["clipped"] == pytest.approx(0.02)
    assert quality["notes"] == ["2% of the samples beyond the scale's range, clipped"]


def test_the_full_range_fits_int16():
    assert processing.to_int16(np.array([1e9, -1e9, 20, 0], np.float32), 0, 1, 20).tolist() == [32767, -32767, 32767, 0]


def test_implausible_amplitude_is_kept_and_flagged():
    values = np.random.default_rng(0).normal(0, 1e5, 100 * 60).astype(np.float32)
    _, usable, quality = convert(values, 100, modality(bandpass=(0.3, 35.0), unit="uV"))
    assert usable.all()
    assert any("implausible amplitude" in note for note in quality["notes"])
    # Microvolts that were taken for volts, where no band-pass removes drifts of some millivolts.
    for factor, noted in ((0.1, False), (30.0, True)):
        notes = convert(values * np.float32(factor), 100, modality(unit="uV"))[2]["notes"]
        assert any("implausible amplitude" in note for note in notes) == noted


@pytest.mark.parametrize(("level", "unit", "noted"), [(0.5, "%", True), (95, "%", False), (300, "degC", True)])
def test_a_level_that_no_living_person_has_is_kept_and_flagged(level, unit, noted):
    values = np.random.default_rng(0).normal(level, 0.1, 100 * 60).astype(np.float32)
    _, usable, quality = convert(values, 100, modality(unit=unit))
    assert usable.all()
    assert any("implausible amplitude: median" in note for note in quality["notes"]) == noted


def test_windows_are_aligned_to_the_start_and_the_rest_is_left_out():
    values = np.arange(100 * 100, dtype=np.float32)
    stored, usable, quality = convert(values, 100, modality(scale="physical", factor=1000.0))
    assert len(stored) == len(usable) == 3
    np.testing.assert_allclose(stored[1] * INT16_SCALE * quality["factor"], values[3000:6000], atol=0.4)


def test_units_of_one_kind_convert_and_others_are_refused():
    assert convert_unit(np.array([1.5]), "mV", "uV").tolist() == [1500]
    assert convert_unit(np.array([1.5]), "NU", None).tolist() == [1.5]
    with pytest.raises(DataError, match="its unit is 'mV', but the definition expects '%'"):
        convert_unit(np.array([1.5]), "mV", "%")


def test_no_nan_survives():
    values = np.random.default_rng(0).normal(0, 20, 200 * 120).astype(np.float32)
    values[np.random.default_rng(1).random(len(values)) < 0.3] = np.nan
    stored, usable, _ = convert(values, 200, modality(bandpass=(0.3, 35.0)))
    assert usable.all()
    assert stored.any(axis=1).all()


@pytest.mark.parametrize(("native", "target"), [(100 / 1.00004, 100), (999.4121, 100), (600.615, 100), (100.002, 50)])
def test_a_rate_near_a_round_one_is_taken_as_it_is(native, target):
    times = np.arange(round(3 * 3600 * native)) / native
    slow = processing.resample(np.sin(2 * np.pi * 0.05 * times).astype(np.float32), native, target)
    last = np.arange(len(slow) - 100 * target, len(slow) - 10 * target)
    np.testing.assert_allclose(slow[last], np.sin(2 * np.pi * 0.05 * last / target), atol=2e-3)


@pytest.mark.parametrize("rate", [1.0, 0.5, 2.0, 64.0])
def test_a_slow_channel_is_not_flat_and_a_constant_one_is(rate):
    values = np.random.default_rng(0).normal(size=round(300 * rate)).astype(np.float32)
    for factor, flat in ((1, False), (0, True)):
        found = processing.flat_windows(*processing.extremes(values * factor, rate, 10, 30))
        assert found.tolist() == [flat] * 10
