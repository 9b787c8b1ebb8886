"""A recording that MNE-Python has read, as windows."""

from datetime import datetime
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.pipelines.channels import ABSENT, channel_windows
from physiokeras.pipelines.units import convert_unit
from physiokeras.scoring.nights import Night


def night_of_raw(raw, definition):
    """Filter, resample, scale and cut an `mne.io.Raw` as a conversion does.

    Channels are found by their names and aliases in the definition. MNE keeps voltages in volts; other channels are
    taken to be in the definition's unit. Annotations whose text begins with BAD_ACQ_SKIP are gaps.

    Args:
        raw: `mne.io.BaseRaw`.
        definition: `Definition`.

    Returns: `Night`, without labels.

    Raises:
        DataError: Shorter than a window, or none of the channels.
    """
    rate, seconds = float(raw.info["sfreq"]), raw.n_times / float(raw.info["sfreq"])
    windows = definition.windows(seconds)
    if windows < 1:
        raise DataError(f"the recording lasts {seconds:g} s, less than one window of {definition.window:g} s.")
    signals, present, channels = {}, [], []
    for modality in definition.modalities.values():
        shape = (windows, definition.samples(modality.name), len(modality.channels))
        signals[modality.name] = np.zeros(shape, np.int16)
        for place, channel in enumerate(modality.channels):
            name = next((name for name in channel.names if name in raw.ch_names), None)
            quality = {"present": 0.0, "notes": [ABSENT]}
            usable = np.zeros(windows, bool)
            if name is not None:
                values = convert_unit(_values(raw, name), _unit(raw, name, modality), modality.unit)
                out = signals[modality.name][:, :, place]
                usable, quality = channel_windows(values, rate, modality, definition.window, out)
                quality = {"source": name, "rate": rate, "unit": modality.unit, **quality}
            present.append(usable)
            channels.append({"channel": channel.name, "modality": modality.name, **quality})
    if all(channel["notes"] == [ABSENT] for channel in channels):
        wanted = ", ".join(name for channel in definition.channels for name in channel.names)
        message = f"no channel of the definition is in the recording. It has {', '.join(raw.ch_names)}; looked for were"
        raise DataError(f"{message} {wanted}. Rename its channels, or add them to `alias` in the definition.")
    files = [Path(file).stem for file in getattr(raw, "filenames", ()) if file]
    name = files[0] if files else "raw"
    return Night(name, signals, np.stack(present, axis=1), definition.window, clock=_clock(raw), channels=channels)


def _values(raw, name):
    values = raw.get_data(picks=[name])[0].astype(np.float32)
    first, rate = raw.first_time if raw.annotations.orig_time is not None else 0.0, raw.info["sfreq"]
    for note in raw.annotations:
        if note["description"].upper().startswith("BAD_ACQ_SKIP"):
            begin = max(0, round((note["onset"] - first) * rate))
            values[begin : begin + round(note["duration"] * rate)] = np.nan
    return values


def _unit(raw, name, modality):
    volts = raw.get_channel_types(picks=[name])[0] in ("eeg", "eog", "emg", "ecg", "ecog", "seeg", "bio", "dbs")
    return "V" if volts and modality.unit in ("V", "mV", "uV") else modality.unit or ""


def _clock(raw):
    began = raw.info["meas_date"]
    return began.replace(tzinfo=None, microsecond=0) if isinstance(began, datetime) else None
