"""Fixtures of the whole suite."""

import os
from pathlib import Path

import pytest

# On JAX and TensorFlow most of the time of tiny models goes into compiling them.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}".strip()


@pytest.fixture(scope="session")
def real_data():
    """Folder of real recordings; tests that need it are skipped, visibly, where it is absent."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    path = Path(os.environ.get("PHYSIOKERAS_REAL_DATA", default)).resolve()
    if not path.is_dir():
        pytest.skip(f"real recordings not found at {path}; set PHYSIOKERAS_REAL_DATA")
    return path
