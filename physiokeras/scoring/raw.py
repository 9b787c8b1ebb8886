"""A recording in memory, as windows: an `mne.io.Raw`, or what `from_arrays` and `from_raw` return."""

from physiokeras.pipelines.readers.clock import first_sample, raw_start
from physiokeras.pipelines.readers.memory import Recording, from_raw
from physiokeras.pipelines.signals.channels import record_windows
from physiokeras.scoring.nights import Night


def night_of_raw(raw, definition):
    """Filter, resample, scale and cut a recording in memory as a conversion does, by the same code.

    Args:
        raw: `mne.io.BaseRaw`, or `Recording`; its scores and labels are not read.
        definition: `Definition`; channels are found by its names, aliases and montage.

    Returns: `Night`, without labels.

    Raises:
        DataError: Shorter than a window, or none of the channels.
    """
    record = raw if isinstance(raw, Recording) else from_raw(raw)
    signals, present, channels = record_windows(record.header, definition)
    clock = None if isinstance(record.samples, tuple) else first_sample(raw_start(record.samples))
    facts = {"clock": clock, "channels": channels, "notes": list(record.notes)}
    return Night(record.name, signals, present, definition.window, **facts)
