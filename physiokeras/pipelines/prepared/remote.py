"""Prepared folders on remote file systems, such as `s3://bucket/folder`, by tensorflow-io (the extra `[io]`)."""

import contextlib
import tempfile
from pathlib import Path
from types import SimpleNamespace

from physiokeras.errors import DataError

WORKING = "tensorflow 2.16 or 2.17 with tensorflow-io 0.37.1, in an environment of their own: pip install '.[io]'"
"""Versions that work together. Later versions of TensorFlow install beside tensorflow-io, but cannot load it."""


def located(folder):
    """A `Path`, or a `Remote` if `folder` is a URL."""
    return folder if isinstance(folder, Remote) else Remote(folder) if "://" in str(folder) else Path(folder)


class Remote:
    """A path on a remote file system, with the methods of `pathlib.Path` that reading a prepared folder needs.

    Args:
        url: URL such as "s3://bucket/folder", of a scheme that TensorFlow or tensorflow-io supports.

    Raises:
        DataError: The scheme is not supported; the message gives the versions that work.
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
        """Whether the file exists."""
        return self._files.exists(self.url)

    def stat(self):
        """The file's status; only `st_size`."""
        return SimpleNamespace(st_size=self._files.stat(self.url).length)

    def read_bytes(self):
        """The file's content."""
        if not self.is_file():
            raise FileNotFoundError(self.url)
        with self._files.GFile(self.url, "rb") as file:
            return file.read()


@contextlib.contextmanager
def local(path):
    """Context manager: a local `Path` with the file's content, which is the file itself or a temporary copy."""
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
            # The import registers its file systems; with an incompatible TensorFlow it only warns.
            import tensorflow_io  # noqa: F401

            problem = f"it does not load with TensorFlow {tf.__version__}, or does not know {scheme}"
    if scheme not in tf.io.gfile.get_registered_schemes():
        raise DataError(
            f"reading {scheme}:// needs tensorflow-io; {problem}. These versions work: {WORKING}.", file=url
        )
    return tf.io.gfile
