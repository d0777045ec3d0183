"""A temporary Forge project for benchmarks: stored bars, exported datasets, an empty bank."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from forge_core.market.bars.model import normalize_bars
from forge_core.market.datasets.build import build_dataset
from forge_core.market.reference.catalog import DatasetSpec
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home

REAL_BARS = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "BTCUSDT_15m.parquet"
REAL_LENGTH = 139_361
TIMEFRAME = "15m"

# The values of BTCUSDT in datasets/instruments.yaml, copied so that the benchmarks do not depend on that file.
_INSTRUMENTS = """instruments:
  {symbol}: {{kind: spot, tick: 0.01, lot: 0.00001, commission_bps: 10, slippage_bps: 2, borrow_rate: 0.05}}
"""


@dataclass(frozen=True)
class Bars:
    """Bars and the label of their origin for the tables."""

    symbol: str
    label: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Dataset:
    """One exported dataset: name, version hash, number of execution bars."""

    name: str
    version: str
    bars: int


class Workspace:
    """A project and a home in ``folder`` with one symbol."""

    def __init__(self, bars: Bars, folder: Path) -> None:
        self.bars = bars
        self.environment: Mapping[str, str] = {
            "FORGE_PROJECT": str(folder / "project"),
            "FORGE_HOME": str(folder / "home"),
        }
        self._home = Home(folder / "home")
        self._catalog: dict[str, object] = {}
        instruments = folder / "project" / "datasets" / "instruments.yaml"
        instruments.parent.mkdir(parents=True)
        instruments.write_text(_INSTRUMENTS.format(symbol=bars.symbol), encoding="utf-8")
        with self.active(), BarStore(self._home.store) as store:
            store.upsert(bars.symbol, TIMEFRAME, bars.frame, source=bars.label)

    def dataset(self, *coarser: str, length: int | None = None) -> Dataset:
        """Export the first ``length`` bars (None: all of them) and the ``coarser`` timeframes."""
        frame = self.bars.frame.iloc[:length]
        spec = DatasetSpec(
            name=f"BENCHMARK_{len(frame)}_{len(coarser)}",
            symbol=self.bars.symbol,
            start=frame.index[0],
            end=frame.index[-1] + pd.Timedelta(TIMEFRAME.replace("m", "min")),
            timeframes=[TIMEFRAME, *coarser],
            regime="full_cycle",
        )
        self._catalog[spec.name] = spec.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
        catalog = Path(self.environment["FORGE_PROJECT"]) / "datasets" / "catalog.yaml"
        catalog.write_text(yaml.safe_dump({"datasets": self._catalog}), encoding="utf-8")
        with self.active(), BarStore(self._home.store) as store:
            version = build_dataset(spec, store, self._home)
        return Dataset(spec.name, version.content_hash, len(frame))

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make this the project and home of the block."""
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def benchmark_bars(length: int | None = None) -> Bars:
    """Return real bars if present and ``length`` is None, otherwise simulated ones."""
    if length is None and REAL_BARS.is_file():
        frame = normalize_bars(pd.read_parquet(REAL_BARS), source=REAL_BARS.name)
        return Bars("BTCUSDT", f"{len(frame):,} real bars of BTCUSDT {TIMEFRAME}, 2021-2024", frame)
    length = length or REAL_LENGTH
    return Bars("SIMUSDT", f"{length:,} SIM bars of {TIMEFRAME} (simulated, seed 1)", simulated_bars(length))


def simulated_bars(length: int, seed: int = 1) -> pd.DataFrame:
    """Return a random walk with GARCH(1,1) volatility and a drift that changes every 500 bars."""
    rng = np.random.default_rng(seed)
    shocks = rng.standard_t(4, length) / np.sqrt(2.0)
    variance = np.empty(length)
    level = 0.0025**2
    variance[0] = level
    for i in range(1, length):
        variance[i] = level * 0.03 + variance[i - 1] * (0.09 * min(shocks[i - 1] ** 2, 25.0) + 0.88)
    spread = np.sqrt(variance)
    drift = np.repeat(rng.normal(0.0, 0.00012, length // 500 + 1), 500)[:length]
    close = 30_000.0 * np.exp(np.cumsum(shocks * spread + drift - (shocks * spread).mean() - drift.mean()))
    open_ = np.concatenate(([30_000.0], close[:-1]))
    high = np.maximum(open_, close) * (1.0 + spread * rng.exponential(0.5, length))
    low = np.minimum(open_, close) * np.exp(-spread * rng.exponential(0.5, length))
    index = pd.date_range("1996-01-01", periods=length, freq="15min", tz="UTC", unit="us", name="timestamp")
    volume = rng.lognormal(3.0, 0.7, length)
    return pd.DataFrame({"open": open_, "high": high, "low": low, "close": close, "volume": volume}, index=index)
