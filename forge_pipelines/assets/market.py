"""Raw bars and the datasets cut from them."""

from functools import partial

import dagster as dg
import pandas as pd

from forge_core.errors import DataError
from forge_core.files import canonical_json, content_hash
from forge_core.market.bars import BAR_COLUMNS, bars_hash, find_gaps
from forge_core.market.catalog import get_dataset_spec, load_catalog
from forge_core.market.datasets import DatasetVersion, build_dataset
from forge_core.market.instruments import Instrument, get_instrument
from forge_core.market.sources import how_to_get, pull_bars
from forge_core.market.store import BarStore
from forge_core.market.timeframes import Timeframe
from forge_core.paths import Home
from forge_core.pictures import price_png
from forge_pipelines.contents import Content, log_lacking
from forge_pipelines.failures import user_errors
from forge_pipelines.metadata import Metadata, markdown_table, picture
from forge_pipelines.partitions import DATASETS, SYMBOL_OF_DATASET, SYMBOLS

WRITES_STORE = {"forge/writes": "store"}
_STORE_WAIT = 120.0  # seconds a step waits for another process to close the DuckDB file
_GAPS_SHOWN = 50

BAR_SCHEMA = dg.TableSchema(
    [
        dg.TableColumn("timestamp", "datetime64[us, UTC]", "the bar's open time"),
        *(dg.TableColumn(name, "float64") for name in BAR_COLUMNS),
    ]
)


@dg.asset(
    partitions_def=SYMBOLS,
    group_name="market",
    kinds={"duckdb"},
    op_tags=WRITES_STORE,
    metadata={"dagster/column_schema": BAR_SCHEMA},
)
def raw_ohlcv(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Bars of one symbol as its source gave them, in the DuckDB store.

    Takes what the symbol's source (`datasets/instruments.yaml`) has and the store lacks: the sample that is installed
    with Forge, or files in `data/import`. Bars that are there already stay as they are. Bars of a symbol without such
    a source come with `forge import FILE --symbol SYMBOL --timeframe 15m`.
    """
    home = Home.current()
    with user_errors(), open_store(home) as store:
        instrument = get_instrument(context.partition_key)
        reports = pull_bars(instrument, store, home, log=context.log.info)
        added, differ = sum(r.inserted for r in reports), sum(r.conflicts for r in reports)
        return raw_content(instrument, store, home).result(bars_added=added, bars_that_differ=differ)


@dg.asset(
    partitions_def=DATASETS,
    deps=[dg.AssetDep(raw_ohlcv, partition_mapping=SYMBOL_OF_DATASET)],
    group_name="market",
    kinds={"parquet"},
    op_tags=WRITES_STORE,
    metadata={"dagster/column_schema": BAR_SCHEMA},
)
def regime_dataset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """A named market regime (`datasets/catalog.yaml`): the bars of one symbol and period, one Parquet file a timeframe.

    Each version is named by the hash of its content and never changes; studies stay with the version they began with.
    Materialized again after new bars came, it makes a new version if they change the period. Bars that the store
    lacks are taken from the symbol's source first.
    """
    home = Home.current()
    with user_errors(), open_store(home) as store:
        spec = get_dataset_spec(context.partition_key)
        instrument = get_instrument(spec.symbol)
        pull_bars(instrument, store, home, timeframes=spec.timeframes, log=context.log.info)
        version = build_dataset(spec, store, home)
        log_lacking(context, [raw_content(instrument, store, home)])
        return dataset_content(version).result()


def open_store(home: Home) -> BarStore:
    """Open the store, waiting while another process has it."""
    return BarStore(home.store, wait=_STORE_WAIT)


def raw_content(instrument: Instrument, store: BarStore, home: Home) -> Content:
    """Return the content of ``raw_ohlcv`` for one symbol, to be described while ``store`` is open.

    Raises DataError saying what brings bars where there are none.
    """
    symbol = instrument.symbol
    coverage = store.coverage()
    stored = coverage[coverage["symbol"] == symbol].drop(columns="symbol").set_index("timeframe")
    if stored.empty:
        execution = next((spec.timeframes[0] for spec in load_catalog().values() if spec.symbol == symbol), "1d")
        raise DataError(f"there are no bars of {symbol}: {how_to_get(instrument, execution, home)}")
    version = content_hash(canonical_json(stored.astype(str).to_dict("index")))  # stored bars never change

    def describe() -> Metadata:
        bars_of = {str(label): store.read(symbol, str(label)) for label in stored.index}
        sources = stored["sources"].to_dict()
        rows = []
        for label, bars in bars_of.items():
            missing = find_gaps(bars, Timeframe.parse(label), instrument.session)["missing"].sum()
            first, last = _moment(bars.index[0]), _moment(bars.index[-1])
            rows.append((label, f"{len(bars):,}", first, last, missing, bars_hash(bars), sources[label]))
        finest, coarsest = next(iter(bars_of.values())), list(bars_of)[-1]
        return {
            "dagster/row_count": int(stored["bars"].sum()),
            "dagster/uri": dg.MetadataValue.path(str(home.store)),
            "content_hash": version,
            "first_bar": _moment(finest.index[0]),
            "last_bar": _moment(finest.index[-1]),
            "bars": markdown_table(("timeframe", "bars", "first", "last", "missing", "hash", "source"), rows),
            "price": picture(price_png(bars_of[coarsest], title=f"{symbol} {coarsest}"), "price"),
        }

    return Content("raw_ohlcv", symbol, version, describe)


def dataset_content(version: DatasetVersion) -> Content:
    """Return the content of ``regime_dataset`` for one version; its picture leaves the lead-in out."""
    return Content("regime_dataset", version.name, version.content_hash, partial(_describe_dataset, version))


def _describe_dataset(version: DatasetVersion) -> Metadata:
    entries = version.manifest["timeframes"]
    rows = []
    for label in version.timeframes:
        entry, gaps = entries[label], entries[label]["gaps"]
        rows.append(
            (
                label,
                f"{entry['rows']:,}",
                f"{entry['lead_in_rows']:,}",
                entry["first"][:16],
                entry["last"][:16],
                gaps["count"],
                gaps["missing"],
                entry["origin"],
                ", ".join(entry["sources"]),
            )
        )
    columns = ("timeframe", "bars", "of these lead-in", "first", "last", "gaps", "missing bars", "origin", "source")
    execution, coarsest = entries[version.timeframes[0]], version.timeframes[-1]
    missing = [(gap["start"][:16], gap["end"][:16], gap["missing"]) for gap in execution["gaps"]["list"]]
    bars = version.bars(coarsest)
    return {
        "dagster/row_count": execution["rows"],
        "dagster/uri": dg.MetadataValue.path(str(version.path)),
        "content_hash": version.content_hash,
        "symbol": version.symbol,
        "regime": version.manifest["regime"],
        "characteristics": version.manifest["characteristics"],
        "period": f"{version.start.date()} to {version.end.date()}",
        "bars": markdown_table(columns, rows),
        "gaps": markdown_table(("from", "to", "missing bars"), missing[:_GAPS_SHOWN]) if missing else "none",
        "price": picture(price_png(bars[bars.index >= version.start], title=f"{version.name} {coarsest}"), "price"),
    }


def _moment(moment: pd.Timestamp) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")
