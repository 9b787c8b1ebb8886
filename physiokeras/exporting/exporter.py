"""Export a model, compare it in the format's own runtime with what `predict` gives, then move it into place."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from physiokeras.constants import INT16_SCALE
from physiokeras.errors import DataError
from physiokeras.evaluation.probe import Probe
from physiokeras.exporting import int8 as eight_bits
from physiokeras.exporting import parity
from physiokeras.exporting.formats import usable, write
from physiokeras.exporting.portable import portable_model
from physiokeras.exporting.sources import read_source
from physiokeras.files import remove_folder, sync_folder
from physiokeras.models import digest

_FACTS = "export.json"
BOUND = 1e-3
"""Largest difference, relative to values above 1; rounding in float32 gives 1e-5 and less."""


@dataclass(frozen=True)
class Exported:
    """An exported model that agrees with Keras.

    Args:
        folder: Its folder: the model's file or files, and `export.json`.
        file: What the runtime opens.
        format: Name of the format.
        inputs: The inputs in order: dicts of name, shape (None: any batch) and dtype.
        output: Name of the output: "features", or the task's.
        classes: Names of the classes of whose probabilities the output consists; () for features and numbers.
        compared_with: What it was compared with: `physiokeras.load(...).predict`, or Keras.
        difference: Largest difference from that, relative to values above 1; with 8 bits, before quantization.
        int8_difference: The same of the 8-bit model, on the windows of the calibration; None without 8 bits.
        windows: Windows that were compared.
        incomplete: Those of them that lack a modality.
        bytes: Size of the files.
        ms: Milliseconds for a window in the format's runtime, on one thread where the runtime has the option.
        keras_ms: The same in Keras.
        missing: What it does with windows that lack modalities, a sentence.
    """

    folder: str
    file: str
    format: str
    inputs: list[dict]
    output: str
    classes: tuple[str, ...]
    compared_with: str
    difference: float
    int8_difference: float | None
    windows: int
    incomplete: int
    bytes: int
    ms: float
    keras_ms: float
    missing: str

    def __str__(self):
        eight = f" ({self.int8_difference:.1e} in 8 bits)" if self.int8_difference is not None else ""
        return (
            f"{self.file}: {self.format}, {self.bytes / 1e6:.2f} MB, largest difference from "
            f"{self.compared_with} {self.difference:.1e} on {self.windows} windows, {self.incomplete} of which lack "
            f"a modality{eight}, {self.ms:.2f} ms a window (Keras {self.keras_ms:.2f} ms)\n{self.missing}"
        )


def export(
    model: keras.Model | str | os.PathLike,
    path: str | os.PathLike,
    format: str = "saved_model",
    *,
    task: str | Probe | None = None,
    batch: int | None = None,
    dtype: str = "int16",
    pooling: str | None = None,
    windows: dict[str, np.ndarray] | None = None,
    int8: bool = False,
    bound: float = BOUND,
    seed: int = 0,
) -> Exported:
    """Export features or predictions of a model for another runtime, and check that they agree.

    The exported model takes the signals by name, in the order of the modalities, then `present`, boolean
    `(batch, channels)`. Predictions are those of `physiokeras.load(...).predict`: the run's subset maps are part of the
    model, and a window without any modality gives NaN. Features are as the encoder gives them, without these maps.

    The model is compared with `predict`, or with Keras, in the format's own runtime, on random windows with all
    modalities, without each, with each alone, with random channels and with none. Only a model that agrees is left in
    the folder.

    Args:
        model: A run's folder, a folder that `save` wrote, a preset's name, "hf://user/name", or a model with an
            encoder.
        path: Folder of the exported model; an earlier export there is replaced.
        format: "saved_model", "onnx", "litert", "openvino" or "torch".
        task: Name of a task of the run's probes or of a fine-tuned model; or a `Probe`; None: export features.
        batch: Windows of a batch; None: any number.
        dtype: Of the signals: "int16", as stored (scaled value × 32767 / 20), or "float32", in scaled units.
        pooling: As in `FeatureExtractor`, of a model that has none itself; default: that of the run.
        windows: Real windows to compare on besides, as in the call of `Encoder`, with "present": as they are, and
            without each modality.
        int8: Whether to quantize the network's linear layers to 8 bits, calibrated on `windows`; "onnx" and "litert".
            Spectra and the probe stay in float32.
        bound: Largest difference allowed, absolute for values up to 1 and relative above.
        seed: Seed of the random windows.

    Returns: `Exported`.

    Raises:
        ValueError: The backend does not write this format, or an argument is wrong.
        ImportError: A package is missing; the message says what to install.
        DataError: No model or probe there, a path that holds something else, or a difference above the bound.
    """
    form, out = usable(format), Path(path)
    _check(out, format, batch, dtype, windows, int8)
    source = read_source(model, task, pooling)
    encoder, size = source.extractor.encoder, batch or 1
    inputs = parity.windows(encoder, dtype, size, seed, windows)
    network, signature = portable_model(source.extractor, source.head, batch, dtype)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp") as temporary:
        written = Path(temporary) / "export"
        written.mkdir()
        file = written / form.file
        write(form, network, signature, file, batch is None)
        difference = _difference(form.open(file), source, inputs, batch)
        _refuse_above(bound, difference, source.reference, out / form.file)
        int8_difference = _quantized(format, file, source, windows, dtype, batch) if int8 else None
        first = {name: values[:size] for name, values in inputs.items()}
        ms, keras_ms = (parity.milliseconds(run, first) / size for run in (form.open(file), source.in_keras))
        result = Exported(
            folder=str(out),
            file=str(out / form.file),
            format=format,
            inputs=[{"name": x.name, "shape": list(x.shape), "dtype": x.dtype} for x in signature[0]],
            output=next(iter(network.output)),
            classes=source.head.task.classes if source.head else (),
            difference=difference,
            int8_difference=int8_difference,
            compared_with=source.reference,
            windows=len(inputs["present"]),
            incomplete=parity.incomplete(encoder, inputs),
            bytes=sum(part.stat().st_size for part in written.rglob("*") if part.is_file()),
            ms=ms,
            keras_ms=keras_ms,
            missing=source.note,
        )
        _write_facts(written / _FACTS, result, source, form.operators(file) if form.operators else None)
        _put_in_place(written, out)
    return result


def _check(out, format, batch, dtype, windows, int8):
    """Refuse wrong arguments of `export` before anything is read."""
    if int8:
        eight_bits.quantizable(format)
        if windows is None or len(windows["present"]) < (batch or 1):
            raise ValueError(
                "`int8` needs `windows` to calibrate on, such as 128 of the training windows, and at least one batch."
            )
    if dtype not in ("int16", "float32"):
        raise ValueError(f"`dtype` must be 'int16' or 'float32'. Received: {dtype!r}.")
    if batch is not None and batch < 1:
        raise ValueError(f"`batch` must be at least 1, or None for any. Received: {batch}.")
    if out.exists() and not (out / _FACTS).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(f"is no earlier export (it has no {_FACTS}); give another folder.", file=out)


def _refuse_above(bound, difference, reference, file):
    """Refuse a model that differs from its reference by more than the bound."""
    if not difference <= bound:  # NaN too
        raise DataError(
            f"the exported model differs from {reference} by {difference:.2g}, more than {bound:g}, and was removed. "
            "Export another format, or report it with the model's config.json.",
            file=file,
        )


def _put_in_place(written, out):
    """Rename a finished folder to its place, where an earlier export may lie."""
    if out.exists():
        remove_folder(out)
    os.rename(written, out)
    sync_folder(out.parent)


def _quantized(format, file, source, windows, dtype, batch):
    """Quantize the file, and return its difference on the windows of the calibration."""
    size, real = batch or 1, parity.stored(windows, source.extractor.encoder, dtype)
    real = {name: values[: len(values) // size * size] for name, values in real.items()}
    eight_bits.quantize(format, file, real, size)
    return _difference(usable(format).open(file), source, real, batch)


def _difference(run, source, inputs, batch):
    """Largest difference between the format's runtime and what the source gives on some windows."""
    return parity.difference(parity.by_runtime(run, inputs, batch), source.expected(inputs, batch or 1))


def _write_facts(path, result, source, operators):
    """Write what a user of the exported model needs: inputs, classes, the scale of int16, the definition."""
    table = asdict(result)
    del table["folder"], table["file"]
    table |= {
        "int16_scale": INT16_SCALE,
        "pooling": source.extractor.pooling,
        "subset_maps": source.head.subsets if source.head else (),
        "encoder": digest(source.extractor.encoder),
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        "definition": source.facts.get("definition"),
    }
    if operators:
        table["operators"] = operators
    path.write_text(json.dumps(table, indent=1), encoding="utf-8")
