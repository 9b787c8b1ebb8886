import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"
SHAPES = {"eeg": (3000, 6), "eog": (3000, 1), "emg": (6000, 1), "ecg": (3000, 1)}


@pytest.fixture
def bench(tmp_path):
    """Function that runs the tool at its tiny size: results, and the lines printed."""

    def run(*arguments):
        command = [sys.executable, TOOLS / "bench_gpu.py", "--tiny", "--seconds", "0.02", "--out", tmp_path / "out"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
        return json.loads((tmp_path / "out" / "results.json").read_text()), done.stdout.splitlines()

    return run


def windows(path, rows=10):
    """A file of random windows, of two sets, in the second of which a modality is absent."""
    draw, arrays = np.random.default_rng(0), {}
    for name in ("one", "two"):
        arrays |= {f"{name}.{key}": draw.integers(-900, 900, (rows, *shape), "int16") for key, shape in SHAPES.items()}
        arrays[f"{name}.present"] = np.ones((rows, 9), bool)
    arrays["two.present"][:, 6] = False
    np.savez(path, **arrays)


def test_one_engine_that_fails_stops_no_other(bench, tmp_path):
    (tmp_path / "reference.py").write_text("raise OSError('no such model')")
    found, lines = bench("--engines", "reference", "jax", "--batches", "2", "--reference", tmp_path / "reference.py")
    failed, step, limits = found["rows"]
    assert failed["engine"] == "reference"
    assert failed["error"] == "OSError: no such model"
    assert (step["kind"], step["engine"], step["width"], step["batch"]) == ("step", "jax", 32, 2)
    assert (limits["kind"], limits["engine"]) == ("limits", "jax")
    assert "error" not in {*step, *limits}
    assert sum("FAILED" in line for line in lines) == 2  # as it comes, and in the list at the end


def test_carried_windows_train(bench, tmp_path):
    windows(tmp_path / "windows.npz")
    found, _ = bench("--engines", "torch", "--batches", "2", "--data", tmp_path / "windows.npz")
    (trained,) = (row for row in found["rows"] if row["kind"] == "train")
    assert (trained["train"], set(trained["before"])) == (16, {"one", "two"})
    assert all(trained["after"][name] < trained["before"][name] for name in trained["before"])


def test_what_the_budget_leaves_no_time_for_is_named(bench):
    found, lines = bench("--engines", "jax", "--batches", "2", "--budget", "0")
    assert found["rows"] == []
    assert [(one["engine"], one["batches"]) for one in found["skipped"]] == [("jax", [2])]
    assert any("Skipped" in line for line in lines)


def test_operations_are_those_that_pytorch_counts(tmp_path):
    program = tmp_path / "count.py"
    program.write_text(COUNT)
    environment = {"KERAS_BACKEND": "torch", "PYTHONPATH": f"{TOOLS}:{TOOLS.parent}"}
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True, env=environment)
    counted, ours = map(int, done.stdout.split())
    assert ours == counted


COUNT = """
import keras
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from physiokeras.models import Encoder, MaskedAutoencoder
from step_cost import step_flops

modalities = {"eeg": {"samples": 40, "channels": 3}, "emg": {"samples": 80, "channels": 1}}
model = MaskedAutoencoder(Encoder(modalities, 5, 16, 3, 2), decoder_width=8, decoder_depth=1, decoder_heads=2)
inputs = {name: keras.random.normal((6, m["samples"], m["channels"])) for name, m in modalities.items()}
# By plain products: the fused kernel computes the scores once more in its backward pass.
with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
    model.compute_loss(x=inputs, y_pred=model(inputs, training=True)).backward()
print(counter.get_total_flops(), step_flops(modalities, 6, 5, 16, 3, 0.7, 8, 1))
"""
