"""Export a model's features or predictions to a format that runs without Keras, and check that they agree.

    physiokeras export --model RUN --format onnx --task stage --out EXPORTED

The folder EXPORTED holds the model's file and `export.json`: inputs in order, classes, the scale of int16, the data's
definition. Formats: `saved_model` (on TensorFlow or JAX), `onnx`, `litert`, `openvino` (on TensorFlow), `torch` (on
PyTorch). Every backend reads every model. Predictions are those of `physiokeras.load(RUN).predict`, also where
modalities are missing; what differs is not left in the folder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from physiokeras.experiments import exit_status
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import CommonSettings, read, setting

CALIBRATION = 128
"""Training windows on which 8 bits are calibrated."""


@dataclass(frozen=True)
class Settings(CommonSettings):
    """Settings of an export: model, format and inputs."""

    model: str = setting(
        help="run folder, a model folder such as RUN/model, the name of a preset, or hf://USER/NAME",
        group="model",
        role="place",
    )
    format: Literal["saved_model", "onnx", "litert", "openvino", "torch"] = setting(
        "saved_model", "format of the exported model", "model", "result"
    )
    task: str | None = setting(
        None, "task whose predictions to export, such as stage; none: export features", "model", "result"
    )
    batch: int | None = setting(None, "number of windows of a batch; none: any number", "model", "result")
    dtype: Literal["int16", "float32"] = setting(
        "int16", "type of the signals: int16 as stored, or float32 in scaled units", "model", "result"
    )
    bound: float = setting(1e-3, "largest difference from predict that is accepted", "model", "result")
    int8: bool = setting(
        False,
        "quantize the network to 8 bits (onnx and litert), calibrated on the windows of --data",
        "model",
        "result",
    )
    data: str | None = setting(
        None, "folder that `prepare` wrote: windows to compare on, to calibrate and to score on", "data", "place"
    )
    out: str = setting(help="folder for the exported model; an earlier export is replaced", group="run", role="place")

    def __post_init__(self):
        super().__post_init__()
        if self.int8 and (self.data is None or self.format not in ("onnx", "litert")):
            raise ValueError("--int8 needs --data, for calibration, and --format onnx or litert.")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    from physiokeras.exporting import int8, packages

    settings = read(Settings, argv, prog="physiokeras export", description=__doc__.split("\n")[0])
    try:
        packages.check_format(settings.format, settings.backend)  # before Keras is imported, which takes seconds
        if settings.int8:
            int8.quantizable(settings.format)
    except (ValueError, ImportError) as error:
        raise SystemExit(str(error)) from None
    use(settings.backend)
    from physiokeras.experiments.saved_models import located
    from physiokeras.exporting import export, scoring
    from physiokeras.exporting.sources import read_source
    from physiokeras.pipelines import Manifest

    try:
        model = located(settings.model)
        source = read_source(model, settings.task, None)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    names = ("task", "batch", "dtype", "int8", "bound", "seed")
    options = {name: getattr(settings, name) for name in names}
    manifest = Manifest.read(settings.data) if settings.data else None
    if manifest:
        modalities = source.extractor.encoder.modalities
        options["windows"] = scoring.calibration_windows(manifest, modalities, CALIBRATION, settings.seed)
    exported = export(model, Path(settings.out), settings.format, **options)
    print(exported)
    if manifest and exported.classes:
        scores, count = scoring.compare_scores(exported, model, settings.task, manifest, settings.batch)
        for who, found in scores.items():
            print(f"{who}: {', '.join(f'{name} {value:.3f}' for name, value in found.items())} ({count} test windows)")
    return 0


if __name__ == "__main__":
    exit_status.run(main)
