"""Least-recently-used cache of arrays, bounded in bytes."""

import threading
from collections.abc import Hashable
from contextlib import suppress
from typing import Any

from cachetools import LRUCache


class LruArrays:
    """A least-recently-used cache of arrays, or of anything with their ``nbytes``, shared between threads.

    It holds at most ``max_bytes``; an array counts as at least ``least_bytes``, which bounds their number. A larger
    array is not kept. An evicted array lives on where it is in use.
    """

    def __init__(self, max_bytes: int, *, least_bytes: int = 1) -> None:
        self._arrays: LRUCache[Hashable, Any] = LRUCache(
            max_bytes, getsizeof=lambda array: max(array.nbytes, least_bytes)
        )
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def max_bytes(self) -> int:
        """The bound."""
        return int(self._arrays.maxsize)

    @property
    def bytes(self) -> int:
        """The bytes that count towards the bound."""
        return int(self._arrays.currsize)

    def get(self, key: Hashable) -> Any:
        """Return the array of ``key``, now the one used last, or None."""
        with self._lock:
            return self._arrays.get(key)

    def put(self, key: Hashable, array: Any) -> None:
        """Keep ``array`` under ``key`` and evict those used longest ago until the bound holds."""
        with self._lock, suppress(ValueError):  # larger than the whole cache
            self._arrays[key] = array
