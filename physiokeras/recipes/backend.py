"""Chooses the framework that computes, which must happen before Keras is imported."""

import contextlib
import ctypes
import importlib.util
import os
import sys
import tempfile

from physiokeras.pipelines.devices import keras_backend, leave_gpus_to_backend

_ONE_ARENA, _NO_MAPPING, _NO_TRIMMING = (-8, 1), (-4, 0), (-1, 2**31 - 1)
"""M_ARENA_MAX, M_MMAP_MAX and M_TRIM_THRESHOLD of glibc's `mallopt`, with their values."""
_HUGE_PAGE, _MADV_HUGEPAGE, _RESERVE = 2**21, 14, 2**32


def use(backend):
    """Make Keras run on `backend` in this process; call it before Keras is imported.

    TensorFlow, which reads the data for every backend, is imported here, quietly (it imports Keras), and kept off the
    GPUs unless it is the backend. Its log is kept to what is fatal (`TF_CPP_MIN_LOG_LEVEL` set beforehand wins). Where
    XLA computes, memory that it frees stays with the process.

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
        keep_memory()
    if importlib.util.find_spec("tensorflow") is not None:
        with _held_back_stderr():
            leave_gpus_to_backend(importlib.import_module("tensorflow"))


def keep_memory():
    """Let memory that is freed stay with this process, in huge pages, on Linux with glibc; elsewhere nothing changes.

    XLA on CPUs allocates its temporary buffers anew at each step. Given back and mapped again, 450 MB a step of the
    paper's network, they cost JAX a fifth of the step's time in page faults; in pages of 4 KiB, two percent.
    """
    with contextlib.suppress(OSError, AttributeError):  # another system, or another C library
        libc = ctypes.CDLL(None)
        for option, value in (_ONE_ARENA, _NO_MAPPING, _NO_TRIMMING):
            libc.mallopt(option, value)
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.free.argtypes = [ctypes.c_void_p]
        libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        # A stretch of addresses, which takes no memory before it is used: huge pages can be asked for these only.
        if block := libc.malloc(_RESERVE):
            # What lies at the heap's end is given back by a call of protobuf's, so something else has to lie there.
            libc.malloc(_HUGE_PAGE)
            first = -(-block // _HUGE_PAGE) * _HUGE_PAGE
            libc.madvise(first, block + _RESERVE - first, _MADV_HUGEPAGE)
            libc.free(block)


@contextlib.contextmanager
def _held_back_stderr():
    """Keep what is written to the standard error, by C++ too, and show it only where the block fails.

    TensorFlow greets on import, and a machine without GPU, with lines that no setting of its own turns off.
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
