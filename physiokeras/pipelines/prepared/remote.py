"""Folders on remote file systems, such as `s3://bucket/folder`, by fsspec, or else by tensorflow-io.

fsspec (extra `[remote]`) works with every backend and TensorFlow: shards are copied to the local cache when they are
read first. tensorflow-io (extra `[io]`) reads them in place, with TensorFlow 2.16 and 2.17 alone.
"""

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

from physiokeras.errors import DataError
from physiokeras.files import write_atomic
from physiokeras.pipelines.prepared import cache
from physiokeras.pipelines.prepared.devices import load_tensorflow
from physiokeras.wording import counted

WORKING = "tensorflow 2.16 or 2.17 with tensorflow-io 0.37.1, in an environment of their own: pip install '.[io]'"
"""Versions that work together. Later versions of TensorFlow install beside tensorflow-io, but cannot load it."""

_PART = 4 << 20
_STATE = ".copied.json"


def located(folder):
    """A `Path`, or a `Remote` if `folder` is a URL."""
    return folder if isinstance(folder, Remote) else Remote(folder) if is_remote(folder) else Path(folder)


def is_remote(place) -> bool:
    """Whether a place is a URL."""
    return isinstance(place, Remote) or "://" in str(place)


class Remote:
    """A path on a remote file system, with the methods of `pathlib.Path` that reading a prepared folder needs.

    Args:
        url: URL such as "s3://bucket/folder", of a scheme that fsspec, TensorFlow or tensorflow-io supports.

    Raises:
        DataError: The scheme is not supported; the message says what to install.
    """

    def __init__(self, url):
        self.url = str(url).rstrip("/")
        self._files = _file_system(self.url)

    def __truediv__(self, name):
        return Remote(f"{self.url}/{name}")

    def __str__(self):
        return self.url

    def __repr__(self):
        return f"Remote({self.url!r})"

    def __eq__(self, other):
        return isinstance(other, Remote) and other.url == self.url

    def __hash__(self):
        return hash(self.url)

    @property
    def is_copied(self):
        """Whether files are read from local copies, instead of in place by TensorFlow."""
        return isinstance(self._files, _Fsspec)

    def is_file(self):
        """Whether the file exists."""
        return self._files.exists(self.url)

    def stat(self):
        """The file's status; only `st_size`."""
        return SimpleNamespace(st_size=self._files.size(self.url))

    def read_bytes(self):
        """The file's content."""
        if not self.is_file():
            raise FileNotFoundError(self.url)
        return b"".join(self.parts())

    def parts(self):
        """Yield the file's content in parts of 4 MiB."""
        with self._files.opened(self.url) as file:
            while part := file.read(_PART):
                yield part

    def sizes(self):
        """Name of each file in the folder to its bytes, by one request; None where that is not possible."""
        return self._files.sizes(self.url)

    def below(self):
        """Path of each file relative to the folder, to (bytes, a text that changes with its content)."""
        return self._files.below(self.url)

    def beside(self):
        """As `below`, the file and those in its folder whose names begin with its name without the ending."""
        return self._files.beside(self.url)


@contextlib.contextmanager
def local(path):
    """Context manager: a local `Path` with the file's content, which is the file itself or a temporary copy."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.url.rpartition("/")[2]
        with open(copy, "wb") as file:
            file.writelines(path.parts())
        yield copy


def local_folder(place, wanted=lambda name: True):
    """A local folder with what a remote folder holds; a local path stays what it is.

    What is there already and unchanged is not copied again. A prepared folder is read from afar; see `Manifest`.

    Args:
        place: Path or URL.
        wanted: Function of a file's path relative to the folder, to whether it is copied.

    Returns: `Path`.

    Raises:
        DataError: Nothing there, a name that leads out of the folder, or more than the cache takes.
    """
    if not is_remote(place):
        return Path(place)
    remote = located(place)
    found = {name: facts for name, facts in remote.below().items() if wanted(name)}
    if not found:
        raise DataError("no files there.", file=place)
    return _copied(remote, found, place)


def local_file(place: str | os.PathLike) -> Path:
    """A local copy of a remote recording, and of the files beside it whose names begin with its name.

    Args:
        place: Path, which stays what it is, or the URL of a file.

    Returns: `Path` of the file.

    Raises:
        DataError: No such file, or more than the cache takes.
    """
    if not is_remote(place):
        return Path(place)
    parent, _, name = str(place).rstrip("/").rpartition("/")
    if not located(place).is_file():
        raise DataError("there is no such file.", file=place)
    return _copied(located(parent), located(place).beside(), place) / name


def _copied(remote, found, place):
    """The cache's folder of `place`, with the files `found` of a remote folder: name to (bytes, version)."""
    folder = cache.folder(str(place))
    total = sum(size for size, _ in found.values())
    if total > cache.limit():
        message = (
            f"has {total / 1e9:.1f} GB, more than the cache may take ({cache.limit() / 1e9:g} GB). Copy a part of it"
        )
        raise DataError(f"{message}, or set PHYSIOKERAS_CACHE_GB.", file=place)
    state = folder / _STATE
    known = json.loads(state.read_bytes()) if state.is_file() else {}
    new = [name for name in found if known.get(name) != list(found[name]) or not (folder / name).is_file()]
    for name in known.keys() - found.keys():
        (folder / name).unlink(missing_ok=True)
    if new:
        print(
            f"Copying {counted(len(new), 'file')} ({sum(found[n][0] for n in new) / 1e6:.1f} MB) from {place}",
            flush=True,
        )
        cache.make_room(sum(found[name][0] for name in new))
    for name in new:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / name, lambda out, name=name: out.writelines((remote / name).parts()))
    write_atomic(state, json.dumps({name: list(facts) for name, facts in found.items()}).encode())
    return folder


class _Fsspec:
    """A file system of fsspec."""

    def __init__(self, files, base):
        self.files, self.base = files, base.rstrip("/")
        protocols = [files.protocol] if isinstance(files.protocol, str) else files.protocol  # a list in some versions
        self.is_web = not {"http", "https"}.isdisjoint(protocols)

    def exists(self, url):
        return self.files.isfile(url)

    def size(self, url):
        return self.files.size(url)

    def opened(self, url):
        return self.files.open(url, "rb")

    def sizes(self, url):
        if self.is_web:
            return None
        self.files.invalidate_cache()
        try:
            found = self.files.ls(url, detail=True)
        except FileNotFoundError:
            return {}
        return {facts["name"].rstrip("/").rpartition("/")[2]: facts["size"] for facts in found}

    def below(self, url):
        self.files.invalidate_cache()
        found = {}
        for path, facts in self.files.find(url, detail=True).items():
            name = path.removeprefix(f"{self.base}/")
            if path == self.base:
                raise DataError("this is a file. Give its folder.", file=url)
            parts = PurePosixPath(name).parts
            if name == path or ".." in parts or "/" in parts or "\\" in name:
                raise DataError(f"a file named {name!r} would lie outside of the folder.", file=url)
            found[name] = (facts["size"] or 0, self._version(path))
        return found

    def beside(self, url):
        parent, _, name = url.rpartition("/")
        stem, listed = name.rpartition(".")[0], []
        self.files.invalidate_cache()
        with contextlib.suppress(OSError):  # a web server need not list its folders
            listed = [one["name"] for one in self.files.ls(parent, detail=True) if one["type"] == "file"]
        names = {path.rpartition("/")[2] for path in listed}
        # "S1.edf" and "S1_hypnogram.edf" belong to S1, "S10.edf" does not.
        own = (one for one in names if one.startswith(stem) and not one[len(stem) :][:1].isalnum())
        places = {one: f"{parent}/{one}" for one in sorted({name, *own})}
        return {one: (self.files.size(path) or 0, self._version(path)) for one, path in places.items()}

    def _version(self, path):
        # fsspec takes files of the web for unchanging. Without an ETag nothing is known of them.
        return self.files.info(path).get("ETag") or str(time.time_ns()) if self.is_web else self.files.ukey(path)


class _TensorFlow:
    """The file systems of TensorFlow."""

    def __init__(self, files):
        self.files = files

    def exists(self, url):
        return self.files.exists(url)

    def size(self, url):
        return self.files.stat(url).length

    def opened(self, url):
        return self.files.GFile(url, "rb")

    def sizes(self, url):
        return None

    def beside(self, url):
        return self.below(url)

    def below(self, url):
        raise DataError("copying recordings needs fsspec: pip install 'physiokeras[remote]'.", file=url)


def _file_system(url):
    scheme = url.partition("://")[0]
    try:
        import fsspec

        return _Fsspec(*fsspec.core.url_to_fs(url))
    except (ImportError, ValueError) as error:
        reason = str(error)
    tf, problem = load_tensorflow(), "it is not installed"
    if scheme not in tf.io.gfile.get_registered_schemes():
        with contextlib.suppress(ImportError):
            # The import registers its file systems; with an incompatible TensorFlow it only warns.
            import tensorflow_io  # noqa: F401

            problem = f"it does not load with TensorFlow {tf.__version__}, or does not know {scheme}"
    if scheme not in tf.io.gfile.get_registered_schemes():
        raise DataError(
            f"reading {scheme}:// needs fsspec: pip install 'physiokeras[remote]' ({reason}). Or it needs "
            f"tensorflow-io; {problem}. These versions work: {WORKING}.",
            file=url,
        )
    return _TensorFlow(tf.io.gfile)
