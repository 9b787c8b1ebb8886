import sys

import numpy as np
import pytest
import soundfile
import wfdb

from physiokeras.errors import DataError
from physiokeras.pipelines.readers.records import read_digital, read_header, read_signal

FRAMES = 700


def samples(form):
    top = 1 << int(form) - 501
    return np.random.default_rng(0).integers(-top + 1, top, (FRAMES, 2))


def write_flac(folder, form, values, subtype=None, lines="", each=1):
    """A record of two channels in one FLAC file."""
    bits = int(form) - 500
    subtype = subtype or ("PCM_S8" if bits == 8 else f"PCM_{bits}")
    shift = {8: 8, 16: 0, 24: 8}[bits]
    stored = (values << shift).astype("i2" if bits < 24 else "i4")
    soundfile.write(folder / "r.dat", stored, 1000, subtype, format="FLAC")
    frames, spf = len(values) // each, f"x{each}" if each > 1 else ""
    lines = lines or "".join(
        f"r.dat {form}{spf} 10(3)/mV {bits} 0 {values[0, c]} {values[:, c].sum() % 65536} 0 {'ab'[c]}\n" for c in (0, 1)
    )
    (folder / "r.hea").write_text(f"r 2 10 {frames}\n{lines}")
    return folder / "r.hea"


@pytest.mark.parametrize("form", ["508", "516", "524"])
@pytest.mark.parametrize("each", [1, 4])
def test_flac_gives_the_samples_that_were_written(tmp_path, form, each, monkeypatch):
    values = samples(form)
    header = read_header(write_flac(tmp_path, form, values, each=each))
    monkeypatch.setattr("physiokeras.pipelines.readers.records._BLOCK", 800)
    for index in range(2):
        np.testing.assert_array_equal(read_digital(header, index), values[:, index])
        np.testing.assert_allclose(read_signal(header, index), (values[:, index] - 3) / 10, rtol=1e-6)
        assert header.signals[index].rate == 10 * each


def test_lowest_value_of_flac_is_missing(tmp_path):
    values = samples("516")
    values[5, 1] = -(2**15)
    header = read_header(write_flac(tmp_path, "516", values))
    assert np.flatnonzero(np.isnan(read_signal(header, 1))).tolist() == [5]


def test_missing_first_sample_needs_no_initial_value_where_the_checksum_agrees(tmp_path):
    # So do the waveforms of MIMIC-IV: 0 is given as the first sample.
    values = samples("516")
    values[0, 0] = -(2**15)
    path = write_flac(tmp_path, "516", values)
    text = path.read_text().replace("-32768", "0")
    path.write_text(text)
    assert np.isnan(read_signal(read_header(path), 0)[0])
    path.write_text(text.replace(f"0 0 {values[:, 0].sum() % 65536} 0 a", "0 0"))
    with pytest.raises(DataError, match="channel signal 0: the first sample must be 0"):
        read_signal(read_header(path), 0)


def replaced(old, new, count=-1):
    return lambda path: path.write_text(path.read_text().replace(old, new, count))


def patched(start, new):
    def damage(path):
        data = bytearray(path.with_suffix(".dat").read_bytes())
        data[start : start + len(new)] = new
        path.with_suffix(".dat").write_bytes(data)

    return damage


def recoded(**options):
    def damage(path):
        values = samples("516")[: options.get("frames", FRAMES), : options.get("channels", 2)]
        soundfile.write(path.with_suffix(".dat"), values.astype("i2"), 1000, options.get("subtype"), format="FLAC")

    return damage


FAULTS = {
    "no FLAC": (patched(0, b"RIFF"), "must begin as FLAC does"),
    "empty": (lambda path: path.with_suffix(".dat").write_bytes(b""), "must begin as FLAC does"),
    "its name alone": (lambda path: path.with_suffix(".dat").write_bytes(b"fLaC"), "must begin as FLAC does"),
    "missing": (lambda path: path.with_suffix(".dat").unlink(), "readable file"),
    "too few samples": (recoded(frames=699), "must hold 700 samples.*Received: 699"),
    "other channels": (recoded(channels=1), "must hold 2 signals. Received: 1"),
    "more bits": (recoded(subtype="PCM_24"), "must hold samples of 8, 16 bits in format 516. Received: 24"),
    "odd bits": (patched(21, b"\xb0"), "must hold samples of 8, 16 bits.*Received: 12"),
    "length unknown": (patched(21, bytes([0xF0, 0, 0, 0, 0])), "must hold 700 samples.*Received: 0"),
    "10^10 samples": (
        replaced(" 700\n", " 10000000000\n"),
        patched(21, b"\xf2" + (10**10 % 2**32).to_bytes(4)),
        "cannot hold 10000000000 samples",
    ),
    "rates differ": (replaced("516 ", "516x2 ", 1), "the same number of samples per frame"),
    "formats differ": (replaced("516", "508", 1), "one format"),
    "offset": (replaced("516", "516+5"), "must hold 705 samples"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_flac_is_refused_before_it_is_decoded(tmp_path, fault):
    *damages, words = FAULTS[fault]
    path = write_flac(tmp_path, "516", samples("516"))
    for damage in damages:
        damage(path)
    with pytest.raises(DataError, match=words):
        read_header(path)


def test_damaged_flac_is_an_error_without_a_checksum_too(tmp_path):
    path = write_flac(tmp_path, "516", samples("516"), lines="r.dat 516 200\n" * 2)
    file, rng = tmp_path / "r.dat", np.random.default_rng(0)
    good, errors = file.read_bytes(), []
    for number in range(40):
        data = bytearray(good)
        place = rng.integers(42, len(data))
        data[place] ^= 1 << rng.integers(8)
        file.write_bytes(data if number % 4 else data[:place])
        try:
            np.testing.assert_array_equal(read_digital(read_header(path), 0), samples("516")[:, 0])
        except DataError as error:
            errors.append(error)
    assert len(errors) > 30
    assert {error.file for error in errors} == {file}


def test_flac_without_soundfile_says_what_to_install(tmp_path, monkeypatch):
    header = read_header(write_flac(tmp_path, "516", samples("516")))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(DataError, match=r"channel a: FLAC files need .* pip install 'physiokeras\[flac\]'"):
        read_signal(header, 0)


def test_differences_are_summed_as_wfdb_sums_them(tmp_path, monkeypatch):
    differences = np.random.default_rng(0).integers(-128, 128, (FRAMES, 3), "i1")
    (tmp_path / "r.dat").write_bytes(differences.tobytes())
    wanted = [50 + np.cumsum(differences[:, 0]), -7 + np.cumsum(differences[:, 1:])]
    lines = [f"r.dat 8{'x2' * c} 10/mV 12 0 {(50, -7)[c]} {wanted[c].sum() % 65536} 0 {'ab'[c]}\n" for c in (0, 1)]
    (tmp_path / "r.hea").write_text(f"r 2 10 {FRAMES}\n{''.join(lines)}")
    header, record = read_header(tmp_path / "r.hea"), wfdb.rdrecord(str(tmp_path / "r"), smooth_frames=False)
    monkeypatch.setattr("physiokeras.pipelines.readers.records._BLOCK", 600)
    for index in range(2):
        np.testing.assert_array_equal(read_digital(header, index), wanted[index])
        np.testing.assert_allclose(read_signal(header, index), record.e_p_signal[index], rtol=1e-6)
    replaced("12 0 50", "12 0 51")(tmp_path / "r.hea")
    with pytest.raises(DataError, match="channel a: the samples' checksum"):
        read_signal(read_header(tmp_path / "r.hea"), 0)
    (tmp_path / "r.hea").write_text(f"r 1 10 {3 * FRAMES}\nr.dat 8 10/mV\n")
    with pytest.raises(DataError, match="format 8 needs the initial value"):
        read_header(tmp_path / "r.hea")


SKEWED, LACKING = "skewed signals", "readable file"
REFUSED = {"03700181": SKEWED, "a103l-no-len": "belongs to the record a103l", "wave_4": LACKING}
REFUSED |= {"p000878-2137-10-26-16-57": r"3269321_0003\.hea: must be a readable file"}
REFUSED |= {"3269321_layout": "format must be one of"}


def test_real_files_are_read_as_wfdb_reads_them_or_refused_by_name(real_data):
    paths = sorted((real_data / "formats/wfdb").rglob("*.hea"))
    assert {path.stem for path in paths} > {"mixedsignals", "flacformats", "v102s", *REFUSED}
    for path in paths:
        if path.stem in REFUSED:
            with pytest.raises(DataError, match=REFUSED[path.stem]):
                read_header(path)
            continue
        header, record = read_header(path), wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=False)
        for index, signal in enumerate(header.signals):
            # wfdb takes the lowest value for missing, whatever the baseline.
            values = read_signal(header, index, lowest="missing")
            np.testing.assert_allclose(values, record.e_p_signal[index], rtol=1e-5, atol=1e-5)
            assert signal.name == record.sig_name[index]
