"""Checkpoints for exact resumption of a training."""

import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras

from physiokeras import checkpoint_folders
from physiokeras.callbacks import hosts, other_callbacks, state
from physiokeras.errors import DataError, TrainingError
from physiokeras.interruption import SignalWatch


class Checkpoints(keras.callbacks.Callback):
    """Save the whole training state, so that an interrupted training resumes bit for bit.

    A checkpoint is a folder `step-NUMBER` of weights, seed states, optimizer, and running metrics of the Keras epoch.
    It is written to a temporary folder, synced to disk and renamed. The last two and the best are kept. Training also
    saves at its end, and on SIGTERM and Ctrl-C after the current step, or after a validation that has begun; then
    SIGTERM ends the process with status 143 and Ctrl-C raises `KeyboardInterrupt`. After a second signal training ends
    after the current batch without a checkpoint. A loss that is not finite or too large ends training with
    `TrainingError` and saves nothing.

    ```python
    checkpoints = Checkpoints("run/checkpoints", every=100)
    checkpoints.restore(model)
    for part in checkpoints.parts(steps=5000, interval=1000):
        data = stream(folder, "train", batch_size=32, seed=0, start_step=checkpoints.step)
        model.fit(data, callbacks=[checkpoints], **part)
    ```

    Where a `keras.distribution` spans several processes of JAX, the first of them writes and reads the folder and tells
    the others. A signal to one of them ends all after the same step.

    Bit for bit holds on a CPU with the same backend. Weights are stored by name, so another backend can resume from
    them, but not bit for bit.

    List other callbacks before this one. Checkpoints keep the state of `EarlyStopping`, `ReduceLROnPlateau` and
    `ModelCheckpoint`, and of callbacks with the methods `state_dict()`, which returns a dict of JSON values, and
    `load_state_dict(state)`. A resumed training warns of other callbacks that may have a state. With an optimizer that
    averages weights (`use_ema=True`), checkpoints hold the weights themselves; the model gets the averages at the end
    of the training.

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
        stopped: Whether `EarlyStopping` has ended the training; set it to False to go on all the same.
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
        self.step, self.stopped = 0, False
        self.best: dict | None = None
        self._trained: Any = None
        self._saved, self._epoch_began = None, 0
        self._watch, self._states = SignalWatch(), None
        self._others: dict = {}
        self._inside, self._fit_has_ended, self._resumes = None, False, False

    def restore(self, model: keras.Model) -> int:
        """Load the newest undamaged checkpoint into a compiled model, if there is any.

        Args:
            model: A compiled model, built.

        Returns: its step, 0 without a checkpoint.

        Raises:
            DataError: All checkpoints are damaged, or they are of another model, or `facts` differ; the message lists
                the differences.
        """
        self.set_model(model)
        # Otherwise TensorFlow traces the first step twice, to create the optimizer's variables.
        state.build_optimizer(model)
        arrays, facts = hosts.from_first(self._newest)
        if arrays is None:
            return self.step
        self._take(model, arrays, facts)
        self._resumes = True
        if hosts.is_first():
            checkpoint_folders.remove_after(self.folder, self.step)
        return self.step

    def restore_best(self, model: keras.Model) -> None:
        """Load the best checkpoint into the model, if there is any.

        Args:
            model: The model that was trained.
        """
        if self.best is not None:
            step = self.best["step"]
            arrays, _ = hosts.from_first(lambda: checkpoint_folders.read(self.folder, step))
            state.restore(model, arrays, checkpoint_folders.place(self.folder, step))
            self._fit_has_ended = False

    def parts(self, steps: int, interval: int) -> Iterator[dict]:
        """Arguments of `fit` for the rest of a training, because `fit` cannot start or stop inside a Keras epoch.

        Args:
            steps: Steps of the whole training.
            interval: Steps of a Keras epoch.

        Yields: dict of `initial_epoch`, `epochs` and `steps_per_epoch`: the rest of an interrupted epoch, then whole
            epochs, then a shorter last one, as far as there are any.
        """
        if self.stopped and self.step < steps:
            message = f"EarlyStopping ended this training at step {self.step}. To go on, set `stopped` to False."
            warnings.warn(message, stacklevel=2)
        while self.step < steps and not self.stopped and not self._patience_is_over():
            began = self.step
            epoch, inside = divmod(began, interval)
            count = min(interval - inside, steps - began)
            epochs = steps // interval if count == interval else epoch + 1
            yield {"initial_epoch": epoch, "epochs": epochs, "steps_per_epoch": count}
            if self.step == began or self.model.stop_training:
                break
        self._end_as_fit_does()

    def on_train_begin(self, logs: dict | None = None) -> None:  # noqa: D102
        if hosts.is_first() and self._saved is None and checkpoint_folders.steps(self.folder):
            raise ValueError(
                f"{self.folder} holds checkpoints already: call `restore(model)` to resume from them, or give another "
                "folder."
            )
        if hosts.is_first():
            os.makedirs(self.folder, exist_ok=True)
        self._others = other_callbacks.beside(self)
        # On JAX each look at `self.model` writes all values back into its variables, and breaks a step that runs.
        self._trained = self.model
        if self._fit_has_ended and self._fit_changes_weights():
            self._take(self._trained, *hosts.from_first(lambda: checkpoint_folders.read(self.folder, self.step)))
        self._fit_has_ended = False
        self._watch.install(self._trained)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:  # noqa: D102
        self._epoch_began = self.step
        if self._states is not None:
            other_callbacks.set_states(self._others, self._states, warn=self._resumes)
            self._states, self._resumes = None, False

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:  # noqa: D102
        if self._inside:
            # Keras has reset the metrics, and callbacks may have changed the state for a new epoch.
            state.restore(self.model, self._inside, self.folder)
            if not state.restore_metrics(self._trained, self._inside):
                warnings.warn("Metrics of the interrupted epoch cover its remaining steps only.", stacklevel=2)
        self._inside = None

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:  # noqa: D102
        self.step = self._epoch_began + batch + 1
        self._check_loss((logs or {}).get("loss", 0.0))
        self._share_signals()
        if self._watch.count > 1:
            self._leave()
        if batch + 1 == self.params.get("steps"):
            return  # `on_epoch_end` saves, after the row of metrics is written
        if self._is_due() or self._trained.stop_training:
            self._save(metrics=True)
        if self._watch.told:
            self._save(metrics=True)
            self._leave()

    def on_test_batch_begin(self, batch: int, logs: dict | None = None) -> None:  # noqa: D102
        self._share_signals()
        if self._watch.count > 1:
            self._leave()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:  # noqa: D102
        value = (logs or {}).get(self.monitor, math.nan)
        better = math.isfinite(value) and (self.best is None or value < self.best["value"])
        if better:
            self.best = {"step": self.step, "value": float(value)}
        self.stopped = self._trained.stop_training and other_callbacks.has_stopped(self._others)
        if self._patience_is_over():
            self._trained.stop_training = True
        last = self._trained.stop_training or epoch + 1 == self.params.get("epochs")
        self._share_signals()
        if better or last or self._is_due() or self._fit_changes_weights():
            self._save()
        if self._watch.told:
            self._save()
            self._leave()

    def on_train_end(self, logs: dict | None = None) -> None:  # noqa: D102
        self._save()  # where a callback behind this one ended the training
        self._fit_has_ended, self._states = True, other_callbacks.states(self._others)
        self._watch.remove()
        self._share_signals()
        if self._watch.told:
            self._leave()

    def _newest(self):
        """Arrays and facts of the newest undamaged checkpoint; see `restore`."""
        arrays, facts, complaints = checkpoint_folders.newest(self.folder)
        if arrays is None:
            return None, None
        then = facts["facts"]
        changed = [f"{k}: {then[k]!r} then, {v!r} now" for k, v in self.facts.items() if k in then and then[k] != v]
        if changed:
            message = f"checkpoints of another run: {'; '.join(changed)}. Give another folder."
            raise DataError(message, file=self.folder)
        for complaint in complaints:
            message = f"Skipped a damaged checkpoint: {complaint} Training resumes from step {facts['step']}."
            warnings.warn(message, stacklevel=3)
        return arrays, facts

    def _share_signals(self):
        """Tell all hosts of a signal to one of them, so that they stop after the same step."""
        if hosts.count() > 1:
            told, self._watch.count = hosts.largest([int(self._watch.told or 0), self._watch.count])
            self._watch.told = signal.Signals(told) if told else None

    def _take(self, model, arrays, facts):
        state.restore(model, arrays, checkpoint_folders.place(self.folder, facts["step"]))
        self.step, self.best, self._saved = facts["step"], facts["best"], facts["step"]
        self.stopped = facts.get("stopped", False)
        self._states = other_callbacks.unpack(facts.get("callbacks", {}), arrays)
        self._inside = arrays if any(name.startswith("metrics/") for name in arrays) else None
        self._fit_has_ended = False

    def _is_due(self):
        return (self._saved or 0) // self.every < self.step // self.every

    def _save(self, metrics=False):
        if self._saved == self.step:
            return
        if not hosts.is_first():
            self._saved = self.step
            return
        arrays = state.arrays(self.model, metrics)
        bad = [name for name, array in arrays.items() if not state.is_finite(array)]
        if bad:
            raise TrainingError(self._gone_wrong(f"{bad[0]} is not finite"))
        counted, more = other_callbacks.pack(other_callbacks.states(self._others))
        facts = {
            "best": self.best,
            "stopped": self.stopped,
            "callbacks": counted,
            "facts": self.facts,
            "backend": keras.config.backend(),
            "keras": keras.__version__,
        }
        keep = [self.best["step"]] if self.best else []
        checkpoint_folders.write(self.folder, self.step, {**arrays, **more}, facts, keep)
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

    def _fit_changes_weights(self):
        """Whether Keras gives the model other weights when `fit` ends: averages, or the best."""
        averages = any(getattr(one, "use_ema", False) for one in state.optimizers(self._trained))
        return averages or any(getattr(one, "restore_best_weights", False) for one in self._others.values())

    def _end_as_fit_does(self):
        """Let a training that had ended before it was restored end as if its last `fit` had run now."""
        if self._states is None or self._saved is None:
            return
        self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
        for counted in self._states.values():
            if counted.get("best_weights"):
                self.model.set_weights(counted["best_weights"])
        self._fit_has_ended = True

    def _leave(self):
        told, path = self._watch.told, checkpoint_folders.place(self.folder, self.step)
        if self._saved == self.step:
            said = f"step {self.step} is saved in {path}. {self.advice}"
        elif self._saved is None:
            said = f"ended at step {self.step} without a checkpoint; there is none, so training starts again at step 0."
        else:
            last = checkpoint_folders.place(self.folder, self._saved)
            said = f"ended at step {self.step}; the last checkpoint is {last}. {self.advice}"
        print(f"\n{told.name}: {said}", file=sys.stderr, flush=True)
        self._watch.remove()
        if told == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + told)
