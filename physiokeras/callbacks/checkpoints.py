"""Checkpoints for exact resumption of a training."""

import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import keras

from physiokeras import checkpoint_folders
from physiokeras.callbacks import state
from physiokeras.errors import DataError, TrainingError

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Checkpoints(keras.callbacks.Callback):
    """Save the whole training state, so that an interrupted training resumes bit for bit.

    A checkpoint is a folder `step-NUMBER` of weights, seed states, optimizer, and running metrics of the Keras epoch.
    It is written to a temporary folder, synced to disk and renamed. The last two and the best are kept. Training also
    saves at its end, and on SIGTERM and Ctrl-C after the current step; then SIGTERM ends the process with status 143
    and Ctrl-C raises `KeyboardInterrupt`. A second signal takes effect at once. A loss that is not finite or too large
    ends training with `TrainingError` and saves nothing.

    ```python
    checkpoints = Checkpoints("run/checkpoints", every=100)
    checkpoints.restore(model)
    for part in checkpoints.parts(steps=5000, interval=1000):
        data = stream(folder, "train", batch_size=32, seed=0, start_step=checkpoints.step)
        model.fit(data, callbacks=[checkpoints], **part)
    ```

    Bit for bit holds on a CPU with the same backend. Weights are stored by name, so another backend can resume from
    them, but not bit for bit. List callbacks that write at the end of a Keras epoch, such as `MetricsFile`, before this
    one.

    Args:
        folder: Folder of the checkpoints; created if missing.
        every: Steps between two checkpoints.
        monitor: Metric of a Keras epoch whose minimum marks the best checkpoint.
        patience: Steps without a better metric after which training ends; none for no such limit.
        largest_loss: Loss above which training counts as diverged.
        facts: dict of what a run depends on, such as a seed and a data hash; `restore` refuses if they differ.
        describe: Function from a step, counted from 0, to a description of its batch, for the message of a bad loss.
        advice: A sentence on how to resume, printed after SIGTERM or Ctrl-C.

    Attributes:
        step: Steps done.
        best: dict of the best checkpoint's `step` and `value`, or None.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        every: int = 500,
        monitor: str = "val_loss",
        patience: int | None = None,
        largest_loss: float = 1e4,
        facts: dict | None = None,
        describe: Callable[[int], str] | None = None,
        advice: str = "",
    ):
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be at least 1. Received: every={every}.")
        self.folder, self.every, self.monitor, self.patience = folder, every, monitor, patience
        self.largest_loss, self.facts, self.describe, self.advice = largest_loss, facts or {}, describe, advice
        self.step, self.best = 0, None
        self._saved, self._epoch_began, self._running = None, 0, None
        self._told: signal.Signals | None = None
        self._handlers: dict = {}

    def restore(self, model: keras.Model) -> int:
        """Load the newest undamaged checkpoint into a compiled model, if there is any.

        Args:
            model: A compiled model, built.

        Returns: its step, 0 without a checkpoint.

        Raises:
            DataError: All checkpoints are damaged, or they are of another model, or `facts` differ; the message lists
                the differences.
        """
        # Otherwise TensorFlow traces the first step twice, to create the optimizer's variables.
        model.optimizer.build(model.trainable_variables)
        arrays, facts, complaints = checkpoint_folders.newest(self.folder)
        if arrays is None:
            return self.step
        then = facts["facts"]
        changed = [f"{k}: {then[k]!r} then, {v!r} now" for k, v in self.facts.items() if k in then and then[k] != v]
        if changed:
            message = f"checkpoints of another run: {'; '.join(changed)}. Give another folder."
            raise DataError(message, file=self.folder)
        self._take(model, arrays, facts)
        for complaint in complaints:
            warnings.warn(
                f"Skipped a damaged checkpoint: {complaint} Training resumes from step {self.step}.", stacklevel=2
            )
        checkpoint_folders.remove_after(self.folder, self.step)
        return self.step

    def restore_best(self, model: keras.Model) -> None:
        """Load the best checkpoint into the model, if there is any.

        Args:
            model: The model that was trained.
        """
        if self.best is not None:
            arrays, _ = checkpoint_folders.read(self.folder, self.best["step"])
            state.restore(model, arrays, checkpoint_folders.place(self.folder, self.best["step"]))

    def parts(self, steps: int, interval: int) -> Iterator[dict]:
        """Arguments of `fit` for the rest of a training, because `fit` cannot start or stop inside a Keras epoch.

        Args:
            steps: Steps of the whole training.
            interval: Steps of a Keras epoch.

        Yields: dict of `initial_epoch`, `epochs` and `steps_per_epoch`: the rest of an interrupted epoch, then whole
            epochs, then a shorter last one, as far as there are any.
        """
        while self.step < steps and not self._patience_is_over():
            began = self.step
            epoch, inside = divmod(began, interval)
            count = min(interval - inside, steps - began)
            epochs = steps // interval if count == interval else epoch + 1
            yield {"initial_epoch": epoch, "epochs": epochs, "steps_per_epoch": count}
            if self.step == began or self.model.stop_training:
                return

    def on_train_begin(self, logs=None):  # noqa: D102
        there = checkpoint_folders.steps(self.folder)
        if there and self._saved is None:
            raise ValueError(
                f"{self.folder} holds checkpoints already: call `restore(model)` to resume from them, or give another "
                "folder."
            )
        os.makedirs(self.folder, exist_ok=True)
        if threading.current_thread() is threading.main_thread() and not self._handlers:
            self._handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}

    def on_epoch_begin(self, epoch, logs=None):  # noqa: D102
        self._epoch_began = self.step
        # Keras resets the metrics here, also those of an interrupted epoch.
        if self._running and not state.restore_metrics(self.model, self._running):
            warnings.warn("Metrics of the interrupted epoch cover its remaining steps only.", stacklevel=2)
        self._running = None

    def on_train_batch_end(self, batch, logs=None):  # noqa: D102
        self.step = self._epoch_began + batch + 1
        self._check_loss((logs or {}).get("loss", 0.0))
        if batch + 1 == self.params.get("steps"):
            return  # `on_epoch_end` saves, after the row of metrics is written
        if self._is_due():
            self._save(metrics=True)
        self._leave_if_told()

    def on_epoch_end(self, epoch, logs=None):  # noqa: D102
        value = (logs or {}).get(self.monitor, math.nan)
        better = math.isfinite(value) and (self.best is None or value < self.best["value"])
        if better:
            self.best = {"step": self.step, "value": float(value)}
        if better or self._is_due():
            self._save()
        if self._patience_is_over():
            self.model.stop_training = True
        self._leave_if_told()

    def on_train_end(self, logs=None):  # noqa: D102
        self._save()
        self._leave_if_told()
        self._restore_handlers()

    def _take(self, model, arrays, facts):
        state.restore(model, arrays, checkpoint_folders.place(self.folder, facts["step"]))
        self.step, self.best, self._saved = facts["step"], facts["best"], facts["step"]
        self._running = {name: array for name, array in arrays.items() if name.startswith("metrics/")}

    def _is_due(self):
        return self._told is not None or (self._saved or 0) // self.every < self.step // self.every

    def _save(self, metrics=False):
        if self._saved == self.step:
            return
        arrays = state.arrays(self.model, metrics)
        bad = [name for name, array in arrays.items() if not state.is_finite(array)]
        if bad:
            raise TrainingError(self._gone_wrong(f"{bad[0]} is not finite"))
        facts = {
            "best": self.best,
            "facts": self.facts,
            "backend": keras.config.backend(),
            "keras": keras.__version__,
        }
        checkpoint_folders.write(self.folder, self.step, arrays, facts, [self.best["step"]] if self.best else [])
        self._saved = self.step

    def _check_loss(self, loss):
        if not loss <= self.largest_loss:  # so that NaN is caught
            raise TrainingError(self._gone_wrong(f"the mean loss is {loss:.6g}"))

    def _gone_wrong(self, what):
        last = "none was saved" if self._saved is None else checkpoint_folders.place(self.folder, self._saved)
        batch = f" The batch of this step: {self.describe(self.step - 1)}." if self.describe else ""
        return (
            f"Training stopped at step {self.step}: {what}. Last good checkpoint: {last}.{batch} Try a lower learning "
            "rate, a longer warm-up, a smaller gradient norm or float32, and look at the signals of that batch."
        )

    def _patience_is_over(self):
        return bool(self.patience and self.best and self.step - self.best["step"] >= self.patience)

    def _on_signal(self, number, frame):
        self._restore_handlers()  # a second signal ends the process at once
        while frame and not (frame.f_code.co_name == "fit" and frame.f_locals.get("self") is self.model):
            frame = frame.f_back
        if frame:
            self._told = signal.Signals(number)
            # `print` may be what the signal interrupted.
            os.write(2, f"\n{self._told.name}: this step is finished and saved.\n".encode())
        else:  # an exception has ended `fit`, and Keras calls no callback then
            signal.raise_signal(number)

    def _restore_handlers(self):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _leave_if_told(self):
        if self._told:
            path = checkpoint_folders.place(self.folder, self.step)
            print(
                f"\n{self._told.name}: step {self.step} is saved in {path}. {self.advice}", file=sys.stderr, flush=True
            )
            if self._told == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + self._told)
