import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from trainings import line, points

from physiokeras.callbacks import MetricsFile
from physiokeras.experiments import loggers
from physiokeras.experiments.settings import read
from physiokeras.recipes import pretrain

pytestmark = pytest.mark.once


def settings(*names):
    return replace(read(pretrain.Settings, []), log=names)


def fitted(folder, names, epochs=2, first=0):
    """Losses in `metrics.csv` by step, of a training of one weight matrix with loggers, 3 steps an epoch."""
    model = line()
    folder.mkdir(exist_ok=True)
    with loggers.opened(settings(*names), folder) as callbacks:
        callbacks = [MetricsFile(folder / "metrics.csv"), *callbacks]
        model.fit(points(first), epochs=epochs, steps_per_epoch=3, verbose=0, callbacks=callbacks)
    rows = [row.split(",") for row in (folder / "metrics.csv").read_text().splitlines()[1:]]
    return {int(row[0]): float(row[-1]) for row in rows}


@pytest.mark.parametrize("name", loggers.MODULES)
def test_logger_that_is_not_installed_is_said_in_one_sentence(name, monkeypatch):
    monkeypatch.setitem(sys.modules, loggers.MODULES[name], None)
    extra = {"tensorboard": "logging"}.get(name, name)
    with pytest.raises(SystemExit, match=rf"--log {name}: .*pip install 'physiokeras\[{extra}\]'"):
        loggers.check(settings(name))


def test_no_logger_is_opened_unless_asked_for(tmp_path):
    assert loggers.chosen(settings()) == ()
    assert loggers.chosen(replace(settings("tensorboard"), tensorboard=True)) == ("tensorboard",)
    assert loggers.chosen(SimpleNamespace(log=(), tensorboard=True)) == ("tensorboard",)


def test_tensorboard_files_hold_the_losses_of_the_metrics_file(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tensor_util = pytest.importorskip("tensorboard.util.tensor_util")
    losses = fitted(tmp_path / "run", ["tensorboard"])
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard" / "train"))
    events.Reload()
    written = [float(tensor_util.make_ndarray(event.tensor_proto)) for event in events.Tensors("epoch_loss")]
    assert written == pytest.approx(list(losses.values()), rel=1e-5)


def test_mlflow_holds_the_losses_and_a_resumed_training_continues_its_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    address = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    losses = fitted(tmp_path / "run", ["mlflow"])
    fitted(tmp_path / "run", ["mlflow"], epochs=1)
    client = mlflow.MlflowClient(tracking_uri=address)
    (run,) = client.search_runs([client.get_experiment_by_name("physiokeras").experiment_id])
    history = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, "loss")[:2]}
    assert history == pytest.approx(losses, rel=1e-5)
    assert (run.info.status, run.data.params["steps"]) == ("FINISHED", "500")


def test_wandb_writes_offline_into_the_folder_of_the_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    fitted(tmp_path / "run", ["wandb"])
    (run,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    name = (tmp_path / "run" / "wandb_run.txt").read_text()
    assert run.name.endswith(name)
    assert list(run.glob("*.wandb"))
