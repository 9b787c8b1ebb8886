import hashlib
import re
import shutil

import pytest

from physiokeras.errors import DataError
from physiokeras.pipelines import Manifest
from physiokeras.pipelines.simulation.simulator import simulate
from physiokeras.recipes import prepare

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("prepared"), 3, 1, hours=1 / 12, seed=5, progress=False)


@pytest.fixture
def source(simulated, tmp_path):
    return shutil.copytree(simulated, tmp_path / "source")


@pytest.fixture
def run(source, tmp_path, capsys):
    """Function that runs the command on the source: exit status, lines."""

    def call(*arguments):
        command = ["--dataset", "simulated", "--source", str(source), "--out", str(tmp_path / "out"), *arguments]
        try:
            status, said = prepare.main(command), ""
        except DataError as error:
            status, said = 1, str(error)
        printed = capsys.readouterr()
        return status, printed.out + printed.err + said

    return call


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def list_sums(source):
    lines = [f"{hashlib.sha256(data).hexdigest()} {name}" for name, data in files(source).items()]
    (source / "SHA256SUMS.txt").write_text("\n".join(lines) + "\n")


def a_signal(source):
    return sorted(source.glob("training/*/tr??-????.mat"))[0]


def test_dry_run_says_what_there_is_to_do_and_writes_nothing(run, source, tmp_path):
    a_signal(source).write_bytes(b"")
    before = files(tmp_path)
    status, text = run("--dry-run", "--workers", "2")
    assert status == 0
    assert files(tmp_path) == before
    size = sum(len(data) for name, data in before.items() if name.parts[1] in ("training", "test"))
    size -= sum(path.stat().st_size for path in a_signal(source).parent.iterdir())
    assert "4 records, 0 converted already" in text
    assert f"Would read 3 records: 0.2 h in {size / 1e9:.2f} GB" in text
    assert "Would write 30 windows" in text
    assert re.search(r"Memory: about \d+ MB a worker, \d+ MB for 2", text)
    assert re.search(r"Time: about \d+ (s|min) with 2 worker", text)
    assert f"Would be set aside: {a_signal(source).stem}: " in text


def test_dry_run_foresees_the_bytes_and_the_records_that_are_left(run, tmp_path):
    foreseen = float(re.search(r"about ([\d.]+) GB of shards", run("--dry-run")[1])[1])
    run()
    written = sum(path.stat().st_size for path in (tmp_path / "out" / "records").glob("*.tfrecord"))
    assert foreseen == pytest.approx(written / 1e9, abs=0.01)
    assert "4 records, 4 converted already" in run("--dry-run")[1]


def test_progress_counts_records_hours_and_bytes(run):
    lines = [line for line in run()[1].splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == ["[1/4", "[2/4", "[3/4", "[4/4"]
    pattern = r"windows; [\d.]+ of 0\.3 h, [\d.]+ of [\d.]+ GB; about \d+ s left$"
    assert all(re.search(pattern, line) for line in lines[:3])
    assert re.search(r"0\.3 of 0\.3 h, ([\d.]+) of \1 GB$", lines[3])


def test_files_that_agree_with_their_sums_are_converted(run, source):
    list_sums(source)
    assert run()[0] == 0


def test_a_file_that_differs_from_its_sum_sets_its_record_aside_until_it_is_fetched_again(run, source, tmp_path):
    list_sums(source)
    good = a_signal(source).with_suffix(".arousal").read_bytes()
    # Silently another scoring: no other check could see it.
    a_signal(source).with_suffix(".arousal").write_bytes(good.replace(b"N2", b"N3", 1))
    assert run()[0] == 1
    (entry,) = Manifest.read(tmp_path / "out").set_aside
    assert entry["record"] == a_signal(source).stem
    assert f"{a_signal(source).stem}.arousal: its SHA-256 is " in entry["reason"]
    a_signal(source).with_suffix(".arousal").write_bytes(good)
    assert run()[0] == 0


def test_a_difference_is_a_note_where_strict_is_off(run, source, tmp_path):
    list_sums(source)
    path = a_signal(source).with_suffix(".arousal")
    path.write_bytes(path.read_bytes().replace(b"N2", b"N3", 1))
    assert run("--no-strict")[0] == 0
    (record,) = Manifest.read(tmp_path / "out").select(records=[path.stem])
    assert any("SHA256SUMS.txt says" in note for note in record.notes)


def test_sums_that_come_later_are_checked_for_what_is_converted(run, source):
    path = a_signal(source).with_suffix(".arousal")
    good = path.read_bytes()
    path.write_bytes(good.replace(b"N2", b"N3", 1))
    assert run()[0] == 0
    bad = path.read_bytes()
    path.write_bytes(good)
    list_sums(source)
    path.write_bytes(bad)
    assert run()[0] == 1


def test_a_table_of_people_that_differs_is_refused(run, source):
    list_sums(source)
    (source / "age-sex.csv").write_text((source / "age-sex.csv").read_text().replace("M", "F", 1))
    status, text = run()
    assert status == 1
    assert "age-sex.csv: its SHA-256 is " in text


def test_files_that_were_not_fetched_are_counted(run, source):
    list_sums(source)
    folder = a_signal(source).parent
    count = len(list(folder.iterdir()))
    shutil.rmtree(folder)
    for arguments in (["--dry-run"], []):
        assert f"SHA256SUMS.txt names {count} files not found here, training/" in run(*arguments)[1]


def test_a_damaged_list_of_sums_is_an_error_with_its_line(run, source):
    list_sums(source)
    text = (source / "SHA256SUMS.txt").read_text().splitlines()
    (source / "SHA256SUMS.txt").write_text("\n".join([text[0], text[1][:40], *text[2:]]))
    status, text = run()
    assert status == 1
    assert "SHA256SUMS.txt: line 2: must be a SHA-256 and a path" in text


def test_verify_counts_windows_or_names_the_damage(run, tmp_path):
    run()
    assert "40 windows" in run("--verify")[1]
    shard = sorted((tmp_path / "out" / "records").glob("*.tfrecord"))[0]
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    status, text = run("--verify")
    assert status == 1
    assert f"{shard}: byte 0: a record is damaged" in text


def test_what_must_be_given_is_asked_for(tmp_path, capsys):
    with pytest.raises(SystemExit):
        prepare.main(["--out", str(tmp_path)])
    assert "--dataset and --source must be given" in capsys.readouterr().err
