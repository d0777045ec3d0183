"""Raw bars and the datasets cut from them."""

from datetime import timedelta
from functools import partial

import dagster as dg
import pandas as pd
from pydantic import Field

from forge_core.errors import DataError, ForgeError
from forge_core.files import canonical_json, content_hash
from forge_core.market.bars.model import BAR_COLUMNS, bars_hash, find_gaps
from forge_core.market.datasets.build import DatasetVersion, build_dataset, fetch_missing_bars
from forge_core.market.reference.catalog import get_dataset_spec, load_catalog
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.refresh import acquisition_hint, refresh_bars
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home
from forge_core.plotting.png import price_png
from forge_pipelines.lib.automation import CHANGED_UPSTREAM
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.materialization import Materialization, record
from forge_pipelines.lib.metadata import Metadata, markdown_table, picture
from forge_pipelines.lib.partitions import DATASETS, SYMBOL_OF_DATASET, SYMBOLS
from forge_pipelines.lib.resources import BarStoreResource, HomeResource

WRITES_STORE = {"forge/writes": "store"}
REFRESHED_DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))
_GAPS_SHOWN = 50

BAR_SCHEMA = dg.TableSchema(
    [
        dg.TableColumn("timestamp", "datetime64[us, UTC]", "the bar's open time"),
        *(dg.TableColumn(name, "float64") for name in BAR_COLUMNS),
    ]
)


class RefreshConfig(dg.Config):
    """What a refresh asks."""

    only: str | None = Field(
        default=None,
        description="The one source to ask, as `files`; by default the import folder and the symbol's own.",
    )


@dg.asset(
    partitions_def=SYMBOLS,
    group_name="market",
    kinds={"duckdb"},
    op_tags=WRITES_STORE,
    metadata={"dagster/column_schema": BAR_SCHEMA},
    freshness_policy=REFRESHED_DAILY,
)
def raw_ohlcv(
    context: dg.AssetExecutionContext, config: RefreshConfig, home: HomeResource, store: BarStoreResource
) -> dg.MaterializeResult:
    """Bars of one symbol as its source gave them, in the DuckDB store.

    Imports what the store does not have: from new files in `data/import`, and from the symbol's source
    (`datasets/instruments.yaml`), as the sample that is installed with Forge or an archive to download from. Bars that
    are there already stay as they are, unless the source revised them: then the former are kept on record. Fails,
    with the store as it was, when the source cannot be reached; the next run catches up.
    """
    folder, instrument = home.open(), get_instrument(context.partition_key)
    with user_errors():
        try:
            reports = refresh_bars(instrument, folder, only=config.only, wait=store.wait_seconds, log=context.log.info)
        except ForgeError as error:
            _record_what_came(context, instrument, folder, store, error)
            raise
        with store.open() as bars:
            return raw_materialization(instrument, bars, folder).result(
                bars_added=sum(r.inserted for r in reports),
                bars_that_differ=sum(r.conflicts for r in reports),
                bars_revised=sum(r.revised for r in reports),
            )


def _record_what_came(
    context: dg.AssetExecutionContext, instrument: Instrument, home: Home, store: BarStoreResource, failure: ForgeError
) -> None:
    """Record the bars that a failed refresh has stored; raise DataError with what to do if there are none."""
    with store.open() as bars:
        try:
            record(context, [raw_materialization(instrument, bars, home)])
        except DataError as error:
            raise DataError(f"{failure}; {error}") from failure


@dg.asset(
    partitions_def=DATASETS,
    deps=[dg.AssetDep(raw_ohlcv, partition_mapping=SYMBOL_OF_DATASET)],
    group_name="market",
    kinds={"parquet"},
    op_tags=WRITES_STORE,
    metadata={"dagster/column_schema": BAR_SCHEMA},
    automation_condition=CHANGED_UPSTREAM,
)
def regime_dataset(
    context: dg.AssetExecutionContext, home: HomeResource, store: BarStoreResource
) -> dg.MaterializeResult:
    """A named market regime (`datasets/catalog.yaml`): the bars of one symbol and period, one Parquet file a timeframe.

    Each version is named by the hash of its content and never changes; studies stay with the version they began with.
    Made again after new bars came, there is a new version if they change the period. Bars that the store does not
    have are taken from the symbol's source first.
    """
    folder = home.open()
    with user_errors():
        spec = get_dataset_spec(context.partition_key)
        failure = fetch_missing_bars(spec, folder, wait=store.wait_seconds, log=context.log.info)
        with store.open() as bars:
            version = build_dataset(spec, bars, folder, failure)
            record(context, [raw_materialization(get_instrument(spec.symbol), bars, folder)])
    return dataset_materialization(version).result()


def raw_materialization(instrument: Instrument, store: BarStore, home: Home) -> Materialization:
    """Return the content of ``raw_ohlcv`` for one symbol, to be described while ``store`` is open.

    Raises DataError saying what brings bars where there are none.
    """
    symbol = instrument.symbol
    coverage = store.coverage()
    stored = coverage[coverage["symbol"] == symbol].drop(columns="symbol").set_index("timeframe")
    if stored.empty:
        execution = next((spec.timeframes[0] for spec in load_catalog().values() if spec.symbol == symbol), "1d")
        raise DataError(f"there are no bars of {symbol}: {acquisition_hint(instrument, execution, home)}")
    funding = store.funding(symbol)
    # Stored bars change by being added or, on record, revised.
    held = [
        stored.astype(str).to_dict("index"),
        len(store.revisions(symbol)),
        *([len(funding)] if len(funding) else []),
    ]
    version = content_hash(canonical_json(held))

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
            **({"funding_rates": len(funding), "last_funding": _moment(funding.index[-1])} if len(funding) else {}),
            "bars": markdown_table(("timeframe", "bars", "first", "last", "missing", "hash", "source"), rows),
            "price": picture(price_png(bars_of[coarsest], title=f"{symbol} {coarsest}"), "price"),
        }

    return Materialization("raw_ohlcv", symbol, version, describe)


def dataset_materialization(version: DatasetVersion) -> Materialization:
    """Return the content of ``regime_dataset`` for one version; its picture leaves the lead-in out."""
    describe, inputs = partial(_describe_dataset, version), {"raw_ohlcv": [version.symbol]}
    return Materialization("regime_dataset", version.name, version.content_hash, describe, inputs=inputs)


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
    rolls = version.manifest.get("rolls")
    contracts = (
        {} if rolls is None else {"contract_switches": len(rolls["times"]), "features_adjusted": rolls["adjust"]}
    )
    if rolls is not None and rolls["doubt"]:
        contracts["contract_switches_doubted"] = rolls["doubt"]
    return {
        "dagster/row_count": execution["rows"],
        "dagster/uri": dg.MetadataValue.path(str(version.path)),
        "content_hash": version.content_hash,
        "symbol": version.symbol,
        "regime": version.manifest["regime"],
        "characteristics": version.manifest["characteristics"],
        "period": f"{version.start.date()} to {version.end.date()}",
        **contracts,
        "bars": markdown_table(columns, rows),
        "gaps": markdown_table(("from", "to", "missing bars"), missing[:_GAPS_SHOWN]) if missing else "none",
        "price": picture(price_png(bars[bars.index >= version.start], title=f"{version.name} {coarsest}"), "price"),
    }


def _moment(moment: pd.Timestamp) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")
