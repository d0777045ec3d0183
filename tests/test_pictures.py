"""The small PNG pictures: what is drawn, from any thread, quickly."""

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forge_core.plotting.downsample import thin
from forge_core.plotting.png import equity_png, front_png, price_png

BARS = 140_000
INDEX = pd.date_range("2021-01-01", periods=BARS, freq="15min", tz="UTC", name="timestamp")
CLOSE = pd.Series(100 * np.exp(np.cumsum(0.002 * np.random.default_rng(3).standard_normal(BARS))), INDEX)
FRAME = pd.DataFrame({"open": CLOSE, "high": CLOSE * 1.01, "low": CLOSE * 0.99, "close": CLOSE, "volume": 1.0})
FRONT = np.stack([np.linspace(0, 2, 30), np.linspace(0.1, 0.5, 30) ** 2], axis=1)

PICTURES = {
    "equity": lambda: equity_png({"champion": CLOSE, "buy and hold": CLOSE / 2}, title="a $tudy_with <marks>"),
    "price": lambda: price_png(FRAME, title="SIM 15m"),
    "front": lambda: front_png(FRONT, ["sharpe", "max_drawdown"], others=FRONT * 0.9, chosen=3),
}


def _size(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", png[16:24])


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_small(name):
    picture = PICTURES[name]()
    assert _size(picture) == (700, 350)
    assert 3_000 < len(picture) < 100_000


def test_any_thread_may_draw():
    alone = {name: draw() for name, draw in PICTURES.items()}
    names = list(PICTURES) * 4
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda name: PICTURES[name](), names))
    assert all(picture == alone[name] for name, picture in zip(names, drawn, strict=True))


def test_short_and_flat_series_are_drawn():
    assert _size(equity_png({"flat": pd.Series(1.0, INDEX[:2])})) == (700, 350)
    assert _size(price_png(FRAME.iloc[:1])) == (700, 350)
    assert _size(front_png([[1.0, 2.0, 3.0]], ["a", "b", "c"])) == (700, 350)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="no curves"):
        equity_png({})
    with pytest.raises(ValueError, match=r"shape \(30, 2\) do not match"):
        front_png(FRONT, ["sharpe"])


@given(arrays(np.float64, st.integers(1, 500), elements=st.floats(-1e6, 1e6)), st.integers(2, 60))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_thinning_keeps_the_ends_and_the_extremes(values, points):
    kept = thin(values, points)
    assert kept.size <= points + 3
    assert (np.diff(kept) > 0).all()
    assert kept[0] == 0
    assert kept[-1] == values.size - 1
    assert values[kept].min() == values.min()
    assert values[kept].max() == values.max()
