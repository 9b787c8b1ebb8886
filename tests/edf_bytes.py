"""EDF+ written byte by byte, right or wrong, as no library would."""

import numpy as np


def fields(values, width):
    raw = [value if isinstance(value, bytes) else str(value).encode("latin-1") for value in values]
    assert all(len(value) <= width for value in raw)
    return b"".join(value.ljust(width) for value in raw)


def entry(onset, duration, text):
    """One annotation; a duration of None is left out, text is written as it is."""
    onset = onset if isinstance(onset, str) else f"{onset:+g}"
    return f"{onset}{'' if duration is None else chr(21) + str(duration)}\x14{text}\x14\0".encode()


def keep(onset):
    """The entry that keeps the time of a data record."""
    return f"{onset:+.10g}\x14\x14\0".encode()


def channel(label="EEG Fpz-Cz", rate=100, seconds=300, seed=0, **changes):
    data = np.random.default_rng(seed).integers(-3000, 3000, rate * seconds)
    return {"label": label, "dim": "uV", "pmin": -500, "pmax": 500, "dmin": -32767, "dmax": 32767, "count": rate,
            "data": data} | changes  # fmt: skip


def write(path, channels, lists=None, *, records=None, duration=1, time="22.00.00", date="01.01.85", recording="",
          kind=None, stated=None):  # fmt: skip
    """Write channels, and lists of annotations: one `bytes` a data record, or one alone for an annotation file."""
    channels = list(channels)
    lengths = [len(channel["data"]) // channel["count"] for channel in channels if channel["count"]]
    records = records or (len(lists) if lists else lengths[0])
    if lists is not None:
        width = 2 * -(-max(map(len, lists)) // 2)
        data = np.frombuffer(b"".join(text.ljust(width, b"\0") for text in lists), "<i2")
        channels.append(channel("EDF Annotations", dim="", pmin=-1, pmax=1, dmin=-32768, dmax=32767, count=width // 2,
                                data=data, seconds=1))  # fmt: skip
    head = fields(["0"], 8) + fields(["X X X X", recording], 80) + fields([date, time, 256 * (len(channels) + 1)], 8)
    head += fields([kind or ("EDF+C" if lists else "")], 44)
    head += fields([records if stated is None else stated, duration], 8) + fields([len(channels)], 4)
    for key, width in (("label", 16), ("", 80), ("dim", 8), ("pmin", 8), ("pmax", 8), ("dmin", 8), ("dmax", 8),
                       ("", 80), ("count", 8), ("", 32)):  # fmt: skip
        head += fields([channel.get(key, "") for channel in channels], width)
    blocks = [np.asarray(channel["data"], "<i2").reshape(records, channel["count"]) for channel in channels]
    path.write_bytes(head + np.concatenate(blocks, axis=1).tobytes())
    return path


def write_scores(path, entries, *, first=None, **options):
    """A file of annotations alone; `first` is the entry that keeps the time."""
    first = keep(0) if first is None else first
    return write(path, [], [first + b"".join(entry(*each) for each in entries)], duration=0, **options)
