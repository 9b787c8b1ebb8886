"""Loggers of metrics beside `metrics.csv`: TensorBoard, MLflow, Weights & Biases."""

import contextlib
import importlib.util
import os
from dataclasses import asdict

import keras

from physiokeras.keras_internals import steps_done

MODULES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}
"""Logger -> module that it needs."""

_EXTRAS = {"tensorboard": "logging"}
"""Logger -> extra of the package, where it has another name."""

_RUN_ID = "{}_run.txt"
"""File that keeps the identity of a logger's run, under which a resumed training goes on."""


def chosen(settings):
    """Names of the loggers that the settings ask for."""
    return tuple(dict.fromkeys([*settings.log, *(["tensorboard"] if settings.tensorboard else [])]))


def check(settings):
    """Refuse a logger that is not installed.

    Raises:
        SystemExit: One sentence says what to install.
    """
    for name in chosen(settings):
        if importlib.util.find_spec(MODULES[name]) is None:
            extra = _EXTRAS.get(name, name)
            raise SystemExit(f"--log {name}: {name} is not installed here: pip install 'physiokeras[{extra}]'")


@contextlib.contextmanager
def opened(settings, folder):
    """A context with the callbacks of the loggers, whose runs are closed at its end.

    Args:
        settings: With `log` and `tensorboard`.
        folder: Folder of the training; what loggers write is below it, unless their own environment variables, such as
            `MLFLOW_TRACKING_URI` and `WANDB_DIR`, name another place.

    Yields: list of Keras callbacks.
    """
    check(settings)
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_OPEN[name](settings, folder)) for name in chosen(settings)]


class IntervalLog(keras.callbacks.Callback):
    """Give the metrics of each Keras epoch to a function.

    Args:
        function: Function of the metrics, a dict of name to float, and of the step.
    """

    def __init__(self, function):
        super().__init__()
        self.function = function

    def on_epoch_end(self, epoch, logs=None):  # noqa: D102
        step = steps_done(self.model.optimizer)
        self.function({name: float(value) for name, value in (logs or {}).items()}, step)


@contextlib.contextmanager
def _tensorboard(settings, folder):
    yield keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False)


@contextlib.contextmanager
def _mlflow(settings, folder):
    import mlflow

    place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve() / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=place)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "physiokeras"
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    kept = folder / _RUN_ID.format("mlflow")
    if kept.exists():
        run = kept.read_text(encoding="utf-8").strip()
        client.update_run(run, status="RUNNING")
    else:
        run = client.create_run(experiment, run_name=folder.name).info.run_id
        for key, value in asdict(settings).items():
            client.log_param(run, key, value)
        kept.write_text(run, encoding="utf-8")

    def write(metrics, step):
        for key, value in metrics.items():
            client.log_metric(run, key, value, step=step)

    try:
        yield IntervalLog(write)
    except BaseException:
        client.set_terminated(run, "FAILED")
        raise
    client.set_terminated(run)


@contextlib.contextmanager
def _wandb(settings, folder):
    import wandb

    kept = folder / _RUN_ID.format("wandb")
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or "physiokeras",
        name=folder.name,
        dir=os.environ.get("WANDB_DIR") or str(folder),
        id=kept.read_text(encoding="utf-8").strip() if kept.exists() else None,
        resume="allow",
        reinit="create_new",
        config=asdict(settings),
    )
    kept.write_text(run.id, encoding="utf-8")
    with run:
        yield IntervalLog(lambda metrics, step: run.log(metrics, step=step))


_OPEN = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
