"""Training metrics as a CSV file."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import keras

from physiokeras.callbacks import hosts
from physiokeras.files import write_atomic
from physiokeras.keras_internals import steps_done


class MetricsFile(keras.callbacks.Callback):
    """Write a row for each Keras epoch: step, learning rate, losses. Steps that loss scaling skips do not count.

    A resumed training continues the file: rows after the optimizer's step are removed. Of several hosts,
    the first writes.

    Args:
        path: The CSV file.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self.path = Path(path)
        self.columns: Sequence[str] | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:  # noqa: D102
        self.columns, rows = None, []
        if not hosts.is_first():
            return
        if self._step() and self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                rows = [row for row in reader if row["step"].isdigit() and int(row["step"]) <= self._step()]
                self.columns = reader.fieldnames
        text = io.StringIO(newline="")
        if self.columns:
            writer: csv.DictWriter = csv.DictWriter(text, self.columns)
            writer.writeheader()
            writer.writerows(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, text.getvalue())

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:  # noqa: D102
        values = {**self._rates(), **(logs or {})}
        if not hosts.is_first():
            return
        row = {"step": self._step(), **{name: f"{float(value):.6g}" for name, value in values.items()}}
        new = self.columns is None
        self.columns = self.columns or list(row)
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            os.fsync(file.fileno())  # a checkpoint of this step must find the row there

    def _rates(self):
        optimizer = self.model.optimizer
        each = getattr(optimizer, "optimizers", None)  # those of a `MultiOptimizer`, which has no rate itself
        if each is None:
            return {"learning_rate": keras.ops.convert_to_numpy(optimizer.learning_rate)}
        rates = [keras.ops.convert_to_numpy(one.learning_rate) for one in each]
        return {f"learning_rate_{number}": rate for number, rate in enumerate(rates)}

    def _step(self):
        # A `LossScaleOptimizer` counts no steps itself.
        return steps_done(self.model.optimizer)
