"""The columns used last, bounded in bytes and number, so that a worker's memory stays flat."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class RecentArrays:
    """A least-recently-used cache of arrays, or of what has their ``nbytes``, safe to share between threads.

    It holds at most ``max_bytes`` of data and ``max_arrays`` arrays (an open map costs a file descriptor), but always
    the one put last. What is dropped lives on for whoever still uses it.
    """

    def __init__(self, max_bytes: int, max_arrays: int) -> None:
        self.max_bytes = max_bytes
        self.max_arrays = max_arrays
        self.bytes = 0
        self._arrays: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, key: Hashable) -> Any:
        """Return the array of ``key``, now the one used last, or None."""
        with self._lock:
            array = self._arrays.get(key)
            if array is not None:
                self._arrays.move_to_end(key)
            return array

    def put(self, key: Hashable, array: Any) -> None:
        """Keep ``array`` under ``key`` and drop those used longest ago until the bounds hold."""
        dropped = []  # unmapped after the lock is given back
        with self._lock:
            old = self._arrays.pop(key, None)
            if old is not None:
                dropped.append(old)
            self._arrays[key] = array
            self.bytes += array.nbytes - (old.nbytes if old is not None else 0)
            while len(self._arrays) > 1 and (self.bytes > self.max_bytes or len(self._arrays) > self.max_arrays):
                oldest = self._arrays.popitem(last=False)[1]
                self.bytes -= oldest.nbytes
                dropped.append(oldest)
