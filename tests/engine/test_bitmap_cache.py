"""The cache of bitmaps: reuses memory, drops what was used longest ago, and never what is in use."""

import threading

import numpy as np
import pytest

from forge_core.feeds.bitmap_cache import BitmapCache
from forge_core.simd.memory import RecordLayout
from tests.engine.hand_bars import hand_feed

WORDS = 8


def stored(cache: BitmapCache, *keys: int) -> list[int]:
    """Borrow bitmaps, fill the missing ones with their keys; return the keys that were missing."""
    with cache.borrow(keys) as found:
        memory = {
            int(chunk.ctypes.data) + k * chunk.strides[0]: chunk[k]
            for chunk in cache._memory
            for k in range(len(chunk))
        }
        for position in found.missing:
            memory[int(found.addresses[position])][:] = keys[position]
        assert [int(memory[int(address)][0]) for address in found.addresses] == list(keys)
        return [keys[position] for position in found.missing]


def test_bitmaps_are_filled_once_and_the_oldest_are_dropped_first():
    cache = BitmapCache(WORDS, 4 * WORDS * 8)
    assert stored(cache, 1, 2, 3, 4) == [1, 2, 3, 4]
    assert stored(cache, 2, 1) == []
    assert stored(cache, 5) == [5]
    assert stored(cache, 4, 5, 1, 2) == []
    assert stored(cache, 3) == [3]
    assert (len(cache), cache.nbytes) == (4, 4 * WORDS * 8)


def test_memory_grows_only_for_what_is_in_use_together():
    cache = BitmapCache(WORDS, WORDS * 8)
    assert stored(cache, *range(100)) == list(range(100))
    grown = cache.nbytes
    for first in range(100, 1_000, 100):
        assert stored(cache, *range(first, first + 100)) == list(range(first, first + 100))
    assert cache.nbytes == grown == 100 * WORDS * 8


def test_what_is_in_use_stays_and_what_fails_is_not_cached():
    cache = BitmapCache(WORDS, 2 * WORDS * 8)
    stored(cache, 1)
    with cache.borrow([1]) as kept:
        for key in range(2, 20):
            stored(cache, key)
        with cache.borrow([1]) as again:
            assert not again.missing
            assert again.addresses == kept.addresses
    with pytest.raises(RuntimeError), cache.borrow([77]):
        raise RuntimeError
    assert stored(cache, 77) == [77]
    cache.clear()
    assert len(cache) == 0
    assert stored(cache, 1) == [1]


def test_threads_never_see_the_bitmap_of_another_key():
    cache = BitmapCache(WORDS, 20 * WORDS * 8)
    faults = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(300):
                stored(cache, *rng.choice(60, 10, replace=False).tolist())
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_events_are_the_bars_at_and_before_a_roll_and_those_with_funding():
    rows = [(1.0, 1.0, 1.0, 1.0, "")] * 130
    funding = np.zeros(130)
    funding[[0, 64]] = 0.001
    events = hand_feed(rows, rolls=[3, 129], funding=funding).events
    assert [k for k in range(192) if int(events[k // 64]) >> (k % 64) & 1] == [0, 2, 3, 64, 128, 129]


def test_a_record_needs_a_value_for_each_field():
    layout = RecordLayout(count=int, price=float)
    assert layout.pack(price=1.5, count=2).tolist() == [(2, 1.5)]
    with pytest.raises(TypeError, match="expected one per field"):
        layout.pack(count=2)
