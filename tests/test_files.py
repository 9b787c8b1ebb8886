import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from physiokeras.errors import DataError
from physiokeras.files import cache_folder, locked, write_atomic

pytestmark = pytest.mark.once

HOLD = """
import sys
from physiokeras.files import locked
with locked(sys.argv[1], shared={}):
    print(1, flush=True)
    input()"""


@pytest.fixture
def held(tmp_path):
    """Function that lets another process hold the lock, shared or not, until it is killed."""
    processes = []

    def hold(shared):
        command = [sys.executable, "-c", HOLD.format(shared), str(tmp_path / ".lock")]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"1\n"
        processes.append(process)
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("theirs", "ours", "refused"),
    [(None, None, True), (True, True, False), (True, False, True), (False, True, True), (False, False, True)],
)
def test_lock_of_another_process_refuses_all_but_those_that_share_it(held, tmp_path, theirs, ours, refused):
    (tmp_path / ".lock").touch()  # as earlier versions leave it
    other = held(theirs)
    if refused:
        with pytest.raises(DataError, match=f"{tmp_path}: another process is writing to this folder"):
            locked(tmp_path / ".lock", shared=ours).__enter__()
    else:
        with locked(tmp_path / ".lock", shared=ours):
            pass
    other.kill()
    other.wait()
    with locked(tmp_path / ".lock", shared=ours), pytest.raises(DataError):
        locked(tmp_path / ".lock", shared=False if ours is not None else None).__enter__()


def test_layers_and_models_import_where_there_is_no_fcntl():
    code = (
        "import sys; sys.modules['fcntl'] = None; import physiokeras.layers, physiokeras.models, physiokeras.callbacks"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_cache_folder_follows_the_package_before_the_desktop_before_the_home(monkeypatch):
    places = {"HOME": "/h", "XDG_CACHE_HOME": "/x", "PHYSIOKERAS_CACHE": "~/p"}
    found = []
    for name in places:
        monkeypatch.delenv(name, raising=False)
    for name, value in places.items():
        monkeypatch.setenv(name, value)
        found.append(str(cache_folder()))
    assert found == ["/h/.cache/physiokeras", "/x/physiokeras", "/h/p"]


def test_threads_may_write_one_file_at_a_time(tmp_path):
    both = threading.Barrier(2)

    def content(file):
        file.write(b"x")
        both.wait(timeout=60)

    with ThreadPoolExecutor(2) as pool:
        written = [pool.submit(write_atomic, tmp_path / "file", content) for _ in range(2)]
    assert [one.exception() for one in written] == [None, None]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
