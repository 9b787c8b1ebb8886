"""Keeps threads of TensorFlow out of Python while the interpreter ends, which would hang there."""

import atexit
import threading
import time

PAUSE = 0.02
"""Seconds without a call after which no thread is on its way into Python any more."""


class CallsAtExit:
    """Counts calls of functions by foreign threads. At exit it waits for those under way, and later ones do nothing.

    A thread of `tf.data` that reads ahead makes a few more calls then, and stops when its buffer is full.
    """

    def __init__(self):
        self._lock, self._begun, self._under_way, self._closed = threading.Lock(), 0, 0, False
        atexit.register(self._close)

    def result(self, function, otherwise):
        """What a function returns; `otherwise` once the interpreter ends."""
        with self._lock:
            self._begun += 1
            if self._closed:
                return otherwise
            self._under_way += 1
        try:
            return function()
        finally:
            with self._lock:
                self._under_way -= 1

    def _close(self):
        self._closed, before = True, 0
        while self._under_way or before != self._begun:
            before = self._begun
            time.sleep(PAUSE)
