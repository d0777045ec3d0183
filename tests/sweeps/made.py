"""Made-up futures that roll, in a store, and small sweeps over them."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forge_core.files import write_text
from forge_core.market.futures.roll_dates import roll_text
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.reference.sessions import sessions_between
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from forge_core.sweeps.plan import SweepPlan
from forge_core.sweeps.spec import SweepSpec
from forge_core.sweeps.steps import run_sweep

PRICES = ["open", "high", "low", "close"]
HOUR = 3_600_000_000
SPEC: dict[str, Any] = {
    "symbols": ["ZS", "GC"],
    "intervals": ["4h", "1d"],
    "strategies": {
        "rsi": {"period": [5, 9], "lower": [30, 40], "upper": 65},
        "ema": {"short_period": [3, 5, 8], "long_period": [13, 21]},
        "macd": {"fast_period": 5, "slow_period": 13, "signal_period": [4, 6]},
        "bollinger": {"period": 12, "deviations": [1.0, 1.5]},
        "ichimoku": {"tenkan_period": 4, "kijun_period": 8, "senkou_period": 16, "displacement": 8},
    },
    "options": {"trailing_stop": [None, 0.02]},
}


def sweep(name: str = "made", **values: Any) -> SweepSpec:
    """A sweep as its file would give it."""
    rsi = {"strategies": {"rsi": {"period": 5}}, "symbols": ["ZS"], "intervals": ["4h"]}
    return SweepSpec.model_validate({"name": name, **rsi, **values})


def session_bars(symbol: str, hours: int, first: str, days: int, seed: int, level: float) -> pd.DataFrame:
    """A random walk of ``hours``-long bars in the symbol's sessions (23 hours a day, no weekends), on its ticks."""
    instrument = get_instrument(symbol)
    begin = pd.Timestamp(first, tz="UTC").value // 1_000
    sessions = sessions_between(begin, begin + days * 24 * HOUR, instrument.session)
    # each trade date has one session: the evening before, on weekends Sunday's
    opens = sessions.opens[np.searchsorted(sessions.day, np.unique(sessions.day), side="right") - 1]
    opens = opens[(opens >= begin) & (opens < begin + days * 24 * HOUR)]
    count = 1 if hours == 24 else -(-23 // hours)
    times = (opens[:, None] + np.arange(count) * hours * HOUR).ravel()
    rng = np.random.default_rng(seed)
    step = rng.integers(-12, 13, times.size)
    close = level + np.cumsum(step) * instrument.tick
    opened = close - step * instrument.tick + rng.integers(-1, 2, times.size) * instrument.tick
    wick = rng.integers(0, 8, (2, times.size)) * instrument.tick
    index = pd.DatetimeIndex(times.astype("datetime64[us]"), tz="UTC", name="timestamp")
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) + wick[0],
            "low": np.minimum(opened, close) - wick[1],
            "close": close,
            "volume": rng.integers(1, 500, times.size).astype(float),
        },
        index=index,
    )


def rolled(bars: pd.DataFrame, switches: pd.DatetimeIndex, gap: float) -> pd.DataFrame:
    """Lift prices by ``gap`` at each switch."""
    lifts = np.searchsorted(switches.asi8, bars.index.asi8, side="right") * gap
    return bars.assign(**{name: bars[name] + lifts for name in PRICES})


def futures_home(home: Home) -> Home:
    """Put 4h and 1d bars of ZS and GC and their switch dates into ``home``."""
    switches = {}
    with BarStore(home.store) as store:
        for seed, (symbol, level, gap) in enumerate((("ZS", 1_200.0, 31.0), ("GC", 1_900.0, -9.5))):
            daily = session_bars(symbol, 24, "2023-01-01", 400, seed, level)
            switches[symbol] = daily.index[[90, 150, 205, 262]]
            fine = session_bars(symbol, 4, "2023-01-01", 180, seed + 10, level)
            for label, bars in (("1d", daily), ("4h", fine)):
                store.upsert(symbol, label, rolled(bars, switches[symbol], gap), source="made up")
    write_text(home.roll_dates, roll_text(switches, {}, "made up"))
    return home


def finished(spec: SweepSpec, home: Home) -> SweepPlan:
    """Run a sweep to its end."""
    run_sweep(spec, home, workers=1, log=quiet())
    return SweepPlan.make(spec, home, quiet())


def quiet() -> logging.Logger:
    log = logging.getLogger("tests.sweeps")
    log.setLevel(logging.CRITICAL)
    return log


def all_rows(home: Home, kind: str = "results") -> pa.Table:
    """Every row of every file of results."""
    files = sorted((home.mass_tests / kind).rglob("*.parquet"))
    tables = [pq.read_table(file, partitioning=None) for file in files]
    return pa.concat_tables(tables) if tables else pa.table({"key": []})


def content(home: Home) -> pd.DataFrame:
    """Every result but for when it was computed, in the order of the keys."""
    frame = all_rows(home).drop_columns(["tested_at"]).to_pandas()
    frame["daily_returns"] = [None if values is None else tuple(values) for values in frame["daily_returns"]]
    return frame.sort_values("key").reset_index(drop=True)
