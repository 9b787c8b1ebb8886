from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import find_peaks, welch

from physiokeras.pipelines.simulation.brain import eeg
from physiokeras.pipelines.simulation.physiology import simulate_night
from physiokeras.pipelines.simulation.sleep import N2, N3, R, W, draw_hypnogram, draw_person

RATE, EPOCH = 200, 6000
STAGES = ["W", "N1", "N2", "N3", "R"]


def band_power(windows, low, high):
    frequency, density = welch(windows, RATE, nperseg=800, axis=-1)
    return density[..., (frequency >= low) & (frequency < high)].sum(axis=-1)


def heart_rate(recording):
    """Mean rate of each epoch from R peaks, and the spread of the intervals; NaN where unreadable."""
    rates, spreads = [], []
    for window in recording.windows("ECG"):
        peaks = find_peaks(window, height=0.55 * np.quantile(window, 0.997), distance=70)[0]
        gaps = np.diff(peaks) / RATE
        near = gaps[np.abs(gaps - np.median(gaps)) < 0.3] if len(gaps) > 10 else gaps[:0]
        rates.append(60 / np.median(gaps) if len(near) > 10 else np.nan)
        spreads.append(np.log(np.std(near)) if len(near) > 10 else np.nan)
    return np.array(rates), np.array(spreads)


def by_stage(cohort, measure, stage):
    """Median over the cohort's epochs of a stage."""
    return np.nanmedian(np.concatenate([measure(recording)[recording.stages == stage] for recording in cohort]))


@pytest.mark.parametrize("seed", range(20))
def test_twenty_minutes_hold_all_stages(seed):
    stages = draw_hypnogram(seed, 40, old=draw_person(seed).old)
    assert np.bincount(stages, minlength=5).min() >= 2


def test_whole_night_has_the_architecture_of_sleep():
    nights = np.stack([draw_hypnogram(seed, 960) for seed in range(20)])
    share = np.bincount(nights.ravel(), minlength=5) / nights.size
    for stage, (low, high) in enumerate([(0.08, 0.25), (0.07, 0.22), (0.3, 0.55), (0.08, 0.25), (0.1, 0.25)]):
        assert low < share[stage] < high, STAGES[stage]
    first, last = nights[:, :480], nights[:, 480:]
    assert (first == N3).mean() > 1.5 * (last == N3).mean()
    assert (last == R).mean() > 1.3 * (first == R).mean()
    bouts = (np.diff(nights, axis=1) != 0).sum(axis=1).mean()
    assert 40 < bouts < 200


def test_slow_waves_are_largest_in_deep_sleep(cohort):
    def delta(recording):
        return band_power(recording.windows("F4-M1"), 0.5, 2.0)

    assert by_stage(cohort, delta, N3) > 5 * by_stage(cohort, delta, W)
    assert by_stage(cohort, delta, N3) > 3 * by_stage(cohort, delta, N2)


def test_spindles_mark_n2_and_are_central(cohort):
    def sigma(channel):
        return lambda recording: band_power(recording.windows(channel), 12.5, 14.5)

    assert by_stage(cohort, sigma("C4-M1"), N2) > 2 * by_stage(cohort, sigma("C4-M1"), R)
    assert by_stage(cohort, sigma("C4-M1"), N2) > 1.5 * by_stage(cohort, sigma("O2-M1"), N2)


def test_alpha_is_occipital_and_of_wake(cohort):
    def alpha(channel):
        return lambda recording: band_power(recording.windows(channel), 8.0, 12.0)

    assert by_stage(cohort, alpha("O2-M1"), W) > 3 * by_stage(cohort, alpha("O2-M1"), N2)
    assert by_stage(cohort, alpha("O2-M1"), W) > 1.5 * by_stage(cohort, alpha("F4-M1"), W)


def test_chin_is_slack_in_rem_and_tense_in_wake(cohort):
    def tone(recording):
        return np.log(band_power(recording.windows("Chin1-Chin2"), 20, 55))

    assert by_stage(cohort, tone, R) + np.log(3) < by_stage(cohort, tone, N2)
    assert by_stage(cohort, tone, N2) + np.log(3) < by_stage(cohort, tone, W)


def test_eyes_move_rapidly_in_rem_and_slowly_in_n1(cohort):
    def jumps(recording):
        smooth = np.diff(recording.windows("E1-M2")[:, ::10], axis=1)
        return (np.abs(smooth) > 40).mean(axis=1)

    def rolling(recording):
        return band_power(recording.windows("E1-M2"), 0.2, 0.6)

    assert by_stage(cohort, jumps, R) > 5 * by_stage(cohort, jumps, N2) + 0.005
    assert by_stage(cohort, rolling, 1) > 5 * by_stage(cohort, rolling, N2)


def test_heart_is_fastest_in_wake_and_slowest_in_deep_sleep(cohort):
    relative = [heart_rate(recording)[0] for recording in cohort]
    relative = [rate - np.nanmedian(rate) for rate in relative]
    means = [
        np.nanmean(np.concatenate([rate[item.stages == stage] for rate, item in zip(relative, cohort, strict=True)]))
        for stage in range(5)
    ]
    assert means[W] > means[R] > means[N2] > means[N3]


def test_saturation_falls_after_apneas_and_not_before(cohort):
    falls = []
    for recording in cohort:
        saturation = recording.signals["SaO2"]
        for kind in ("resp_obstructiveapnea", "resp_centralapnea"):
            for begin, end in recording.events(kind):
                after = saturation[end : end + 30 * RATE]
                if len(after) == 30 * RATE and after.min() > 50:
                    falls.append(saturation[begin] - after.min())
    assert len(falls) > 5
    assert np.median(falls) > 2


def test_apneas_stop_the_flow_and_central_ones_the_effort(cohort):
    def over(channel, kind):
        ratios = []
        for recording in cohort:
            signal = recording.signals[channel]
            spans = recording.events(kind) if signal.std() > 0 else []
            ratios += [signal[begin + 600 : end - 600].std() / signal.std() for begin, end in spans]
        return np.median(ratios)

    assert over("AIRFLOW", "resp_obstructiveapnea") < 0.3
    assert over("AIRFLOW", "resp_centralapnea") < 0.3
    assert 0.3 < over("AIRFLOW", "resp_hypopnea") < 0.8
    assert over("CHEST", "resp_centralapnea") < 0.3 < over("CHEST", "resp_obstructiveapnea")


def test_effort_arousals_raise_chin_and_heart_and_alpha(cohort):
    chin, heart = [], []
    for recording in cohort:
        emg, ecg = recording.signals["Chin1-Chin2"], recording.signals["ECG"]
        for begin, end in recording.events("arousal_rera"):
            before, during = slice(begin - 1000, begin), slice(end - 400, end + 600)
            if emg[before].std() > 0:
                chin.append(np.diff(emg[during]).std() / np.diff(emg[before]).std())
            rates = []
            for part in (slice(begin - 2000, begin), slice(end - 400, end + 1600)):
                peaks = find_peaks(ecg[part], height=0.5 * ecg.max(initial=0.6, where=ecg < 1.8), distance=70)[0]
                rates.append(60 * RATE / np.diff(peaks).mean() if len(peaks) > 5 else np.nan)
            heart.append(rates[1] - rates[0])
    assert np.median(chin) > 1.5
    assert np.nanmedian(heart) > 2


def test_age_lowers_slow_waves_and_variability():
    ages, slow, spread = [], [], []
    for seed in range(30):
        person = replace(draw_person(seed), apneas=1.0, efforts=1.0, ectopic=0.0)
        night = simulate_night(seed, person, 20)
        signal = np.concatenate(list(eeg(night, seed)), axis=1)[2].reshape(-1, EPOCH)
        delta, beta = band_power(signal, 0.5, 2.0), band_power(signal, 20, 30)
        slow.append(np.log(delta[night.stages == N3].mean() / np.median(beta)))
        spread.append(np.log(np.median(np.abs(np.diff(night.beats, 2)))))
        ages.append(person.age)
    assert np.corrcoef(ages, slow)[0, 1] < -0.5
    assert np.corrcoef(ages, spread)[0, 1] < -0.4


# Modalities tell about each other


def bodily_features(recording):
    """Features of every epoch from chin, eye, heart and breathing; none from EEG."""
    chin, eye = recording.windows("Chin1-Chin2"), recording.windows("E1-M2")
    rate, spread = heart_rate(recording)
    columns = [
        np.log(band_power(chin, 20, 55)),
        *(np.log(band_power(eye, low, high)) for low, high in ((0.2, 0.6), (0.6, 2), (2, 8), (20, 40))),
        rate,
        spread,
        *(np.log(recording.windows(name).std(axis=1)) for name in ("ABD", "CHEST", "AIRFLOW")),
    ]
    return standard(np.stack(columns, axis=1))


def standard(values):
    """Standardised within the person, so that only changes over the night are left; unreadable is the mean."""
    values = np.where(np.isfinite(values), values, np.nan)
    with np.errstate(all="ignore"):
        mean, deviation = np.nan_to_num(np.nanmean(values, axis=0)), np.nan_to_num(np.nanstd(values, axis=0))
    return np.nan_to_num((values - mean) / np.where(deviation > 0, deviation, 1))


def explained(cohort):
    """Correlation of EEG slow waves with a ridge prediction from the body, in people not trained on."""
    features = [bodily_features(recording) for recording in cohort]
    slow = [standard(np.log(band_power(recording.windows("C4-M1"), 0.5, 2))) for recording in cohort]
    predicted = []
    for left_out in range(len(cohort)):
        x = np.concatenate([item for index, item in enumerate(features) if index != left_out])
        y = np.concatenate([item for index, item in enumerate(slow) if index != left_out])
        weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ y)
        predicted.append(features[left_out] @ weights)
    return np.corrcoef(np.concatenate(predicted), np.concatenate(slow))[0, 1]


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:Degrees of freedom", "ignore:divide by zero")
def test_body_predicts_brain_only_when_coupled(cohort, uncoupled):
    assert explained(cohort) > 0.4
    assert abs(explained(uncoupled)) < 0.15


def test_uncoupled_modalities_keep_their_own_physiology(uncoupled):
    def delta(recording):
        return band_power(recording.windows("F4-M1"), 0.5, 2.0)

    def tone(recording):
        return np.log(band_power(recording.windows("Chin1-Chin2"), 20, 55))

    assert by_stage(uncoupled, delta, N3) > 5 * by_stage(uncoupled, delta, W)
    assert abs(by_stage(uncoupled, tone, R) - by_stage(uncoupled, tone, N2)) < np.log(2)
