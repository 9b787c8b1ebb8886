"""Windows kept in the memory of this machine or of its device, so that each shard is read once in a training."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from physiokeras.constants import Tensor
from physiokeras.errors import DataError
from physiokeras.pipelines.prepared import checking
from physiokeras.pipelines.prepared.devices import keras_backend
from physiokeras.pipelines.prepared.folder_windows import aligned, blank, reader
from physiokeras.pipelines.prepared.manifest import Data
from physiokeras.pipelines.prepared.selection import Selection
from physiokeras.pipelines.prepared.source import Source
from physiokeras.pipelines.prepared.streaming import batches_of

BLOCK = 256
"""Windows that are read at a time."""


class WindowsInMemory:
    """The windows of a shuffled stream in memory. `stream` gives the batches of `pipelines.stream`, bit for bit.

    Args:
        folder: As for `pipelines.stream`.
        split: As for `pipelines.stream`.
        place: "host": NumPy arrays. "device": tensors of JAX or PyTorch, of which a batch is gathered by the numbers of
            its windows.
        labels: As for `pipelines.stream`.
        modalities: As for `pipelines.stream`.
        records: As for `pipelines.stream`.
        host: As for `pipelines.stream`; only this host's share is kept.

    Attributes:
        size: Bytes of all windows.

    Raises:
        DataError: The windows do not fit, or cannot be kept there; or as for `pipelines.stream`.
    """

    def __init__(
        self,
        folder: Data,
        split: str | Sequence[str] | None = None,
        *,
        place: Literal["host", "device"] = "host",
        labels: Sequence[str] = (),
        modalities: Sequence[str] | None = None,
        records: Sequence[str] | None = None,
        host: tuple[int, int] = (0, 1),
    ):
        self._chosen = Selection.of(folder, split, records, modalities, labels, host)
        inputs, _ = blank(self._chosen, 1)
        self.size = self._chosen.windows * sum(values.nbytes for values in inputs.values())
        self._refuse(place, folder)
        checking.check_sizes(self._chosen.manifest, self._chosen.records)
        self._firsts, counts = np.array(self._chosen.extents, np.int64).reshape(-1, 2).T
        self._begins = np.cumsum(counts) - counts
        self._inputs, self._labels = self._read(counts)
        if place == "device":
            from keras import ops

            for name in self._inputs:  # one after another, so that no more than one is in both memories
                self._inputs[name] = ops.convert_to_tensor(self._inputs[name])
        self._place = place

    def stream(self, batch_size: int, seed: int, start_step: int = 0) -> Any:
        """Batches as `pipelines.stream` gives them; "device": a `keras.utils.PyDataset` of tensors.

        Args:
            batch_size: As for `pipelines.stream`.
            seed: As for `pipelines.stream`, not None.
            start_step: As for `pipelines.stream`.
        """
        if seed is None or start_step < 0:
            values = f"seed={seed}, start_step={start_step}"
            raise ValueError(f"`seed` must be an integer and `start_step` at least 0. Received: {values}.")
        source = Source(self._chosen, batch_size, seed, start_step, True, windows=self)
        return batches_of(self._chosen, source, by_numpy=self._place == "host")

    def read(self, records: np.ndarray, places: np.ndarray) -> tuple[dict[str, Tensor], dict[str, np.ndarray]]:
        """As `FolderWindows.read`."""
        rows = self._begins[records] + places - self._firsts[records]
        labels = {name: values[rows] for name, values in self._labels.items()}
        if self._place == "device":
            from keras import ops

            rows = rows.astype(np.int32)
            return {name: ops.take(values, rows, axis=0) for name, values in self._inputs.items()}, labels
        inputs = {}
        for name, values in self._inputs.items():
            inputs[name] = aligned((len(rows), *values.shape[1:]), values.dtype)
            np.take(values, rows, axis=0, out=inputs[name], mode="clip")  # "raise" would copy
        return inputs, labels

    def _read(self, counts):
        """Inputs and labels of all windows in stored order."""
        windows, (inputs, labels) = reader(self._chosen), blank(self._chosen, self._chosen.windows)
        labels.pop("record", None)
        records = np.repeat(np.arange(len(counts)), counts)
        places = np.arange(len(records)) + np.repeat(self._firsts - self._begins, counts)
        for begin in range(0, len(records), BLOCK):
            part = slice(begin, begin + BLOCK)
            found, known = windows.read(records[part], places[part])
            for arrays, read in ((inputs, found), (labels, known)):
                for name, values in arrays.items():
                    values[part] = read[name]
        return inputs, labels

    def _refuse(self, place, folder):
        if self._chosen.in_place:
            raise DataError(
                "windows that TensorFlow reads from a URL cannot be kept in memory; install the extra [remote].",
                file=folder,
            )
        if place == "device" and keras_backend() == "tensorflow":
            raise DataError(
                "windows are kept on a device with the backends jax and torch; TensorFlow's batches come through the "
                "host's memory: keep them there.",
                file=folder,
            )
        for where in {"host": ("host",), "device": ("host", "device")}[place]:
            free = free_bytes(where)
            if free is not None and self.size > free:
                raise DataError(
                    f"{self._chosen.windows} windows of {', '.join(self._chosen.modalities)} take "
                    f"{self.size / 1e9:.3g} GB, and the {where}'s memory has {free / 1e9:.3g} GB free; "
                    "read them by streaming, or choose fewer modalities or splits.",
                    file=folder,
                )


def free_bytes(where: Literal["host", "device"]) -> int | None:
    """Bytes of memory that are free, of this machine (within its control group) or of the backend's first device.

    Returns: None where the system does not say, or where the device's memory is the machine's.
    """
    if where == "host":
        return _free_on_host()
    if keras_backend() == "torch":
        import torch

        return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else None
    import jax

    found = jax.local_devices()[0].memory_stats() or {}
    return found["bytes_limit"] - found["bytes_in_use"] if "bytes_limit" in found else None


def _free_on_host():
    free = []
    if os.path.exists("/proc/meminfo"):
        table = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free.append(1024 * int(table["MemAvailable"].split()[0]))
    for group in _control_groups():
        try:
            limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
            cached = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            free.append(limit - used + int(cached["file"]))
        except (OSError, ValueError, KeyError):
            continue  # no limit
    return min(free, default=None)


def _control_groups():
    """Folders of this process's control group and of those that contain it, whose limits all hold (version 2)."""
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return [root]
    own = next((root / line[3:].lstrip("/") for line in lines if line.startswith("0::")), root)
    return [own, *(parent for parent in own.parents if parent == root or root in parent.parents)]
