"""Check of the catalog: built datasets are intact, and the store has the bars of the others."""

from dataclasses import dataclass
from typing import Any, Literal

from forge_core.errors import DataError, ForgeError
from forge_core.market.datasets.build import DatasetDraft, cut_dataset
from forge_core.market.datasets.versions import DatasetVersion, latest_version
from forge_core.market.reference.catalog import DatasetSpec
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home

State = Literal["built", "outdated", "can be built", "no bars", "damaged"]


_INSTALLED = "sample"  # a source that needs neither network nor files


@dataclass(frozen=True)
class DatasetCheck:
    """State of one dataset, the hash of its version if it has one, and remarks.

    ``can be built``: the store or the installed sample has the bars. ``no bars``: the store does not have them yet;
    building requests them from the symbol's source first. ``outdated``: the store has other bars of the period, so
    building makes a new version.
    """

    name: str
    state: State
    version: str
    text: str


def check_dataset(spec: DatasetSpec, store: BarStore, home: Home) -> DatasetCheck:
    """Compare the latest version, if any, with a draft from the store."""
    try:
        version = latest_version(spec.name, home)
        if version is not None:
            _read_back(version)
    except ForgeError as error:
        return DatasetCheck(spec.name, "damaged", "", str(error))
    cut, failure = _cut(spec, store, home)
    if version is None and cut is None and get_instrument(spec.symbol).source == _INSTALLED:
        return DatasetCheck(spec.name, "can be built", "", "from the sample that is installed with Forge")
    if version is None:
        return DatasetCheck(spec.name, "can be built" if cut else "no bars", "", _gaps(cut) if cut else failure)
    outdated = cut is not None and cut.content_hash != version.content_hash
    text = "the store has other bars of its period; building makes a new version" if outdated else _gaps(version)
    return DatasetCheck(spec.name, "outdated" if outdated else "built", version.content_hash, text)


def _cut(spec: DatasetSpec, store: BarStore, home: Home) -> tuple[DatasetDraft | None, str]:
    try:
        return cut_dataset(spec, store, home), ""
    except DataError as error:
        return None, str(error)


def _read_back(version: DatasetVersion) -> None:
    for timeframe in version.timeframes:
        version.bars(timeframe)
    version.funding()


def _gaps(dataset: DatasetDraft | DatasetVersion) -> str:
    """Return the number of missing bars of the execution timeframe as text."""
    entries: dict[str, Any] = dataset.manifest["timeframes"]
    execution = min(entries.values(), key=lambda entry: -entry["rows"])
    gaps = execution["gaps"]
    return f"{gaps['missing']} bars missing in {gaps['count']} gaps" if gaps["count"] else ""
