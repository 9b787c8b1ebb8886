"""HDF5 files of the Dreem Open Datasets: their values, and what is refused."""

import h5py
import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines.readers.dreem import read_dreem_scores
from physiokeras.pipelines.readers.records import read_header, read_signal


def write(path, change=lambda file: None):
    """Two channels of a minute at 250 Hz, two epochs of stages; returns the channels."""
    values = np.random.default_rng(0).normal(0, 30, (2, 15000)).astype(np.float32)
    with h5py.File(path, "w") as file:
        for group, name, row in (("eeg", "C3_M2", values[0]), ("emg", "ECG", values[1])):
            made = file.create_group(f"signals/{group}")
            made.attrs["fs"], made.attrs["unit"] = 250, b"\xc2\xb5V"
            made.create_dataset(name, data=row, compression="gzip")
        file["hypnogram"] = [0, 4]
        change(file)
    return values


def test_channels_and_stages_are_those_of_the_file(tmp_path):
    values = write(tmp_path / "a.h5")
    header = read_header(tmp_path / "a.h5")
    assert [(signal.name, signal.rate, signal.unit) for signal in header.signals] == [
        ("C3_M2", 250, "uV"),
        ("ECG", 250, "uV"),
    ]
    assert header.seconds == 60
    np.testing.assert_array_equal(read_signal(header, 1), values[1])
    scores = read_dreem_scores(tmp_path / "a.h5")
    assert (list(scores.samples), scores.notes) == ([0, 30000], ("W", "R"))


def linked(file):
    file["signals/eeg/C4"] = h5py.ExternalLink("/etc/other.h5", "x")


def elsewhere(file):
    file["signals/eeg"].create_dataset("C4", (15000,), "f4", external=[("/etc/passwd", 0, 60000)])


def promised(file):
    file["signals/eeg"].create_dataset("C4", (1 << 40,), "f4", chunks=(1 << 20,))


def shorter(file):
    file["signals/eeg/C4"] = np.ones(10000)


def rateless(file):
    del file["signals/eeg"].attrs["fs"]


def texts(file):
    file["signals/eeg/C4"] = [b"a"] * 15000


@pytest.mark.parametrize("change", [linked, elsewhere, promised, shorter, rateless, texts], ids=lambda f: f.__name__)
def test_what_lies_elsewhere_or_cannot_be_is_refused(tmp_path, change):
    write(tmp_path / "a.h5", change)
    with pytest.raises(DataError, match=r"a\.h5"):
        read_header(tmp_path / "a.h5")


def test_a_number_that_is_no_stage_and_a_cut_file_are_refused(tmp_path):
    write(tmp_path / "a.h5", lambda file: file["hypnogram"].write_direct(np.array([0, 7])))
    with pytest.raises(DataError, match=r"hypnogram.*Received: \[7\]"):
        read_dreem_scores(tmp_path / "a.h5")
    (tmp_path / "a.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:5000])
    with pytest.raises(DataError, match="whole HDF5 file"):
        read_header(tmp_path / "a.h5")
