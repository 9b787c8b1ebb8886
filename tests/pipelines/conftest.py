"""Simulated cohorts, read back by wfdb and h5py alone."""

import h5py
import numpy as np
import pytest
import wfdb

from physiokeras.pipelines.simulation.simulator import simulate

EPOCH = 6000
VECTORS = ("wake", "nonrem1", "nonrem2", "nonrem3", "rem", "undefined")
PEOPLE = 12


class Recording:
    """One simulated record, read by wfdb and h5py alone."""

    def __init__(self, path):
        self.path = path
        self.record = wfdb.rdrecord(str(path), physical=False)
        self.signals = dict(zip(self.record.sig_name, wfdb.rdrecord(str(path)).p_signal.T, strict=True))
        annotations = wfdb.rdann(str(path), "arousal")
        self.notes = list(zip(annotations.sample.tolist(), annotations.aux_note, strict=True))
        with h5py.File(f"{path}-arousal.mat") as file:
            self.target = file["data/arousals"][:, 0]
            self.vectors = {name: file[f"data/sleep_stages/{name}"][0] for name in VECTORS}
        stage = np.argmax([self.vectors[name] for name in VECTORS], axis=0)
        self.stages = stage[EPOCH // 2 :: EPOCH]

    def windows(self, channel):
        """`(epochs, samples)`, NaN where the sensor was off or disconnected."""
        signal = self.signals[channel].reshape(-1, EPOCH).copy()
        signal[(np.nanstd(signal, axis=1) == 0) & (channel != "SaO2")] = np.nan
        return signal

    def events(self, kind):
        begins = [sample for sample, note in self.notes if note == f"({kind}"]
        return list(zip(begins, [sample for sample, note in self.notes if note == f"{kind})"], strict=True))


@pytest.fixture(scope="session")
def simulated_folder(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("coupled"), PEOPLE, 1, seed=3, progress=False)


@pytest.fixture(scope="session")
def cohort(simulated_folder):
    return [Recording(path.with_suffix("")) for path in sorted((simulated_folder / "training").glob("*/*.hea"))]


@pytest.fixture(scope="session")
def uncoupled(tmp_path_factory):
    folder = simulate(tmp_path_factory.mktemp("uncoupled"), PEOPLE, seed=3, coupled=False, progress=False)
    return [Recording(path.with_suffix("")) for path in sorted((folder / "training").glob("*/*.hea"))]
