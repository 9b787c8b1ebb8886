"""Small files of formats that MNE reads, written byte by byte or, where that is the format's own library, by MNE."""

import struct

import numpy as np

RATE, SECONDS = 250, 120
UNITS = {"Fp1": "µV", "ECG": "mV", "Temp": "C", "GSR": "µS", "Resp": ""}
"""Channel -> its unit in the header; none stands for microvolts in BrainVision."""
STEPS = {"Fp1": 0.1, "ECG": 0.001, "Temp": 0.01, "GSR": 0.001, "Resp": 0.5}
"""Channel -> physical units of one digital step."""
MIDDLES = {"Temp": 3650, "GSR": 4000}


def digital(seed=0, seconds=SECONDS):
    """`(channels, samples)` int16: noise around a middle."""
    noise = np.random.default_rng(seed).normal(0, 300, (len(UNITS), RATE * seconds))
    return np.rint(noise + [[MIDDLES.get(name, 0)] for name in UNITS]).astype("<i2")


def physical(values):
    """Channel -> its values in its own unit."""
    return {name: row * step for (name, step), row in zip(STEPS.items(), values, strict=True)}


def write_brainvision(folder, name="night", values=None, marks=(), *, points=True, kind="INT_16", order="MULTIPLEXED",
                      data_file=None, segments=((1, "20260101220000000000"),)):  # fmt: skip
    """Write `.vhdr`, `.eeg` and `.vmrk`.

    Args:
        folder: Where.
        name: Their stem.
        values: As `digital` gives it.
        marks: `(first sample, samples, text)` of each comment.
        points: Whether the header gives the number of samples.
        kind: BinaryFormat.
        order: DataOrientation.
        data_file: What the header calls the data file.
        segments: `(first sample from 1, date)` of each "New Segment".
    """
    values = digital() if values is None else values
    data = values if order == "VECTORIZED" else values.T
    (folder / f"{name}.eeg").write_bytes(data.astype({"INT_16": "<i2", "IEEE_FLOAT_32": "<f4"}[kind]).tobytes())
    lines = ["Brain Vision Data Exchange Header File Version 1.0", "", "[Common Infos]", "Codepage=UTF-8"]
    lines += [f"DataFile={data_file or f'{name}.eeg'}", f"MarkerFile={name}.vmrk", "DataFormat=BINARY"]
    lines += [f"DataOrientation={order}", f"NumberOfChannels={len(values)}"]
    lines += [f"DataPoints={values.shape[1]}"] if points else []
    lines += [f"SamplingInterval={1e6 / RATE:g}", "", "[Binary Infos]", f"BinaryFormat={kind}", "", "[Channel Infos]"]
    lines += [f"Ch{k}={name},,{STEPS[name]},{unit}" for k, (name, unit) in enumerate(UNITS.items(), 1)]
    (folder / f"{name}.vhdr").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = ["Brain Vision Data Exchange Marker File, Version 1.0", "", "[Common Infos]", "Codepage=UTF-8"]
    lines += [f"DataFile={name}.eeg", "", "[Marker Infos]"]
    listed = [f"New Segment,,{first},1,0,{date}" for first, date in segments]
    listed += [f"Comment,{text},{first},{length},0" for first, length, text in marks]
    lines += [f"Mk{k}={mark}" for k, mark in enumerate(listed, 1)]
    (folder / f"{name}.vmrk").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / f"{name}.vhdr"


def in_si(values):
    """`(channels, samples)` as MNE holds them: volts, siemens, and other units as they are."""
    scales = {"µV": 1e-6, "mV": 1e-3, "µS": 1e-6}
    return np.array([row * scales.get(UNITS[name], 1) for name, row in physical(values).items()])


def make_raw(values=None, marks=(), date=None):
    """An `mne.io.Raw` in memory; `marks` are `(onset, duration, text)` in seconds."""
    import mne

    info = mne.create_info(list(UNITS), RATE, ["eeg", "ecg", "temperature", "gsr", "misc"])
    raw = mne.io.RawArray(in_si(digital() if values is None else values), info, verbose="ERROR")
    raw.set_meas_date(date)
    if marks:
        onsets, durations, texts = zip(*marks, strict=True)
        raw.set_annotations(mne.Annotations(onsets, durations, texts, orig_time=raw.info["meas_date"]))
    return raw


def write_eeglab(folder, name="night", values=None, marks=(), *, apart=False, packed=False):
    """Write a `.set`, with its samples inside or in a `.fdt`; `marks` are `(first sample from 1, samples, text)`."""
    from scipy.io import savemat

    values = np.array(list(physical(digital() if values is None else values).values()), np.float32)
    data = f"{name}.fdt" if apart else values
    if apart:
        (folder / data).write_bytes(values.T.astype("<f4").tobytes())
    kinds = {"Temp": "MISC", "GSR": "MISC", "Resp": "MISC"}
    channels = np.array(
        [(channel, kinds.get(channel, "EEG")) for channel in UNITS], dtype=[("labels", object), ("type", object)]
    )
    events = [(text, float(first), float(length)) for first, length, text in marks]
    events = np.array(events, dtype=[("type", object), ("latency", object), ("duration", object)])
    eeg = {"setname": name, "nbchan": len(values), "pnts": values.shape[1], "trials": 1, "srate": float(RATE)}
    eeg |= {"xmin": 0.0, "xmax": values.shape[1] / RATE, "data": data, "chanlocs": channels, "event": events}
    eeg |= {key: [] for key in ("epoch", "icawinv", "icaweights", "icasphere")}
    savemat(folder / f"{name}.set", {"EEG": eeg}, appendmat=False, do_compression=packed)
    return folder / f"{name}.set"


def write_gdf(folder, name="night", values=None, *, version="2.20", counts=None):
    """Write GDF 2 or 1, with data records of one second; `counts` are the samples that the header gives for each."""
    values = digital() if values is None else values
    first, count = version.startswith("1"), len(values)
    codes = {"µV": 4275, "mV": 4274, "C": 6048, "µS": 8307, "": 512}
    records = values.shape[1] // RATE

    def numbers(kind, items):
        return np.array(items, kind).tobytes()

    def texts(items, width):
        return b"".join(item.encode("latin-1").ljust(width, b"\0") for item in items)

    head = bytearray(256)
    head[:8] = f"GDF {version}".encode()
    head[184:192] = numbers("<i8", [256 * (count + 1)]) if first else numbers("<u2", [count + 1]) + bytes(6)
    head[236:252] = numbers("<i8", [records]) + numbers("<u4", [1, 1])
    head[252:256] = numbers("<u4", [count])
    steps = np.array(list(STEPS.values()))
    units = [codes[unit] for unit in UNITS.values()]
    dims = texts([unit or "-" for unit in UNITS.values()], 8)
    head += texts(UNITS, 16) + bytes(80 * count) + (dims if first else bytes(6 * count) + numbers("<u2", units))
    head += numbers("<f8", -1000 * steps) + numbers("<f8", 1000 * steps)
    limits = "<i8" if first else "<f8"
    head += numbers(limits, [-1000] * count) + numbers(limits, [1000] * count) + bytes(80 * count)
    head += numbers("<i4", counts or [RATE] * count) + numbers("<i4", [3] * count) + bytes(32 * count)
    data = values.reshape(count, records, RATE).transpose(1, 0, 2)
    events = bytes(8)
    (folder / f"{name}.gdf").write_bytes(bytes(head) + data.astype("<i2").tobytes() + events)
    return folder / f"{name}.gdf"


def write_cnt(folder, counts, rate, names, *, base, sensitivity, calibration, marks=()):
    """Write a Neuroscan file of 16-bit counts `(samples, channels)`; marks are (sample from 0, code).

    Microvolts are (count - base) * sensitivity * calibration / 204.8. Layout: Bourke, paulbourke.net/dataformats/eeg.
    """
    head = bytearray(900 + 75 * len(names))
    fields = [(0, "12s", b"Version 3.0"), (225, "10s", b"12/03/20"), (235, "12s", b"22:00:00"), (370, "H", len(names))]
    fields += [(376, "H", rate), (864, "i", len(counts)), (886, "i", len(head) + 2 * counts.size)]
    for number, name in enumerate(names):
        at = 900 + 75 * number
        fields += [(at, "10s", name.encode()), (at + 47, "h", base[number]), (at + 59, "f", sensitivity[number])]
        fields += [(at + 19, "f", 10 + number), (at + 71, "f", calibration[number])]
    for at, kind, value in fields:
        struct.pack_into(f"<{kind}", head, at, value)
    events = [struct.pack("<HBBi", code, 0, 0, len(head) + 2 * sample * len(names)) for sample, code in marks]
    table = struct.pack("<Bii", 1, 8 * len(events), 0) + b"".join(events)
    (folder / "night.cnt").write_bytes(bytes(head) + counts.astype("<i2").tobytes() + table)
    return folder / "night.cnt"


def write_nihon(folder, counts, rate, channels, *, marks=(), name="night"):
    """Write Nihon Kohden's `.EEG` with `.PNT`, `.LOG` and `.21E`; counts are int16 `(samples, channels)`.

    Microvolts are -3200 + (count + 32768) * 6399.902 / 65535 of EEG channels. Layout: what MNE's reader reads.

    Args:
        folder: Where.
        counts: Samples, whole tenths of a second of them.
        rate: Hz.
        channels: Number of a channel to its name.
        marks: `(hhmmss, text)` of each mark since the start.
        name: Stem of the files.
    """
    version, control, block = b"EEG-1100A V01.00", 0x400, 0x1800
    head = bytearray(block + 0x27 + 10 * len(channels))
    facts = [(0, "16s", version), (0x81, "16s", version), (0x91, "B", 1), (0x92, "I", control), (0x17FE, "B", 1)]
    facts += [(control + 17, "B", 1), (control + 18, "I", block), (block + 0x1A, "H", rate | 0xC000)]
    facts += [(block + 0x1C, "I", 10 * len(counts) // rate), (block + 0x26, "B", len(channels))]
    facts += [(block + 0x27 + 10 * place, "B", number) for place, number in enumerate(channels)]
    for at, kind, value in facts:
        struct.pack_into(f"<{kind}", head, at, value)
    # The last channel, of events, is not listed.
    stored = np.pad(counts.astype(np.int64) + 32768, ((0, 0), (0, 1))).astype("<u2")
    path = folder / f"{name}.EEG"
    path.write_bytes(bytes(head) + stored.tobytes())
    path.with_suffix(".PNT").write_bytes(version.ljust(0x40, b"\0") + b"20200312220000".ljust(64, b"\0"))
    lines = [f"{number:04d}={channel}" for number, channel in channels.items()]
    path.with_suffix(".21E").write_text("\n".join(["[ELECTRODE]", *lines, "[OTHER]", "no=names", ""]))
    log = bytearray(0x400)
    for at, kind, value in [(0, "16s", version), (0x91, "B", 1), (0x92, "I", 0x400)]:
        struct.pack_into(f"<{kind}", log, at, value)
    entries = b"".join(text.encode().ljust(20, b"\0") + time.encode().ljust(25, b"\0") for time, text in marks)
    head = b"\0" + version + b"\0" + bytes([len(marks)]) + b"\0"
    path.with_suffix(".LOG").write_bytes(bytes(log) + head + entries)
    return path
