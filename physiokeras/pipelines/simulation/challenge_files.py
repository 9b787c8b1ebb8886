"""Polysomnograms as files in the layout of the PhysioNet/CinC Challenge 2018.

A record is a WFDB header, a MATLAB 4 signal file, annotations of sleep stages and events, and a MATLAB 7.3 file
with the Challenge's target vector. Layout and conventions are those of the real records tr03-0005 and tr14-0291.
"""

import h5py
import numpy as np
import wfdb

from physiokeras.pipelines.labels.challenge import derive_targets

RATE = 200
"""Samples per second of every channel."""

EPOCH = 30 * RATE
"""Samples of a scoring epoch."""

STAGES = ("W", "N1", "N2", "N3", "R")
"""Notes of the stages; index 5 of `VECTORS` and stage -1 stand for unscored time."""

VECTORS = ("wake", "nonrem1", "nonrem2", "nonrem3", "rem", "undefined")

CHANNELS = {
    **dict.fromkeys(("F3-M2", "F4-M1", "C3-M2", "C4-M1", "O1-M2", "O2-M1", "E1-M2", "Chin1-Chin2"), ("1/uV", 1.0, 0)),
    **dict.fromkeys(("ABD", "CHEST", "AIRFLOW"), ("1/uV", 1.0, 0)),
    "SaO2": ("655.35(-32768)/%", 655.35, -32768),
    "ECG": ("1000/mV", 1000.0, 0),
}
"""Channel name -> gain as the header writes it, digital steps per unit, digital value of zero."""

_SUBTYPES = {
    "W": 5,
    "N1": 3,
    "N2": 2,
    "N3": 1,
    "R": 4,
    "arousal_rera": 0,
    "resp_centralapnea": 12,
    "resp_hypopnea": 16,
    "resp_mixedapnea": 20,
    "resp_obstructiveapnea": 22,
    "resp_partialobstructive": 24,
}
_MAT_HEADER = b"MATLAB 7.3 MAT-file, Platform: physiokeras simulator HDF5 schema 1.00 ."


class SignalWriter:
    """Write one record's `.mat` block by block, then its `.hea`, with constant memory.

    Args:
        folder: Existing folder.
        name: Record name.
        frames: Samples per channel that will be written.
        comment: Text of the header's comment line.
    """

    def __init__(self, folder, name, frames, comment):
        self.folder, self.name, self.frames, self.comment = folder, name, frames, comment
        self.written = 0
        self.checksums = np.zeros(len(CHANNELS), np.int64)
        self.initial = None
        self.gains = np.array([gain for _, gain, _ in CHANNELS.values()], np.float32)[:, None]
        self.baselines = np.array([baseline for *_, baseline in CHANNELS.values()], np.float32)[:, None]
        self.file = open(folder / f"{name}.mat", "wb")  # noqa: SIM115
        # MATLAB 4: little-endian int16 matrix, one row a channel, not complex, called "val".
        self.file.write(np.array([30, len(CHANNELS), frames, 0, 4], "<i4").tobytes() + b"val\0")

    def append(self, block):
        """Add `(channels, samples)` in physical units; absent or off is 0 in the channel's unit."""
        digital = np.rint(block * self.gains + self.baselines).clip(-32768, 32767).astype("<i2")
        if self.initial is None:
            self.initial = digital[:, 0].tolist()
        self.checksums += digital.sum(axis=1, dtype=np.int64)
        self.written += digital.shape[1]
        self.file.write(digital.T.tobytes())

    def close(self):
        """Finish the signal file and write the header with initial values and checksums."""
        self.file.close()
        if self.written != self.frames:
            raise ValueError(f"Every announced sample must be written. Received: {self.written} of {self.frames}.")
        lines = [f"{self.name} {len(CHANNELS)} {RATE} {self.frames}"]
        checksums = (self.checksums + 32768) % 65536 - 32768
        for (channel, (gain, *_)), initial, checksum in zip(CHANNELS.items(), self.initial, checksums, strict=True):
            lines.append(f"{self.name}.mat 16+24 {gain} 16 0 {initial} {checksum} 0 {channel}")
        lines.append(f"# {self.comment}")
        (self.folder / f"{self.name}.hea").write_text("\n".join(lines) + "\n", encoding="ascii")


def write_annotations(folder, name, stages, events):
    """Write `.arousal`: stage changes and the begin and end of every event, counted from 1.

    Args:
        folder: Existing folder.
        name: Record name.
        stages: `(epochs,)` indices into `STAGES`, -1 unscored.
        events: list of `Event`, whose sample numbers count from 1, both inside the event.
    """
    changes = np.flatnonzero(np.diff(stages, prepend=-1))
    notes = [(int(epoch) * EPOCH, STAGES[stages[epoch]], 0, 0) for epoch in changes if stages[epoch] >= 0]
    for event in events:
        notes += [(event.begin, f"({event.kind}", 0, 1), (event.end, f"{event.kind})", 1, 1)]
    notes.sort(key=lambda note: note[0])
    samples, texts, closing, channels = (list(column) for column in zip(*notes, strict=True))
    subtypes = [_SUBTYPES[text.strip("()")] + offset for text, offset in zip(texts, closing, strict=True)]
    wfdb.wrann(
        name,
        "arousal",
        np.array(samples),
        symbol=['"'] * len(notes),
        subtype=np.array(subtypes),
        chan=np.array(channels),
        num=np.zeros(len(notes), int),
        aux_note=texts,
        fs=RATE,
        write_dir=str(folder),
    )


def stage_vector(stages, frames):
    """Stage of every sample as the Challenge's vectors have it: one sample before the annotated number.

    Args:
        stages: `(epochs,)` indices into `STAGES`, -1 unscored.
        frames: Samples of the record.

    Returns: int8 `(frames,)`, indices into `VECTORS`; the last sample is always undefined.
    """
    samples = np.repeat(np.where(np.asarray(stages) < 0, 5, stages).astype(np.int8), EPOCH)
    vector = np.full(frames, 5, np.int8)
    count = min(frames, len(samples)) - 1
    vector[:count] = samples[1 : count + 1]
    return vector


def write_vectors(folder, name, stages, events, frames):
    """Write `-arousal.mat`: `data/arousals` `(frames, 1)` and `data/sleep_stages/*` `(1, frames)`."""
    path = folder / f"{name}-arousal.mat"
    vector = stage_vector(stages, frames)
    with h5py.File(path, "w", userblock_size=512) as file:
        data = file.create_group("data")
        groups = (data, data.create_group("sleep_stages"))
        for group in groups:
            group.attrs["MATLAB_class"] = np.bytes_("struct")
        wakes = np.flatnonzero(np.diff(vector == 0, prepend=False, append=False)).reshape(-1, 2) + 1
        target = derive_targets(events, wakes.tolist(), RATE, frames)[:, None].astype("<f8")
        arousals = data.create_dataset("arousals", data=target, compression="gzip", chunks=(min(frames, 8192), 1))
        arousals.attrs["MATLAB_class"] = np.bytes_("double")
        for index, stage in enumerate(VECTORS):
            present = (vector == index)[None].astype("u1")
            dataset = groups[1].create_dataset(stage, data=present, compression="gzip", chunks=(1, min(frames, 65536)))
            dataset.attrs["MATLAB_class"] = np.bytes_("logical")
            dataset.attrs["MATLAB_int_decode"] = np.int32(1)
    with open(path, "r+b") as file:
        file.write(_MAT_HEADER.ljust(116) + bytes(8) + b"\x00\x02IM")
