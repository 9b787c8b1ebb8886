"""A recording that MNE-Python has read, as windows."""

from physiokeras.pipelines.readers.clock import first_sample, raw_start
from physiokeras.pipelines.readers.memory import from_raw
from physiokeras.pipelines.signals.channels import record_windows
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
    facts = {"clock": first_sample(raw_start(raw)), "channels": channels, "notes": list(record.notes)}
    return Night(record.name, signals, present, definition.window, **facts)
