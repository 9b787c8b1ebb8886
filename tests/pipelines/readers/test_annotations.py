import subprocess
import sys
import textwrap

import numpy as np
import pytest
import wfdb

from physiokeras.errors import DataError
from physiokeras.pipelines.readers.annotations import read_annotations

END = b"\0\0"


def word(code, value=0):
    return (code << 10 | value).to_bytes(2, "little")


def skip(interval):
    high, low = divmod(interval & 0xFFFFFFFF, 65536)
    return word(59) + high.to_bytes(2, "little") + low.to_bytes(2, "little")


def note(text):
    data = text if isinstance(text, bytes) else text.encode()
    return word(63, len(data)) + data + b"\0" * (len(data) % 2)


def read(tmp_path, data):
    path = tmp_path / "r.ann"
    path.write_bytes(data)
    return read_annotations(path)


def test_samples_symbols_and_notes_by_hand(tmp_path):
    data = word(22) + note("## time resolution: 200") + skip(-1) + word(0, 1)
    data += word(1, 10) + word(61, 3) + word(5, 1000) + skip(100_000) + word(22, 5) + word(62, 1) + note("(x") + END
    annotations = read(tmp_path, data)
    assert annotations.rate == 200
    assert annotations.samples.tolist() == [10, 1010, 101015]
    assert annotations.symbols == ("N", "V", '"')
    assert annotations.notes == ("", "", "(x")


def test_real_files_are_read_as_wfdb_reads_them(real_data):
    paths = [path for name in ("arousal", "stress", "atr") for path in sorted(real_data.glob(f"*/*.{name}"))]
    assert len(paths) == 31
    for path in paths:
        annotations, wanted = read_annotations(path), wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])
        np.testing.assert_array_equal(annotations.samples, wanted.sample)
        assert list(annotations.symbols) == wanted.symbol
        assert list(annotations.notes) == [text.rstrip("\0") for text in wanted.aux_note]
        assert annotations.rate in (None, wanted.fs)


GOOD = word(1, 10) + word(22, 5) + note("W") + END
FAULTS = {
    "empty": (b"", "byte 0: .*an empty file"),
    "NUL": (bytes(512), "byte 0: .*NUL"),
    "cut between annotations": (GOOD[:2], "byte 2: the file is cut"),
    "cut in a word": (GOOD[:1], "byte 0: the file is cut"),
    "cut in a note": (word(22) + word(63, 9) + b"abc", "byte 4: the file is cut inside a note"),
    "cut in a skip": (word(1, 3) + word(59) + b"\1\0", "byte 6: the file is cut"),
    "unknown code": (word(1, 3) + word(55, 1) + END, "byte 2: unknown annotation code 55"),
    "bytes after the end": (GOOD + b"\1\1", "byte 10: bytes follow"),
    "negative sample": (skip(-5) + word(1, 2) + END, "Received: -3"),
    "decreasing sample": (word(1, 50) + skip(-20) + word(1, 1) + END, "Received: 31 after"),
    "note in Latin-1": (word(22, 1) + note(b"\xe9t\xe9") + END, "byte 4: a note must be ASCII or UTF-8"),
    "resolution of zero": (word(22) + note("## time resolution: 0") + END, "time resolution"),
    "resolution of text": (word(22) + note("## time resolution: fast") + END, "time resolution"),
    "too large": (bytes(9 << 20), "may have"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_file_is_an_error_with_its_byte(tmp_path, fault):
    data, words = FAULTS[fault]
    with pytest.raises(DataError, match=words):
        read(tmp_path, data)


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="readable file"):
        read_annotations(tmp_path / "no.ann")


def test_note_that_hangs_wfdb_does_not_hang(tmp_path):
    (tmp_path / "r.ann").write_bytes(word(22) + note("## ") + word(1, 7) + END)
    script = textwrap.dedent("""
        import sys
        from physiokeras.pipelines.readers.annotations import read_annotations
        assert read_annotations(sys.argv[1]).samples.tolist() == [7]
    """)
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "r.ann")], check=True, timeout=30)


def test_mutated_files_raise_our_error_alone(tmp_path):
    rng = np.random.default_rng(0)
    good = word(22) + note("## time resolution: 200") + skip(-1) + word(0, 1) + (skip(3000) + GOOD[:-2]) * 5 + END
    errors = 0
    for _ in range(500):
        data = bytearray(good)
        for place in rng.integers(len(data), size=rng.integers(1, 4)):
            data[place] = rng.integers(256)
        try:
            read(tmp_path, bytes(data[: rng.integers(1, len(data) + 1)]))
        except DataError:
            errors += 1
    assert errors > 250


def test_types_that_the_file_defines_are_read_and_their_table_is_no_annotation(tmp_path):
    own = [("y", "deep"), ("z", "light")]
    samples = np.array([10, 200, 300])
    wfdb.wrann("r", "st", samples, ["y", "N", "z"], aux_note=["", "(N", "said"], fs=100, custom_labels=own,
               write_dir=str(tmp_path))  # fmt: skip
    found, wanted = read_annotations(tmp_path / "r.st"), wfdb.rdann(str(tmp_path / "r"), "st")
    assert found.samples.tolist() == wanted.sample.tolist() == samples.tolist()
    assert list(found.symbols) == wanted.symbol == ["y", "N", "z"]
    assert found.notes == ("y", "(N", "said")
