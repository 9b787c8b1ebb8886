"""Fixtures of the whole suite."""

import gc
import os
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).parent
# On JAX and TensorFlow most of the time of tiny models goes into compiling them.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
# As in use, JAX keeps what it has compiled: here in a folder of this run of the tests alone.
PROGRAMS = tempfile.TemporaryDirectory(prefix="programs-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = PROGRAMS.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


def release(package):
    """The first two numbers of a package's version; zeros if it is not installed."""
    try:
        return tuple(int(part) for part in metadata.version(package).split(".")[:2])
    except metadata.PackageNotFoundError:
        return 0, 0


if release("jax") >= (0, 10) and release("tensorflow") >= (2, 21):
    # Without it XLA compiles in two thirds of the time. Earlier releases end at a flag that they do not know.
    QUICK += " --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}".strip()
# Tracing makes so many objects that looking for cycles among them took a sixth of the time.
gc.set_threshold(50_000)


ONCE = ("pipelines", "tools")
"""Folders whose every test is marked `once`."""


def pytest_collection_modifyitems(items):
    """Mark the tests of the folders `ONCE`."""
    for item in items:
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in ONCE:
            item.add_marker(pytest.mark.once)


@pytest.fixture(scope="session")
def real_data():
    """Folder of real recordings; tests that need it are skipped, visibly, where it is absent."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    path = Path(os.environ.get("PHYSIOKERAS_REAL_DATA", default)).resolve()
    if not path.is_dir():
        pytest.skip(f"real recordings not found at {path}; set PHYSIOKERAS_REAL_DATA")
    return path


@pytest.fixture(scope="session")
def draw():
    """Function that draws labels and the probabilities that a fair model might give them."""

    def labels_and_probabilities(windows=500, classes=5, seed=0):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, classes, windows)
        logits = generator.normal(size=(windows, classes)) + 1.5 * np.eye(classes)[labels]
        return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    return labels_and_probabilities
