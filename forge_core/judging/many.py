"""``forge_core.backtest_many``: many Plays on many sets of bars, one table."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forge_core.engine.backtest import resolve_feed, resolve_play
from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.kernel.params import Policy
from forge_core.engine.simulate import DEFAULT_CASH, simulate
from forge_core.errors import ConfigError, ForgeError
from forge_core.feeds.feed import Feed
from forge_core.market.datasets.build import DatasetVersion, ensure_dataset
from forge_core.market.reference.instruments import Instrument
from forge_core.metrics.catalog import METRICS
from forge_core.metrics.summary import metrics_mapping
from forge_core.parallelism import worker_count
from forge_core.plays.model import Play

PlayLike = Play | str | Path | Mapping[str, Any]
DataLike = str | DatasetVersion | pd.DataFrame | Feed
Progress = Callable[[int, int], object]


def backtest_many(
    plays: PlayLike | Iterable[PlayLike],
    data: DataLike | Iterable[DataLike] | Mapping[str, DataLike],
    *,
    instrument: Instrument | str | None = None,
    costs: Costs | None = None,
    cash: float = DEFAULT_CASH,
    policy: Policy = "pessimistic",
    fills: FillRules = STRICT,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Backtest every Play on every set of bars; return a table with a row for each pair.

    Parameters
    ----------
    plays
        One or more Plays, each as ``backtest`` takes it.
    data
        One or more datasets, DataFrames or feeds, each as ``backtest`` takes it. A mapping names them; otherwise
        DataFrames and feeds are ``bars 1``, ``bars 2`` ...
    instrument, costs, cash, policy, fills
        As for ``backtest``. ``replay`` needs ``backtest``.
    workers
        Backtests at a time, by default ``FORGE_WORKERS``, or all cores. Results do not depend on it.
    progress
        Called with the number of finished backtests and their total.

    Returns
    -------
    DataFrame
        ``play`` and ``data`` (names), every metric of docs/metrics.md (NaN where undefined), and ``error``: the reason
        of a pair that cannot be traded, such as a dataset without bars of the Play's timeframe. Rows are in the order
        of ``plays``, then of ``data``.

    Raises
    ------
    PlayError, ConfigError, DataError
        For an invalid Play or invalid bars, before any backtest.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}; expected 1 or more")
    if policy == "replay":
        raise ConfigError("policy 'replay' needs finer bars of each dataset; use `backtest` for one pair at a time")
    resolved = [resolve_play(play) for play in _listed(plays)]
    feeds = _Feeds(_named(data), instrument)
    pairs = list(product(resolved, feeds.names))
    tasks = [(play, name, feeds.of(name, play)) for play, name in pairs]

    def run(task: tuple[Play, str, Feed | str]) -> dict[str, Any]:
        play, name, feed = task
        row: dict[str, Any] = {"play": play.name, "data": name}
        if isinstance(feed, str):
            return row | {"error": feed}
        try:
            found = simulate(play, feed, costs=costs, cash=cash, policy=policy, fills=fills)
        except ForgeError as error:
            return row | {"error": str(error)}
        return row | metrics_mapping(found.metrics) | {"error": None}

    rows: list[dict[str, Any]] = [{}] * len(tasks)
    with ThreadPoolExecutor(min(workers or worker_count(), max(len(tasks), 1)), "backtest") as pool:
        futures = {pool.submit(run, task): place for place, task in enumerate(tasks)}
        for done, future in enumerate(as_completed(futures), start=1):
            rows[futures[future]] = future.result()
            if progress is not None:
                progress(done, len(tasks))
    table = pd.DataFrame(rows, columns=["play", "data", *(metric.name for metric in METRICS), "error"])
    metrics = [metric.name for metric in METRICS]
    table[metrics] = table[metrics].astype(np.float64)
    return table


def _listed(plays: PlayLike | Iterable[PlayLike]) -> list[PlayLike]:
    if isinstance(plays, Play | str | Path | Mapping):
        return [plays]
    return list(plays)


def _named(data: DataLike | Iterable[DataLike] | Mapping[str, DataLike]) -> dict[str, DataLike]:
    if isinstance(data, Mapping):
        return {str(name): value for name, value in data.items()}
    items = [data] if isinstance(data, str | DatasetVersion | pd.DataFrame | Feed) else list(data)
    named: dict[str, DataLike] = {}
    for number, item in enumerate(items, start=1):
        name = item if isinstance(item, str) else getattr(item, "name", f"bars {number}")
        if name in named:
            raise ConfigError(f"data {name!r} is given twice; name the sets of bars with a mapping")
        named[str(name)] = item
    return named


class _Feeds:
    """Feeds of named data, each opened once for each timeframe that the Plays trade."""

    def __init__(self, data: Mapping[str, DataLike], instrument: Instrument | str | None) -> None:
        self.names = list(data)
        self._data = {name: ensure_dataset(item) if isinstance(item, str) else item for name, item in data.items()}
        self._instrument = instrument
        self._opened: dict[tuple[str, str], Feed | str] = {}

    def of(self, name: str, play: Play) -> Feed | str:
        """Return the feed, or the reason why the dataset has none for the Play's timeframe."""
        key, data = (name, play.timeframe), self._data[name]
        if key not in self._opened:
            if isinstance(data, DatasetVersion) and play.timeframe not in data.timeframes:
                labels = ", ".join(data.timeframes)
                self._opened[key] = f"dataset {data.name} has no {play.timeframe} bars; it has {labels}"
            else:
                self._opened[key] = resolve_feed(play, data, self._instrument, None, None, "forward", False)
        return self._opened[key]
