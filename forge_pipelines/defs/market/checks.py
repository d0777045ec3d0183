"""Checks of raw bars and datasets: what is stored is sound."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from forge_core.errors import DataError
from forge_core.market.bars.model import MIN_ROWS, validate_bars
from forge_core.market.datasets.build import latest_version
from forge_core.market.reference.instruments import get_instrument
from forge_core.paths import Home
from forge_pipelines.defs.market.assets import raw_ohlcv, regime_dataset
from forge_pipelines.lib.asset_checks import check_result, checked_partitions, fault_of, requested
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.partitions import DATASETS
from forge_pipelines.lib.resources import BarStoreResource, HomeResource

_ORDER = "times rise, nothing is missing or infinite, low and high enclose open and close, and prices are allowed"

_RAW_SOUND = dg.AssetCheckSpec(
    "sound_bars", asset=raw_ohlcv, blocking=True, description=f"In the store, {_ORDER}; of every timeframe."
)
_DATASET_SOUND = dg.AssetCheckSpec(
    "sound_bars",
    asset=regime_dataset,
    blocking=True,
    description=f"The files hold what was written, and {_ORDER}.",
)
_DATASET_ENOUGH = dg.AssetCheckSpec(
    "enough_bars",
    asset=regime_dataset,
    blocking=True,
    description=f"There are at least {MIN_ROWS} bars of the timeframe that is traded, lead-in included.",
)


@dg.multi_asset_check(name="raw_ohlcv_checks", specs=[_RAW_SOUND])
def raw_ohlcv_checks(context: dg.AssetCheckExecutionContext, store: BarStoreResource) -> Iterator[dg.AssetCheckResult]:
    """Read stored bars back and validate them."""
    faults = {}
    with user_errors(), store.open() as bars:
        coverage = bars.coverage()
        stored = list(zip(coverage["symbol"], coverage["timeframe"], strict=True))
        for symbol, label in stored:
            if symbol in checked_partitions(context, [name for name, _ in stored]):
                faults[f"{symbol} {label}"] = fault_of(_validate, bars.read(symbol, label), symbol, label)
    yield check_result(_RAW_SOUND, faults)


@dg.multi_asset_check(name="regime_dataset_checks", specs=[_DATASET_SOUND, _DATASET_ENOUGH], can_subset=True)
def regime_dataset_checks(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterator[dg.AssetCheckResult]:
    """Read the files of the newest versions back and validate them."""
    sound: dict[str, str | None] = {}
    enough: dict[str, str | None] = {}
    for name in checked_partitions(context, DATASETS.get_partition_keys()):
        sound[name] = fault_of(_validate_dataset, name, home.open())
        enough[name] = fault_of(_count_rows, name, home.open())
    yield from requested(context, [check_result(_DATASET_SOUND, sound), check_result(_DATASET_ENOUGH, enough)])


def _validate(bars: pd.DataFrame, symbol: str, timeframe: str) -> None:
    validate_bars(bars, symbol=symbol, timeframe=timeframe, instrument=get_instrument(symbol))


def _validate_dataset(name: str, home: Home) -> None:
    if (version := latest_version(name, home)) is not None:
        for label in version.timeframes:
            _validate(version.bars(label), version.symbol, label)


def _count_rows(name: str, home: Home) -> None:
    if (version := latest_version(name, home)) is not None:
        rows = version.manifest["timeframes"][version.timeframes[0]]["rows"]
        if rows < MIN_ROWS:
            raise DataError(f"there are only {rows} bars")
