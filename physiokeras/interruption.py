"""Handling of SIGTERM and Ctrl-C, during training and otherwise."""

import contextlib
import os
import signal
import sys
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)
REMINDER_S = 2.0
"""Seconds after which a signal is repeated that has not ended the command."""
_SAID = (
    "the current step, or validation, is finished first, then saved. A second signal ends after this batch, unsaved.",
    "training ends after this batch, unsaved. A third signal ends the process at once.",
)


class SignalWatch:
    """Notes the signals that arrive inside `fit` of a model, for callbacks to act on between two batches.

    An exception from a signal's handler could come inside a step, to which JAX has given the model's buffers: the model
    would be lost, and Keras would fail on it. The third signal ends the process at once.

    Attributes:
        told: The `signal.Signals` that arrived, or None.
        count: How many arrived.
    """

    def __init__(self):
        self.told, self.count = None, 0
        self._model, self._handlers = None, {}

    def install(self, model):
        """Watch from now on; outside the main thread, where Python allows no handlers, do nothing."""
        self._model = model
        if threading.current_thread() is threading.main_thread() and not self._handlers:
            self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}

    def remove(self):
        """Restore the handlers that were there before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _note(self, number, frame):
        if not self._trains(frame):  # an exception ended `fit`, of which Keras tells no callback
            self.remove()
            signal.raise_signal(number)
            return
        self.told, self.count = signal.Signals(number), self.count + 1
        if self.count > len(_SAID):
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        # Not by `print`, which the signal may have interrupted.
        os.write(2, f"\n{self.told.name}: {_SAID[self.count - 1]}\n".encode())

    def _trains(self, frame):
        while frame and not (frame.f_code.co_name == "fit" and frame.f_locals.get("self") is self._model):
            frame = frame.f_back
        return frame is not None


@contextlib.contextmanager
def explained(folder, advice):
    """A context in which both signals end the command with a message on which checkpoints the run has.

    While a model trains, `Checkpoints` handles the signals instead, and saves first.

    Args:
        folder: `Path` of the run's folder.
        advice: How to go on, a sentence.

    Raises:
        KeyboardInterrupt: On Ctrl-C, also where that led to another exception: without `Checkpoints` a training can
            fail, since JAX loses the buffers of the step that ran.
        SystemExit: On SIGTERM likewise, with status 143.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told, left, reminders = [], threading.Event(), []

    def remind(number):
        if not left.is_set():
            os.kill(os.getpid(), number)

    def end(number, frame):
        if left.is_set():
            return
        told.append(signal.Signals(number))
        # Python ignores an exception inside a callback of the garbage collector, such as JAX's: send the signal again.
        reminders.append(threading.Timer(REMINDER_S, remind, [number]))
        reminders[-1].daemon = True
        reminders[-1].start()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield
    except BaseException:
        left.set()
        if not told:
            raise
        print(f"\n{told[0].name}: stopped outside of training. {_saved(folder)} {advice}", file=sys.stderr, flush=True)
        if told[0] == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + told[0]) from None
    finally:
        left.set()
        for timer in reminders:
            timer.cancel()
            timer.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _saved(folder):
    """A sentence on the newest checkpoint below a folder."""
    found = [path.parent for path in folder.rglob("step-*/checkpoint.json")]
    if not found:
        return "There is no checkpoint: a training begins at step 0."
    newest = max(found, key=_time)
    return f"The training's last checkpoint is in place: {newest}."


def _time(path):
    """Time at which a folder was written; 0 where another process has just removed it."""
    try:
        return os.path.getmtime(path)
    except FileNotFoundError:
        return 0.0
