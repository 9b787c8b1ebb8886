import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.definition import Definition
from physiokeras.pipelines.labels.challenge import Event, derive_targets, pair_events, read_targets
from physiokeras.pipelines.labels.window_labels import arousal_labels, stage_vector, targets_of
from physiokeras.pipelines.readers.annotations import Annotations, read_annotations
from physiokeras.pipelines.readers.records import read_header

LABELS = Definition.read("physionet2018").labels
STAGES = ("wake", "nonrem1", "nonrem2", "nonrem3", "rem")

AGREEMENT = {
    # Samples of the derived target vector that differ from -arousal.mat: by the default rules; by the other reading,
    # in which wake periods are scored and nothing is left out after central apneas.
    "tr03-0005": (0, 2284398),
    "tr14-0291": (327517, 0),
}


@pytest.fixture(params=sorted(AGREEMENT))
def real(request, real_data):
    """Header, annotations and path of the target file of a real record."""
    folder = real_data / "cinc2018"
    header = read_header(folder / f"{request.param}.hea", check_files=False)
    return header, read_annotations(folder / f"{request.param}.arousal"), folder / f"{request.param}-arousal.mat"


def test_derived_targets_equal_the_published_ones_sample_by_sample(real):
    header, annotations, path = real
    report = []
    events = pair_events(annotations, header.frames, report)
    published = read_targets(path, header.frames)
    other = {"wake_margin": None, "central_after": 0}
    derived = [targets_of(annotations, events, LABELS["arousal"], header, **rules) for rules in ({}, other)]
    assert tuple(int((vector != published).sum()) for vector in derived) == AGREEMENT[header.name]
    assert report == []
    # The readings differ in what is not scored; none turns a target into a scored 0 or the other way round.
    for vector in derived:
        differs = vector != published
        assert ((vector[differs] == -1) != (published[differs] == -1)).all()


def test_stages_equal_the_published_ones_but_for_the_last_sample(real):
    header, annotations, path = real
    derived = stage_vector(annotations, LABELS["stage"], header)
    with h5py.File(path) as file:
        group = file["data/sleep_stages"]
        published = np.stack([group["undefined"][0], *(group[name][0] for name in STAGES)]).argmax(axis=0) - 1
    assert np.flatnonzero(derived != published).tolist() == [header.frames - 1]


def test_targets_by_hand():
    # 1 Hz, counted from 1: a RERA over samples 101 to 110 covers the indices 100 to 109.
    rera = derive_targets([Event("arousal_rera", 101, 110)], [], 1, 300)
    assert np.flatnonzero(rera == 1).tolist() == list(range(98, 120))
    snore = derive_targets([Event("arousal_snore", 101, 110)], [], 1, 300)
    assert np.flatnonzero(snore == 1).tolist() == list(range(98, 112))
    events = [Event("arousal_rera", 101, 110), Event("resp_hypopnea", 121, 130), Event("noise_of_a_truck", 1, 300)]
    both = derive_targets(events, [], 1, 300)
    assert np.flatnonzero(both == 1).tolist() == list(range(98, 110))
    assert np.flatnonzero(both == -1).tolist() == list(range(110, 140))
    assert derive_targets([Event("arousal_rera", 1, 400)], [], 1, 300).min() == 1


def annotations(*pairs):
    samples, notes = zip(*pairs, strict=True)
    return Annotations(Path("r.arousal"), None, np.array(samples), ('"',) * len(notes), notes)


@pytest.mark.parametrize(
    ("pairs", "events", "words"),
    [
        ([(5, "(arousal_rera")], [("arousal_rera", 5, 99)], "never ends; clipped"),
        ([(5, "arousal_rera)"), (7, "W")], [], "without a begin; left out"),
        (
            [(1, "(resp_hypopnea"), (3, "(resp_hypopnea"), (5, "resp_hypopnea)"), (9, "resp_hypopnea)")],
            [("resp_hypopnea", 1, 5), ("resp_hypopnea", 3, 9)],
            "overlaps one at 1",
        ),
        ([(1, "(yawn"), (3, "yawn)")], [("yawn", 1, 3)], "unknown event yawn; kept"),
    ],
)
def test_unpaired_overlapping_and_unknown_events_are_reported(pairs, events, words):
    report = []
    found = pair_events(annotations(*pairs), 99, report)
    assert [(event.kind, event.begin, event.end) for event in found] == events
    assert len(report) == 1
    assert words in report[0]


def test_events_of_different_kinds_may_overlap():
    pairs = [(1, "(resp_hypopnea"), (2, "(arousal_rera"), (3, "resp_hypopnea)"), (4, "arousal_rera)")]
    report = []
    assert len(pair_events(annotations(*pairs), 99, report)) == 2
    assert report == []


def test_window_rule_of_arousals():
    targets = np.zeros((6, 300), np.int8)  # windows of 30 s at 10 Hz
    targets[0, :9] = 1  # too short to be positive, and so not negative either
    targets[1, 5:15] = 1
    targets[2, :149] = 0
    targets[2, 149:] = -1
    targets[3, :150] = -1
    targets[4] = -1
    labels = arousal_labels(targets.reshape(-1), np.arange(7) * 300, 10)
    assert labels.tolist() == [-1, 1, -1, 0, -1, 0]


def write(path, values=None, shape=(50, 1), **options):
    with h5py.File(path, "w", userblock_size=512) as file:
        values = np.zeros(shape) if values is None else np.asarray(values, float).reshape(shape)
        file.create_dataset("data/arousals", data=values, **options)


@pytest.mark.parametrize("shape", [(50, 1), (1, 50), (50,)])
def test_targets_are_read_in_each_orientation(tmp_path, shape):
    values = np.arange(50) % 3 - 1
    write(tmp_path / "a.mat", values, shape, compression="gzip")
    np.testing.assert_array_equal(read_targets(tmp_path / "a.mat", 50), values)


def linked(kind):
    def make(path):
        write(path.with_name("b.mat"))
        with h5py.File(path, "w") as file:
            link = (
                h5py.ExternalLink(str(path.with_name("b.mat")), "/data") if kind == "external" else h5py.SoftLink("/x")
            )
            file["data"] = link

    return make


def virtual(path):
    write(path.with_name("b.mat"))
    layout = h5py.VirtualLayout((50, 1), "f8")
    layout[:] = h5py.VirtualSource(str(path.with_name("b.mat")), "data/arousals", (50, 1))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data/arousals", layout)


def external(path):
    path.with_name("raw").write_bytes(bytes(400))
    with h5py.File(path, "w") as file:
        file.create_dataset("data/arousals", (50, 1), "f8", external=[(str(path.with_name("raw")), 0, 400)])


def oversized(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("data/arousals", (10**13, 1), "f8", chunks=(1000, 1))


def giant_chunk(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("data/arousals", (50, 1), "f8", chunks=(10**8, 1), maxshape=(None, 1))


def of_text(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("data/arousals", data=[b"x"] * 50)


def group(path):
    with h5py.File(path, "w") as file:
        file.create_group("data/arousals")


FAULTS = {
    "another length": (lambda path: write(path, shape=(49, 1)), r"50 samples. Received: shape \(49, 1\)"),
    "two columns": (lambda path: write(path, shape=(50, 2)), "shape"),
    "external link": (linked("external"), "Received: a link"),
    "soft link": (linked("soft"), "Received: a link"),
    "virtual": (virtual, "virtual or external"),
    "external storage": (external, "virtual or external"),
    "oversized": (oversized, "shape"),
    "giant chunk": (giant_chunk, "chunks may have"),
    "other filter": (lambda path: write(path, compression="lzf"), "plain or as gzip"),
    "text": (of_text, "numbers"),
    "group": (group, "numbers"),
    "value 2": (lambda path: write(path, [0] * 49 + [2]), "sample 49: must be -1, 0 or 1. Received: 2.0"),
    "NaN": (lambda path: write(path, [np.nan] * 50), "sample 0: must be -1, 0 or 1"),
    "nothing in it": (lambda path: h5py.File(path, "w").close(), "HDF5 file"),
    "not HDF5": (lambda path: path.write_bytes(b"x" * 600), "HDF5 file"),
    "empty": (lambda path: path.write_bytes(b""), "HDF5 file"),
    "folder": (lambda path: path.mkdir(), "HDF5 file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_target_file_is_refused_before_it_is_read(tmp_path, fault):
    make, words = FAULTS[fault]
    make(tmp_path / "a.mat")
    with pytest.raises(DataError, match=words) as error:
        read_targets(tmp_path / "a.mat", 50)
    assert error.value.file == tmp_path / "a.mat"


def test_mutated_target_files_raise_our_error_alone(tmp_path):
    write(tmp_path / "a.mat", np.arange(50) % 3 - 1, compression="gzip")
    script = textwrap.dedent("""
        import sys
        import numpy as np
        from physiokeras.errors import DataError
        from physiokeras.pipelines.labels.challenge import read_targets
        good, rng, errors = open(sys.argv[1], "rb").read(), np.random.default_rng(0), 0
        for _ in range(300):
            data = bytearray(good)
            for place in rng.integers(512, len(data), size=rng.integers(1, 9)):
                data[place] = rng.integers(256)
            open(sys.argv[1], "wb").write(data)
            try:
                read_targets(sys.argv[1], 50)
            except DataError:
                errors += 1
        assert errors > 20, errors
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        assert int(status["VmHWM"].split()[0]) < 300_000
    """)
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.mat")], check=True, timeout=60)
