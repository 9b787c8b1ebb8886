"""WFDB signal files in FLAC (formats 508, 516, 524): checked here, decoded by wfdb and soundfile, the extra `[flac]`.

Source: the WFDB manual page signal(5); RFC 9639, section 8.2, for FLAC's own header.
"""

from dataclasses import dataclass

from physiokeras.errors import DataError

FORMATS = {"508": 8, "516": 16, "524": 24}
"""Format -> bits of a sample at most."""

_LONGEST_BLOCK, _SMALLEST_BLOCK = 65535, 10
"""Samples that one block of FLAC holds at most, and bytes that it takes at least."""


@dataclass(frozen=True)
class _Stream:
    """Stream information of a FLAC file: channels, bits of a sample, samples of each channel (0: unknown)."""

    channels: int
    bits: int
    samples: int


def check_flac(target, group, frames, fail):
    """Number of frames; `fail` is called unless the file is the one that its lines in the header describe.

    A compressed file's size says only how many samples it cannot hold; its own header gives channels, bits and samples.

    Args:
        target: Path of the signal file.
        group: Its `Signal`s, in file order.
        frames: Number of frames that the record's header gives, or None.
        fail: Function of a message that raises.
    """
    form, offset, each = group[0].format, group[0].offset, group[0].samples_per_frame
    stream = _read_stream(target, fail)
    if any(signal.samples_per_frame != each for signal in group):
        fail(f"all signals of a FLAC file must have the same number of samples per frame. {target.name} has several.")
    if stream.channels != len(group):
        fail(f"{target.name} must hold {len(group)} signals. Received: {stream.channels} channels.")
    if stream.bits not in FORMATS.values() or stream.bits > FORMATS[form]:
        bits = ", ".join(str(bits) for bits in FORMATS.values() if bits <= FORMATS[form])
        fail(f"{target.name} must hold samples of {bits} bits in format {form}. Received: {stream.bits}.")
    if frames is None:
        frames = (stream.samples - offset) // each
    wanted = offset + frames * each
    if stream.samples != wanted or frames < 1:
        layout = f"{offset} + {frames} frames of {each}"
        received = f"Received: {stream.samples}. Is it another record's?"
        fail(f"{target.name} must hold {wanted} samples of each signal: {layout}. {received}")
    size = target.stat().st_size
    if stream.samples > size // _SMALLEST_BLOCK * _LONGEST_BLOCK:
        fail(f"{target.name} cannot hold {stream.samples} samples in {size} bytes. Restore it.")
    return frames


def read_flac(header, index, step):
    """Yield the samples of one signal, `step` frames at a time: int32 `(frames x samples per frame,)`.

    Raises:
        DataError: The file is damaged, or soundfile is missing.
    """
    import wfdb

    signal = header.signals[index]
    file = header.path.with_name(signal.file)
    for start in range(0, header.frames, step):
        stop = min(start + step, header.frames)
        part = {"sampfrom": start, "sampto": stop, "channels": [index]}
        try:
            record = wfdb.rdrecord(
                str(header.path.with_suffix("")), **part, physical=False, smooth_frames=False, return_res=32
            )
            (samples,) = record.e_d_signal
        except ModuleNotFoundError as error:
            message = "FLAC files need the package soundfile: pip install 'physiokeras[flac]'."
            raise DataError(message, file=file, channel=signal.name) from error
        except Exception as error:  # a damaged file makes the decoder raise nearly anything
            message = f"must be a whole FLAC file: {str(error)[:200]} Restore it."
            raise DataError(message, file=file, channel=signal.name, place=f"frame {start}") from error
        if len(samples) != (stop - start) * signal.samples_per_frame:
            raise DataError("was cut. Restore it.", file=file, channel=signal.name, place=f"frame {start}")
        yield samples


def _read_stream(target, fail):
    with open(target, "rb") as file:
        start = file.read(42)
    if len(start) < 42 or start[:4] != b"fLaC" or start[4] & 0x7F:
        fail(f"{target.name} must begin as FLAC does, with fLaC and its stream's numbers. Received: {start[:8]!r}.")
    numbers = int.from_bytes(start[18:26], "big")
    return _Stream((numbers >> 41 & 0x7) + 1, (numbers >> 36 & 0x1F) + 1, numbers & (1 << 36) - 1)
