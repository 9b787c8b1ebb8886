"""Prepared folders on remote file systems, such as `s3://bucket/folder`, through tensorflow-io: the extra `[io]`."""

import contextlib
import tempfile
from pathlib import Path
from types import SimpleNamespace

from physiokeras.errors import DataError

WORKING = "tensorflow 2.16 or 2.17 with tensorflow-io 0.37.1, in an environment of their own: pip install '.[io]'"
"""Versions that load together; later ones of TensorFlow install beside tensorflow-io, and fail to load it."""


def located(folder):
    """A `Path`, or a `Remote` where `folder` is a URL."""
    return folder if isinstance(folder, Remote) else Remote(folder) if "://" in str(folder) else Path(folder)


class Remote:
    """What of `pathlib.Path` reading a prepared folder needs, on a remote file system.

    Args:
        url: Such as "s3://bucket/folder"; TensorFlow must know its scheme, or learn it from tensorflow-io.

    Raises:
        DataError: The scheme is unknown even so; says which versions work.
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

    def is_file(self):
        """Whether there is such a file."""
        return self._files.exists(self.url)

    def stat(self):
        """An object with `st_size`."""
        return SimpleNamespace(st_size=self._files.stat(self.url).length)

    def read_bytes(self):
        """The file's content."""
        if not self.is_file():
            raise FileNotFoundError(self.url)
        with self._files.GFile(self.url, "rb") as file:
            return file.read()


@contextlib.contextmanager
def local(path):
    """A `Path` with the file's content: itself, or a copy that is removed afterwards."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.url.rpartition("/")[2]
        path._files.copy(path.url, str(copy))
        yield copy


def _file_system(url):
    import tensorflow as tf

    scheme = url.partition("://")[0]
    problem = "it is not installed"
    if scheme not in tf.io.gfile.get_registered_schemes():
        with contextlib.suppress(ImportError):
            # Importing it registers its file systems; where TensorFlow does not fit, it only warns.
            import tensorflow_io  # noqa: F401

            problem = f"it does not load with TensorFlow {tf.__version__}, or does not know {scheme}"
    if scheme not in tf.io.gfile.get_registered_schemes():
        raise DataError(f"reading {scheme}:// needs tensorflow-io; {problem}. What works: {WORKING}.", file=url)
    return tf.io.gfile
