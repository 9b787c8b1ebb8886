"""Values that were used last."""

import collections
import threading
from collections.abc import Callable, Hashable
from typing import Any


class Recent:
    """Keeps the values that were used last, for all threads of a process.

    Args:
        most: Number of values that are kept.
    """

    def __init__(self, most: int):
        self.most = most
        self._values: collections.OrderedDict = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key; where it is not kept, what `make` returns."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self.most:
                self._values.popitem(last=False)
        return value
