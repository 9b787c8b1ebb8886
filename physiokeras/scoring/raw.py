"""A recording that MNE-Python has read, as windows."""

from datetime import datetime

from physiokeras.pipelines.channels import record_windows
from physiokeras.pipelines.memory import from_raw
from physiokeras.scoring.nights import Night


def night_of_raw(raw, definition):
    """Filter, resample, scale and cut an `mne.io.Raw` as a conversion does, by the same code.

    Args:
        raw: `mne.io.BaseRaw`.
        definition: `Definition`; channels are found by its names, aliases and montage.

    Returns: `Night`, without labels.

    Raises:
        DataError: Shorter than a window, or none of the channels.
    """
    record = from_raw(raw)
    signals, present, channels = record_windows(record.header, definition)
    began = raw.info["meas_date"]
    clock = began.replace(tzinfo=None, microsecond=0) if isinstance(began, datetime) else None
    window, notes = definition.window, list(record.notes)
    return Night(record.name, signals, present, window, clock=clock, channels=channels, notes=notes)
