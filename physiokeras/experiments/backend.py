"""Selects the backend of Keras, before Keras is imported."""

import contextlib
import importlib.util
import os
import sys
import tempfile

from physiokeras import memory
from physiokeras.files import cache_folder
from physiokeras.pipelines.prepared.devices import has_tensorflow, keras_backend, load_tensorflow


def use(backend):
    """Make Keras run on `backend` in this process; call it before Keras is imported.

    TensorFlow, where it is installed, passes the data to every backend. It is imported here (it imports Keras), and its
    GPUs are hidden from it unless it is the backend. It logs fatal messages only, unless `TF_CPP_MIN_LOG_LEVEL` is set.
    With XLA, freed memory stays with the process.

    Args:
        backend: "tensorflow", "jax" or "torch".

    Raises:
        SystemExit: The backend is not installed; one sentence says what to install.
        RuntimeError: Keras already runs on another one.
    """
    if "keras" in sys.modules and keras_backend() != backend:
        raise RuntimeError(
            f"Keras already runs on {keras_backend()} in this process; {backend} needs a new one "
            f"(or KERAS_BACKEND={backend} before Keras is first imported)."
        )
    if importlib.util.find_spec(backend) is None:
        what = "physiokeras" if backend == "tensorflow" else f"physiokeras[{backend}]"
        raise SystemExit(f"The {backend} backend is not installed here: pip install '{what}'")
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if backend != "torch":
        memory.keep()
    if backend == "jax":
        keep_programs()
    if has_tensorflow():
        with _held_back_stderr():
            load_tensorflow()


PROGRAMS_BYTES = 2 << 30
"""Size to which the folder of compiled programs grows; then the least recently used go."""

PROGRAMS_SECONDS = 0.02
"""Seconds of compilation from which a program is kept.

JAX's own limit, 1 s, leaves out the initialisers of weights: dozens of programs, which take most of the time in which a
model is loaded.
"""


def keep_programs():
    """Let JAX keep compiled programs below `physiokeras.files.cache_folder`, for the processes that follow.

    JAX's own environment variables win: `JAX_COMPILATION_CACHE_DIR` is another folder,
    `JAX_COMPILATION_CACHE_MAX_SIZE` another size, `JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS` another limit, and
    `JAX_ENABLE_COMPILATION_CACHE=false` turns it off. Call it before JAX is imported.
    """
    cache = cache_folder() / "jax"
    there = next(path for path in (cache, *cache.parents) if path.exists())
    if os.access(there, os.W_OK):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
        os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(PROGRAMS_BYTES))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(PROGRAMS_SECONDS))


@contextlib.contextmanager
def _held_back_stderr():
    """Hold back standard error, also that of C++, and print it only if the block fails.

    On import TensorFlow prints lines that none of its settings turns off.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        normal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(normal, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(normal, 2)
            os.close(normal)
