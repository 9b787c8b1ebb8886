"""Progress of a training: a bar on a terminal, a line for each interval in a log file or a notebook."""

import sys
import time

import keras

from physiokeras.keras_internals import steps_done

MOST_BARS = 100
"""Intervals up to which a terminal shows a bar for each."""


def shown(steps, interval):
    """How a training of `steps` shows its progress where standard output goes now.

    Args:
        steps: Steps of the whole training.
        interval: Steps of a Keras epoch.

    Returns: list of callbacks, and `verbose` for `fit`.
    """
    if sys.stdout.isatty() and steps <= MOST_BARS * interval:
        return [], 1
    return [ProgressLines(steps)], 0


class ProgressLines(keras.callbacks.Callback):
    """Print a line after each Keras epoch, without control characters: step, metrics, speed, time left.

    Args:
        steps: Steps of the whole training.
    """

    def __init__(self, steps: int):
        super().__init__()
        self.steps, self._began = steps, None

    def on_epoch_begin(self, epoch, logs=None):  # noqa: D102
        if self._began is None:
            self._began = time.monotonic(), self._step()

    def on_epoch_end(self, epoch, logs=None):  # noqa: D102
        step, (began, first) = self._step(), self._began
        seconds = (time.monotonic() - began) / max(1, step - first)
        metrics = ", ".join(f"{name} {float(value):.4g}" for name, value in (logs or {}).items())
        left = seconds * (self.steps - step)
        print(f"Step {step} of {self.steps}: {metrics}; {seconds:.3g} s a step, {_in_words(left)} left.", flush=True)

    def _step(self):
        # A `LossScaleOptimizer` counts no steps itself.
        return steps_done(self.model.optimizer)


def _in_words(seconds):
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
