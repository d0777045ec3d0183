"""Least-recently-used cache of arrays, bounded in bytes."""

import threading
from collections.abc import Hashable
from contextlib import suppress
from typing import Any

from cachetools import LRUCache


class LruArrays:
    """Least-recently-used cache of arrays, or of any objects with ``nbytes``, safe to share between threads.

    It holds at most ``max_bytes``; an array counts as at least ``least_bytes``, which bounds the number of arrays. An
    array larger than the cache is not stored. An evicted array stays valid where it is in use.
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
        """Maximum size in bytes."""
        return int(self._arrays.maxsize)

    @property
    def bytes(self) -> int:
        """Current size in bytes, as counted towards ``max_bytes``."""
        return int(self._arrays.currsize)

    def get(self, key: Hashable) -> Any:
        """Return the array of ``key`` and mark it as most recently used, or return None."""
        with self._lock:
            return self._arrays.get(key)

    def put(self, key: Hashable, array: Any) -> None:
        """Store ``array`` under ``key`` and evict the least recently used arrays until ``max_bytes`` holds."""
        with self._lock, suppress(ValueError):  # larger than the whole cache
            self._arrays[key] = array
