"""Progress of a training: a bar on a terminal, a line now and then in a log file or a notebook."""

import sys
import time

import keras

from physiokeras.keras_internals import steps_done

MOST_BARS = 100
"""Intervals up to which a terminal shows a bar for each."""


SECONDS = 30
"""Least time between two lines of a training that is one of many, such as a cell of a comparison."""


def shown(steps, interval, title=None):
    """How a training of `steps` shows its progress where standard output goes now.

    Args:
        steps: Steps of the whole training.
        interval: Steps of a Keras epoch.
        title: Words that name a training that is one of many, for its lines; None where it is the only one.

    Returns: list of callbacks, and `verbose` for `fit`.
    """
    if title is not None:
        return [TimedLines(steps, title)], 0
    if sys.stdout.isatty() and steps <= MOST_BARS * interval:
        return [], 1
    return [ProgressLines(steps)], 0


def say(text):
    """Print a line in one piece, at once, so that lines of several processes in one log file do not mix."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class ProgressLines(keras.callbacks.Callback):
    """Print a line after each Keras epoch, without control characters: step, metrics, speed, time left.

    Args:
        steps: Steps of the whole training.
    """

    def __init__(self, steps: int):
        super().__init__()
        self.steps, self._began = steps, None

    def on_train_batch_end(self, batch, logs=None):  # noqa: D102
        if self._began is None:  # the first step compiles, which says nothing of the others
            self._began = time.monotonic(), self._step()

    def on_epoch_end(self, epoch, logs=None):  # noqa: D102
        say(f"Step {self._line(logs or {})}")

    def _line(self, logs):
        step, (began, first) = self._step(), self._began
        metrics = ", ".join(f"{name} {float(value):.4g}" for name, value in logs.items())
        if step == first:  # no step has been timed yet
            return f"{step} of {self.steps}: {metrics}."
        seconds = (time.monotonic() - began) / (step - first)
        left = seconds * (self.steps - step)
        return f"{step} of {self.steps}: {metrics}; {seconds:.3g} s a step, {_in_words(left)} left."

    def _step(self):
        # A `LossScaleOptimizer` counts no steps itself.
        return steps_done(self.model.optimizer)


class TimedLines(ProgressLines):
    """Print a line every `SECONDS`: step, loss, last validation loss, speed, time left.

    Args:
        steps: Steps of the whole training.
        title: Words before each line.
    """

    def __init__(self, steps: int, title: str):
        super().__init__(steps)
        self.title, self._said = title, time.monotonic()
        self._validation: dict[str, float] = {}

    def on_train_batch_end(self, batch, logs=None):  # noqa: D102
        super().on_train_batch_end(batch, logs)
        if time.monotonic() - self._said >= SECONDS:
            losses = {"loss": logs["loss"], **self._validation}
            say(f"{self.title}, step {self._line(losses)}")
            self._said = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):  # noqa: D102
        self._validation = {name: value for name, value in (logs or {}).items() if name == "val_loss"}


def _in_words(seconds):
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
