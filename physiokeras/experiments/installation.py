"""What is installed on this machine, what the backends find there, and what is missing."""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import physiokeras

PACKAGES = (
    *("keras", "tensorflow", "numpy", "scipy", "pandas", "scikit-learn", "matplotlib", "h5py", "safetensors"),
    *("wfdb", "filelock", "keras-tuner", "tomli-w", "defusedxml", "edfio", "google-crc32c", "jinja2", "markdown"),
    *("six", "tensorboard"),
)
"""Distributions that every installation needs."""

EXTRAS = {
    "jax": ("jax", "the JAX backend"),
    "torch": ("torch", "the PyTorch backend"),
    "flac": ("soundfile", "WFDB recordings in FLAC"),
    "logging": ("tensorboard", "--log tensorboard"),
    "mlflow": ("mlflow", "--log mlflow"),
    "wandb": ("wandb", "--log wandb"),
    "completion": ("shtab", "completion in the shell"),
    "mne": ("mne", "BrainVision, FIF, EEGLAB, GDF and more recordings; mne.io.Raw"),
    "beam": ("apache_beam", "conversion on Apache Beam"),
    "dask": ("distributed", "conversion on a Dask cluster"),
    "grain": ("grain", "Grain reads prepared data"),
    "io": ("tensorflow_io", "prepared data on S3, read by TensorFlow itself"),
    "remote": ("s3fs", "data, recordings and models on S3, the web and other file systems"),
    "onnx": ("tf2onnx", "export to ONNX"),
    "litert": ("ai_edge_litert", "export to LiteRT"),
    "openvino": ("openvino", "export to OpenVINO"),
    "hub": ("huggingface_hub", "models on the Hugging Face Hub"),
}
"""Extra of the package -> module that it installs, and what it is for."""

VARIABLES = (
    *("KERAS_BACKEND", "CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"),
    *("TF_NUM_INTEROP_THREADS", "XLA_FLAGS", "MALLOC_ARENA_MAX", "SLURM_CPUS_PER_TASK"),
)
"""Environment variables that change where and on how many threads a command computes."""

_DEVICES = {
    "tensorflow": "import tensorflow as tf; found = [f'{d.device_type} {d.name}' for d in "
    "tf.config.list_physical_devices()]",
    "jax": "import jax; found = [f'{d.platform.upper()} {d.id} {d.device_kind}' for d in jax.devices()]",
    "torch": "import torch; found = ['CPU'] + [f'GPU {i} {torch.cuda.get_device_name(i)}' for i in "
    "range(torch.cuda.device_count())] + ['MPS'] * torch.backends.mps.is_available()",
}
"""Code that lists the devices of a backend; it runs in a process of its own, because it may take a GPU's memory."""

_PATIENCE_S = 120
_LITTLE_DISK_GB = 5


def examine(backends=tuple(_DEVICES)):
    """Facts on this machine and the installation.

    Args:
        backends: Names of the backends whose devices are listed; each takes a few seconds.

    Returns: dict of `versions`, `missing` (distributions), `backends` (name to list of devices, to None where it is not
        installed, or to a message where it fails), `extras` (extra to whether it is installed), `cores`, `variables`
        and `disk_gb` (folder to free space).
    """
    installed = {name: _installed(name) for name in PACKAGES}
    return {
        "versions": {
            "physiokeras": physiokeras.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
        }
        | {name: found for name, found in installed.items() if found},
        "missing": [name for name, found in installed.items() if not found],
        "backends": {name: devices(name) for name in backends},
        "extras": {extra: importlib.util.find_spec(module) is not None for extra, (module, _) in EXTRAS.items()},
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "disk_gb": {str(place): shutil.disk_usage(place).free / 1e9 for place in (Path.cwd(), tempfile.gettempdir())},
    }


def devices(backend):
    """Devices that a backend finds: list of texts; None where it is not installed; a message where it fails."""
    if importlib.util.find_spec(backend) is None:
        return None
    code = f"import json; {_DEVICES[backend]}; print(); print(json.dumps(found))"
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], env=quiet, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {_PATIENCE_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"its process ended with status {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def lines(facts):
    """The facts as lines of text for a terminal."""
    yield "Versions: " + ", ".join(f"{name} {found}" for name, found in facts["versions"].items())
    yield ""
    for name, found in facts["backends"].items():
        shown = "not installed" if found is None else f"fails: {found}" if isinstance(found, str) else ", ".join(found)
        yield f"Backend {name}: {shown}"
    yield f"Processor cores for this process: {facts['cores']}"
    yield "Variables: " + (", ".join(f"{name}={value}" for name, value in facts["variables"].items()) or "none set")
    for place, free in facts["disk_gb"].items():
        yield f"Free disk: {free:.0f} GB in {place}"
    yield ""
    for extra, there in facts["extras"].items():
        yield f"{'Installed' if there else 'Not installed'}: [{extra}], {EXTRAS[extra][1]}" + (
            "" if there else f": pip install 'physiokeras[{extra}]'"
        )


def problems(facts):
    """Sentences on what does not work, each with its remedy."""
    if facts["missing"]:
        yield f"Packages are missing: {', '.join(facts['missing'])}. Install them: pip install physiokeras"
    for name, found in facts["backends"].items():
        if isinstance(found, str):
            yield f"The {name} backend is installed but fails: {found}. Install it again, or use another --backend."
    for place, free in facts["disk_gb"].items():
        if free < _LITTLE_DISK_GB:
            yield f"There are only {free:.1f} GB free in {place}. Free some, or set --out (or TMPDIR) to another disk."


def remarks(facts):
    """Sentences on what works, but may not be what is wanted."""
    with_gpu = {name: _gpus(found) for name, found in facts["backends"].items() if isinstance(found, list)}
    tensorflow = with_gpu.pop("tensorflow", [])
    if tensorflow:
        yield (
            f"TensorFlow sees {len(tensorflow)} GPU(s) and would take their memory. Commands with --backend jax or "
            "torch hide them from it; in a script set KERAS_BACKEND before physiokeras and TensorFlow are imported."
        )
    for name, found in with_gpu.items():
        if found and not tensorflow:
            yield f"Only some backends find the GPU: use --backend {name}; TensorFlow computes on the processor."
    if not tensorflow and not any(with_gpu.values()):
        yield "No backend finds a GPU: training runs on the processor. The fastest backend there is jax."
    if facts["backends"].get("tensorflow", ()) is None:
        yield "TensorFlow is not installed: --backend jax or torch is needed, and URLs of prepared data cannot be read."
    named = facts["variables"].get("KERAS_BACKEND")
    if named and facts["backends"].get(named, ()) is None:
        yield f"KERAS_BACKEND={named} is the default of --backend, but {named} is not installed."


def _gpus(found):
    return [device for device in found if not device.startswith("CPU")]


def _installed(name):
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
