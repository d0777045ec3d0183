"""Content of asset partitions as materialization events.

Data and Dagster's history can be deleted separately, so recorded and present content are compared by hash: every
event carries the hash as its data version. Events that an op logs carry the versions of their inputs too, as Dagster
writes them for an asset's own output, so that staleness is the same whichever way a partition was made.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import dagster as dg

from forge_core.files import content_hash
from forge_pipelines.lib.metadata import Metadata

VERSION_TAG = "dagster/data_version"
_PAGE = 1000

Context = dg.OpExecutionContext | dg.AssetExecutionContext


@dataclass(frozen=True)
class Materialization:
    """Content of one partition of an asset: its hash, its page, and the upstream partitions it was made from."""

    asset: str
    partition: str
    version: str
    describe: Callable[[], Metadata]
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def event(self, context: Context) -> dg.AssetMaterialization:
        """Return the event that an op logs."""
        return dg.AssetMaterialization(
            self.asset, partition=self.partition, metadata=self.describe(), tags=self._tags(context)
        )

    def output(self, context: Context, name: str) -> dg.Output[None]:
        """Return the output of a graph-backed asset's op, which Dagster records as the asset's event."""
        version = dg.DataVersion(self.version)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # data versions of outputs: Dagster may change them yet
            return dg.Output(None, name, self.describe(), data_version=version, tags=self._tags(context))

    def result(self, **more: Any) -> dg.MaterializeResult:
        """Return the result of the asset's own function; ``more`` is metadata of this one materialization."""
        version = dg.DataVersion(self.version)
        return dg.MaterializeResult(metadata={**self.describe(), **more}, data_version=version, tags=dict(self.tags))

    def _tags(self, context: Context) -> dict[str, str]:
        """Return the tags of the event, provenance included: the newest event of each input and its version."""
        tags = {VERSION_TAG: self.version, "dagster/data_version_is_user_provided": "true", **self.tags}
        tags["dagster/code_version"] = context.run.run_id
        keys = [dg.AssetKey(name) for name in self.inputs]
        newest = {
            record.asset_entry.asset_key: record.asset_entry for record in context.instance.get_asset_records(keys)
        }
        for key in keys:
            name = key.to_user_string()
            entry = newest.get(key)
            record = entry.last_materialization_record if entry else None
            tags[f"dagster/input_event_pointer/{name}"] = str(record.storage_id) if record else "NULL"
            tags[f"dagster/input_data_version/{name}"] = content_hash(*self.inputs[name]) if record else "INITIAL"
        return tags


def recorded_tags(
    instance: dg.DagsterInstance, asset: str, partitions: Iterable[str]
) -> dict[str, list[Mapping[str, str]]]:
    """Return the tags of the materializations of each of ``partitions``, the newest first.

    Partitions are looked up a thousand at a time: the database limits the values of one query.
    """
    tags: dict[str, list[Mapping[str, str]]] = {partition: [] for partition in partitions}
    for wanted in batched(tags, _PAGE):
        where = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=wanted)
        cursor, more = None, True
        while more:
            page = instance.fetch_materializations(where, limit=_PAGE + 1, cursor=cursor)
            for record in page.records:  # newest first
                event = record.asset_materialization
                if event is not None and event.partition is not None:
                    tags[event.partition].append(event.tags or {})
            cursor, more = page.cursor, page.has_more
    return tags


def batched(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield ``values`` in lists of ``size``, the last one shorter."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def unrecorded(
    instance: dg.DagsterInstance, materializations: Iterable[Materialization], *, versions_stay: bool = False
) -> list[Materialization]:
    """Return those of ``materializations`` (all of one asset) whose version is not the newest recorded one.

    With ``versions_stay``, where versions exist on disk together, a version that was ever recorded counts.
    """
    listed = list(materializations)
    if not listed:
        return []
    recorded = recorded_tags(instance, listed[0].asset, [one.partition for one in listed])
    newest = None if versions_stay else 1
    return [m for m in listed if m.version not in [t.get(VERSION_TAG) for t in recorded[m.partition][:newest]]]


def record(context: Context, materializations: Iterable[Materialization], *, versions_stay: bool = False) -> int:
    """Log the events of ``materializations`` that are ``unrecorded``; return how many that were."""
    found = unrecorded(context.instance, materializations, versions_stay=versions_stay)
    for materialization in found:
        context.log_event(materialization.event(context))
    return len(found)
