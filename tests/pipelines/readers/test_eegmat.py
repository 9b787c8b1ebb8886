"""The real recordings of EEGMAT: their windows against wfdb, MNE and SciPy, and the original EDF against FLAC."""

import numpy as np
import pytest
import wfdb
from scipy import signal

from physiokeras.constants import INT16_SCALE
from physiokeras.pipelines import convert, stream
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.readers.records import read_header, read_signal
from physiokeras.pipelines.signals.channels import record_windows

EEGMAT = Definition.read("eegmat")


@pytest.fixture(scope="module")
def folder(real_data):
    return real_data / "eegmat"


def windows_of(path):
    """Channel -> `(windows, samples)` in the units of the definition, as converted."""
    stored, present, _ = record_windows(read_header(path), EEGMAT)
    assert present.all()
    return {
        channel.name: stored[name][:, :, place] * INT16_SCALE * modality.factor
        for name, modality in EEGMAT.modalities.items()
        for place, channel in enumerate(modality.channels)
    }


def by_hand(values, rate):
    """`(samples,)` at the record's rate -> filtered windows at 100 Hz, by SciPy in float64."""
    values = signal.resample_poly(values, 1, rate // 100, padtype="edge")
    sections = signal.butter(4, (0.5, 40), "bandpass", fs=100, output="sos")
    values = signal.sosfiltfilt(sections, values, padtype="even", padlen=600)
    return values[: len(values) // 1000 * 1000].reshape(-1, 1000)


@pytest.mark.parametrize("name", ["Subject00_1", "Subject13_2", "Subject27_1"])
def test_windows_of_flac_are_those_of_wfdb(folder, name):
    found = windows_of(folder / f"{name}.hea")
    record = wfdb.rdrecord(str(folder / name))
    for channel, values in found.items():
        wanted = by_hand(record.p_signal[:, record.sig_name.index(channel)], 500)
        scale = 0.25 if channel == "ECG ECG" else 10
        np.testing.assert_allclose(values, np.clip(wanted, -20 * scale, 20 * scale), atol=INT16_SCALE * scale)


@pytest.mark.parametrize("name", ["Subject00_1", "Subject00_2", "Subject01_1", "Subject01_2"])
def test_edf_and_flac_give_the_same_windows_as_mne(folder, name):
    mne, path = pytest.importorskip("mne"), folder / f"edf/{name}.edf"
    raw = mne.io.read_raw_edf(path, verbose="error")
    of_edf, of_flac = windows_of(path), windows_of(folder / f"{name}.hea")
    header = read_header(path)
    for channel, values in of_edf.items():
        index = [own.name for own in header.signals].index(channel)
        scale, volt = (0.25, 1e-3) if channel == "ECG ECG" else (10, 1e-6)
        (wanted,) = raw.get_data(picks=channel)
        np.testing.assert_allclose(read_signal(header, index), wanted / volt, rtol=1e-6, atol=1e-6)
        # The FLAC was made from the EDF within 1.5 digital steps, and windows are stored in steps of their own.
        bound = 1.5 / header.signals[index].gain + 1.01 * INT16_SCALE * scale
        np.testing.assert_allclose(values, of_flac[channel], rtol=0, atol=bound)


def test_set_is_converted_whole(folder, tmp_path):
    (tmp_path / "source").mkdir()
    for name in ("Subject00", "Subject05"):
        for path in folder.glob(f"{name}_*"):
            (tmp_path / "source" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "source/records.csv").write_bytes((folder / "records.csv").read_bytes())
    (tmp_path / "source/RECORDS").write_text("Subject00_1\nSubject00_2\nSubject05_1\nSubject05_2\n")
    manifest = convert(tmp_path / "source", EEGMAT, tmp_path / "out", progress=None)
    assert not manifest.set_aside
    labels = ("task", "sex", "age", "record")
    found = next(iter(stream(tmp_path / "out", list(manifest.splits), labels=labels, batch_size=48)))[1]
    rows = {tuple(row) for row in zip(*(found[name].numpy().tolist() for name in labels), strict=True)}
    assert {record.person for record in manifest.records} == {"Subject00", "Subject05"}
    assert rows == {(0, 0, 21, 0), (1, 0, 21, 1), (0, 0, 16, 2), (1, 0, 16, 3)}
