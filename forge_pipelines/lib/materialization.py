"""What each asset partition holds, as the event that tells Dagster of it.

Data and Dagster's history can be deleted apart, so what the instance knows is compared with what is there by content:
every event carries the hash of it as its data version.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from forge_pipelines.lib.metadata import Metadata

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


def known_tags(
    instance: dg.DagsterInstance, asset: str, partitions: Iterable[str]
) -> dict[str, list[Mapping[str, str]]]:
    """Return the tags of the materializations of each of ``partitions``, the newest first."""
    wanted = list(partitions)
    tags: dict[str, list[Mapping[str, str]]] = {partition: [] for partition in wanted}
    cursor, more = None, bool(wanted)
    while more:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=wanted), limit=1000, cursor=cursor
        )
        for record in page.records:  # newest first
            event = record.asset_materialization
            if event is not None and event.partition is not None:
                tags[event.partition].append(event.tags or {})
        cursor, more = page.cursor, page.has_more
    return tags


def lacking(instance: dg.DagsterInstance, contents: Iterable[Content], *, versions_stay: bool = False) -> list[Content]:
    """Return those of ``contents`` (all of one asset) that the instance does not know as they are.

    A version that is not the newest one known counts as lacking, unless ``versions_stay`` on disk beside each other.
    """
    listed = list(contents)
    if not listed:
        return []
    known = known_tags(instance, listed[0].asset, [content.partition for content in listed])
    newest = None if versions_stay else 1
    return [c for c in listed if c.version not in [tags.get(VERSION_TAG) for tags in known[c.partition][:newest]]]


def log_lacking(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    contents: Iterable[Content],
    *,
    versions_stay: bool = False,
) -> int:
    """Log what of ``contents`` is ``lacking`` and return how many partitions that were."""
    found = lacking(context.instance, contents, versions_stay=versions_stay)
    for content in found:
        context.log_event(content.event())
    return len(found)
