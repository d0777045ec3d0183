"""Versions of a dataset on disk: one folder each, named by its content hash, never changed once written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forge_core.errors import DamagedFileError, DataError
from forge_core.files import canonical_json, content_hash, read_json, read_table, write_json
from forge_core.market.bars.funding import FUNDING_FILE, funding_hash, to_rates
from forge_core.market.bars.model import BAR_COLUMNS, bars_hash
from forge_core.market.futures.adjustment import RollAdjustment, adjustment_method
from forge_core.market.reference.catalog import DatasetSpec, load_catalog
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.paths import Home, safe_name

MANIFEST = "manifest.json"
_ORDER = "versions.json"  # hashes of one dataset, in the order they were built or built again


@dataclass(frozen=True)
class DatasetVersion:
    """One exported dataset; ``manifest`` has rows, lead-in, gaps and sources by timeframe."""

    name: str
    content_hash: str
    path: Path
    manifest: dict[str, Any] = field(compare=False, repr=False)

    @property
    def symbol(self) -> str:
        """The symbol of its bars."""
        return self.manifest["symbol"]

    @property
    def instrument(self) -> Instrument:
        """The instrument of its symbol, as declared now."""
        return get_instrument(self.symbol)

    @property
    def start(self) -> pd.Timestamp:
        """Start of the period; bars before it are lead-in."""
        return pd.Timestamp(self.manifest["start"])

    @property
    def end(self) -> pd.Timestamp:
        """End of the period, by which every bar has closed."""
        return pd.Timestamp(self.manifest["end"])

    @property
    def timeframes(self) -> list[str]:
        """Its timeframes, finest (the one traded) first."""
        return _labels(self.manifest)

    @property
    def roll_dates(self) -> pd.DatetimeIndex | None:
        """The contract rolls in its bars (UTC), or None where its instrument has none."""
        rolls = self.manifest.get("rolls")
        return None if rolls is None else pd.DatetimeIndex(rolls["times"], tz="UTC").as_unit("us")

    @property
    def adjusts(self) -> bool:
        """Whether features see prices without the gaps between contracts."""
        return bool(self.manifest.get("rolls", {}).get("adjust") == "forward")

    @property
    def adjustment(self) -> RollAdjustment | None:
        """Adjustment of feature prices for the gaps between contracts; None if there is none.

        Raises DataError for a version that was built without the levels of its contracts.
        """
        if not self.adjusts:
            return None
        rolls = self.manifest["rolls"]
        if "levels" not in rolls:
            raise DataError(
                f"dataset {self.name}, version {self.content_hash}, was built by an older Forge, which adjusted each "
                f"timeframe on its own; delete the folder {self.path}, and the dataset is built again when next used"
            )
        return RollAdjustment.read(rolls["levels"])

    def bars(self, timeframe: str) -> pd.DataFrame:
        """Read the bars of one timeframe, lead-in included. Raises DataError if the file is damaged or changed."""
        entries = self.manifest["timeframes"]
        if timeframe not in entries:
            raise DataError(f"dataset {self.name} has no {timeframe} bars, only {', '.join(self.timeframes)}")
        return self._read(self.path / bars_file(timeframe), entries[timeframe]["hash"])

    def _read(self, path: Path, expected: str) -> pd.DataFrame:
        try:
            bars = _to_bars(read_table(path))
        except (DataError, FileNotFoundError, KeyError) as error:
            raise _unreadable(path, error) from error
        if bars_hash(bars) != expected:
            raise _damaged(path, "does not hold the bars it was written with")
        return bars

    @property
    def references(self) -> dict[str, int]:
        """Its other symbols for features, with the number of missing bars after which a value no longer counts."""
        return {symbol: entry["max_age"] for symbol, entry in self.manifest.get("references", {}).items()}

    def reference_bars(self, symbol: str, timeframe: str) -> pd.DataFrame:
        """Read the bars of another symbol; raises DataError as ``bars``."""
        entries = self.manifest.get("references", {}).get(symbol, {}).get("timeframes", {})
        if timeframe not in entries:
            raise DataError(f"dataset {self.name} has no {timeframe} bars of {symbol}; add it to its references")
        return self._read(self.path / bars_file(timeframe, symbol), entries[timeframe]["hash"])

    def funding(self) -> "pd.Series[float] | None":
        """Read the funding rates of the period, or None without any. Raises the errors of ``bars``."""
        entry = self.manifest.get("funding")
        if entry is None:
            return None
        path = self.path / FUNDING_FILE
        try:
            rates = to_rates(read_table(path))
        except (DataError, FileNotFoundError, KeyError) as error:
            raise _unreadable(path, error) from error
        if funding_hash(rates) != entry["hash"]:
            raise _damaged(path, "does not hold the rates it was written with")
        return rates


def bars_file(timeframe: str, symbol: str = "") -> str:
    """Return the file name of the bars of a timeframe, of another ``symbol`` if there is one."""
    return f"{symbol}-{timeframe}.parquet" if symbol else f"{timeframe}.parquet"


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Return the content hash of a version: of symbol, period and values, not of how or when they were written."""
    values = {label: [entry["lead_in_rows"], entry["hash"]] for label, entry in manifest["timeframes"].items()}
    parts = [manifest["symbol"], manifest["start"], manifest["end"], values]
    if "funding" in manifest:
        parts.append(manifest["funding"]["hash"])
    if "rolls" in manifest:
        rolls = manifest["rolls"]
        levels = rolls.get("levels") or {}
        parts.append([rolls["times"], rolls["adjust"], *(levels[key] for key in ("method", "tick") if key in levels)])
    if "references" in manifest:
        parts.append(
            {
                symbol: [reference["max_age"], {label: e["hash"] for label, e in reference["timeframes"].items()}]
                for symbol, reference in manifest["references"].items()
            }
        )
    return content_hash(canonical_json(parts))


def open_version(name: str, version_hash: str, home: Home | None = None) -> DatasetVersion:
    """Open one version. Raises DataError if it is missing, or if its manifest or a bars file is damaged."""
    path = (home or Home.current()).dataset(name) / safe_name(version_hash, "dataset hash")
    if not path.is_dir():
        raise DataError(
            f"dataset {name} has no version {version_hash}: there is no folder {path}; run the same again to build it"
        )
    try:
        manifest = read_json(path / MANIFEST)
        unchanged = manifest_hash(manifest) == version_hash
        rows = {bars_file(label): int(entry["rows"]) for label, entry in manifest["timeframes"].items()}
        for symbol, reference in manifest.get("references", {}).items():
            rows |= {bars_file(label, symbol): int(e["rows"]) for label, e in reference["timeframes"].items()}
        if "funding" in manifest:
            rows[FUNDING_FILE] = int(manifest["funding"]["rows"])
    except (DataError, FileNotFoundError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise _unreadable(path / MANIFEST, error) from error
    if not unchanged:
        raise _damaged(path / MANIFEST, "is not what was written")
    for written, count in rows.items():
        file = path / written
        try:
            stored = pq.read_metadata(file).num_rows
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error
        if stored != count:
            raise _damaged(file, f"has {stored} rows, {count} were written")
    return DatasetVersion(name, version_hash, path, manifest)


def latest_version(name: str, home: Home | None = None) -> DatasetVersion | None:
    """Return the version built last of those that agree with the catalog's current entry, or None.

    All versions count if the catalog has no such entry any more. Raises DataError if the version is damaged.
    """
    home = home or Home.current()
    spec = load_catalog().get(name)
    for version_hash in reversed(_order(home.dataset(name))):
        if (home.dataset(name) / version_hash).is_dir():
            version = open_version(name, version_hash, home)
            if spec is None or follows(version.manifest, spec):
                return version
    return None


def latest_hash(folder: Path, manifests: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return which of one dataset's ``manifests`` (by hash) is the latest version, without opening its bars."""
    spec = load_catalog().get(folder.name)
    for version_hash in reversed(_order(folder)):
        if version_hash in manifests and (spec is None or follows(manifests[version_hash], spec)):
            return version_hash
    return None


def follows(manifest: Mapping[str, Any], spec: DatasetSpec) -> bool:
    """Whether the bars (and contract rolls) of a version agree with ``spec``."""
    rolls, instrument = manifest.get("rolls"), get_instrument(spec.symbol)
    if (None if rolls is None else rolls["adjust"]) != (spec.adjust if instrument.kind == "future" else None):
        return False
    if rolls is not None and rolls["adjust"] != "none":
        levels = rolls.get("levels") or {}
        if (levels.get("method"), levels.get("tick")) != (adjustment_method(instrument), instrument.tick):
            return False
    references = {symbol: entry["max_age"] for symbol, entry in manifest.get("references", {}).items()}
    if references != {symbol: reference.max_age for symbol, reference in spec.references.items()}:
        return False
    return (manifest["symbol"], manifest["start"], manifest["end"], _labels(manifest)) == (
        spec.symbol,
        spec.start.isoformat(),
        spec.end.isoformat(),
        spec.timeframes,
    )


def record_version(folder: Path, version_hash: str) -> None:
    """Record that ``version_hash`` is the version built last of the dataset in ``folder``."""
    order = _order(folder)
    if order[-1:] != [version_hash]:
        write_json(folder / _ORDER, [known for known in order if known != version_hash] + [version_hash])


def bars_table(bars: pd.DataFrame) -> pa.Table:
    """Return bars as the Arrow table that is written to disk."""
    times = pa.array(pd.DatetimeIndex(bars.index).asi8, type=pa.timestamp("us", tz="UTC"))
    return pa.table({"timestamp": times, **{name: bars[name].to_numpy() for name in BAR_COLUMNS}})


def _labels(manifest: Mapping[str, Any]) -> list[str]:
    """Return the timeframes of a manifest, finest first (its keys are sorted as text)."""
    return sorted(manifest["timeframes"], key=Timeframe.parse)


def _to_bars(table: pa.Table) -> pd.DataFrame:
    times = table["timestamp"].cast(pa.int64()).to_numpy().astype("datetime64[us]")
    index = pd.DatetimeIndex(times, tz="UTC", name="timestamp")
    return pd.DataFrame({name: table[name].to_numpy() for name in BAR_COLUMNS}, index=index)


def _order(folder: Path) -> list[str]:
    path = folder / _ORDER
    return [safe_name(known, "dataset hash") for known in read_json(path)] if path.is_file() else []


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, DamagedFileError):
        fault = error.fault
    else:
        fault = "there is no such file" if isinstance(error, FileNotFoundError) else repr(error)
    return _damaged(path, f"is missing or damaged ({fault})")


def _damaged(path: Path, fault: str) -> DataError:
    return DataError(f"{path} {fault}; delete the folder {path.parent}, and the dataset is built again when next used")
