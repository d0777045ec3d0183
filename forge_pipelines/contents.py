"""What each asset partition holds, as the event that tells Dagster of it.

Data and Dagster's history can be deleted apart, so what the instance knows is compared with what is there by content:
every event carries the hash of it as its data version.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from forge_pipelines.metadata import Metadata

VERSION_TAG = "dagster/data_version"


@dataclass(frozen=True)
class Content:
    """One partition of an asset: the hash of what it holds, and a function that tells what its page shows."""

    asset: str
    partition: str
    version: str
    describe: Callable[[], Metadata]
    tags: Mapping[str, str] = field(default_factory=dict)

    def event(self) -> dg.AssetMaterialization:
        """Return the event that an op logs."""
        tags = {VERSION_TAG: self.version, **self.tags}
        return dg.AssetMaterialization(self.asset, partition=self.partition, metadata=self.describe(), tags=tags)

    def result(self, **more: Any) -> dg.MaterializeResult:
        """Return the result of the asset's own function; ``more`` is metadata of this one materialization."""
        version = dg.DataVersion(self.version)
        return dg.MaterializeResult(metadata={**self.describe(), **more}, data_version=version, tags=dict(self.tags))


def known_tags(instance: dg.DagsterInstance, asset: str, partitions: Iterable[str]) -> dict[str, Mapping[str, str]]:
    """Return the tags of the newest materialization of each of ``partitions`` that has one."""
    wanted = list(partitions)
    tags: dict[str, Mapping[str, str]] = {}
    cursor, more = None, bool(wanted)
    while more and len(tags) < len(wanted):
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=wanted), limit=1000, cursor=cursor
        )
        for record in page.records:  # newest first
            event = record.asset_materialization
            if event is not None and event.partition is not None:
                tags.setdefault(event.partition, event.tags or {})
        cursor, more = page.cursor, page.has_more
    return tags


def log_lacking(context: dg.OpExecutionContext | dg.AssetExecutionContext, contents: Iterable[Content]) -> int:
    """Log those of ``contents`` (all of one asset) that the instance does not know as they are; return their number."""
    by_partition = {content.partition: content for content in contents}
    assets = {content.asset for content in by_partition.values()}
    known = {p: tags for asset in assets for p, tags in known_tags(context.instance, asset, by_partition).items()}
    lacking = [c for p, c in by_partition.items() if known.get(p, {}).get(VERSION_TAG) != c.version]
    for content in lacking:
        context.log_event(content.event())
    return len(lacking)
