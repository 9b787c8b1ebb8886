"""SIGTERM and Ctrl-C while a model trains."""

import os
import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SAID = (
    "this step, and a validation that has begun, is finished and saved. Once more: leave after this batch, unsaved.",
    "leaving after this batch. Once more: end the process at once.",
)


class SignalWatch:
    """Notes the signals that arrive inside `fit` of a model, for callbacks to act on between two batches.

    An exception from a signal's handler could come inside a step, to which JAX has given the model's buffers: the model
    would be lost, and Keras would fail on it. The third signal ends the process as if nobody had asked for signals.

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
        """Give the signals back to whoever had them before."""
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
