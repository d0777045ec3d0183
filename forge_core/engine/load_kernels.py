"""Loading of every kernel before processes are forked."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from forge_core.engine.backtest import GENERIC_INSTRUMENT
from forge_core.engine.simulate import simulate
from forge_core.engine.windows import simulate_windows
from forge_core.features.bank.npy_file import NpyArray, write_array
from forge_core.features.quantized import quantize
from forge_core.features.registry import make_reference, searchable
from forge_core.features.transforms import TRANSFORMS
from forge_core.feeds.build import feed_from_bars
from forge_core.plays.model import Compare, Distance, Group, Play, Risk

_BARS = 600


def load_kernels() -> None:
    """Call every kernel once, on sine-wave bars, which compiles it or reads it from disk."""
    wave = 100.0 + 10.0 * np.sin(np.arange(_BARS) / 7.0)
    index = pd.date_range("2020-01-01", periods=_BARS, freq="h", tz="UTC", unit="us", name="timestamp")
    prices = {"open": wave, "high": wave + 1.0, "low": wave - 1.0, "close": wave + 0.5, "volume": wave}
    feed = feed_from_bars(pd.DataFrame(prices, index=index), instrument=GENERIC_INSTRUMENT, timeframe="1h")
    for definition in searchable():
        for timeframe in ("1h", "4h"):
            reference = make_reference(definition.name, {}, timeframe=timeframe)
            feed.columns.column(reference)
    fast, slow = (make_reference("ema", {"timeperiod": bars}, timeframe="1h") for bars in (5, 20))
    for step in (step for transform in TRANSFORMS.values() for step in transform.steps):
        feed.columns.column(replace(fast, transform=step))
    feed.columns.column(fast.streak())
    entry = Group(1, (Compare(fast, ">", slow),))
    play = Play("wave", "1h", entry_long=entry, risk=Risk(stop=Distance("atr", 2.0)))
    simulate(play, feed, record=True)
    simulate_windows(play, feed, [0, _BARS // 2], [_BARS // 2, _BARS])
    with tempfile.TemporaryDirectory() as folder:
        write_array(Path(folder) / "wave.npy", NpyArray(wave, quantize(wave)), "{}")
