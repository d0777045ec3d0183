"""The indicator bank: every feature column of a dataset, computed once."""

import dagster as dg

from forge_core.errors import DataError
from forge_core.features.bank.bank import Bank, bank_stats
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import make_reference, searchable
from forge_core.features.version import REGISTRY_VERSION
from forge_core.files import content_hash
from forge_core.market.datasets.build import DatasetVersion, latest_version
from forge_core.paths import Home
from forge_pipelines.defs.market.assets import regime_dataset
from forge_pipelines.lib.automation import CHANGED_UPSTREAM
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.materialization import Materialization
from forge_pipelines.lib.metadata import Metadata
from forge_pipelines.lib.partitions import DATASETS
from forge_pipelines.lib.resources import HomeResource


@dg.asset(
    partitions_def=DATASETS,
    deps=[regime_dataset],
    group_name="features",
    kinds={"numpy"},
    automation_condition=CHANGED_UPSTREAM,
)
def indicator_bank(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Feature columns of a dataset, memory-mapped and shared by all processes, one `.npy` file each.

    Computes every indicator and structure that an evolution may draw from, at its default parameters, on every
    timeframe of the dataset. `evolve` adds the columns its Plays need; `forge cache prune` removes by size and age.
    """
    folder, name = home.open(), context.partition_key
    with user_errors():
        version = latest_version(name, folder)
        if version is None:
            raise DataError(f"dataset {name} has no version yet: materialize regime_dataset [{name}] first")
        report = Bank(version, version.timeframes[0], folder).build(default_references(version), context.log.info)
    return bank_materialization(version, folder).result(computed=report.computed, seconds=round(report.seconds, 2))


def default_references(version: DatasetVersion) -> list[FeatureRef]:
    """Return every output of the searchable features at default parameters, on each timeframe of the dataset."""
    return [
        make_reference(definition.name, {}, output=output.name, timeframe=timeframe)
        for timeframe in version.timeframes
        for definition in searchable()
        for output in definition.outputs
    ]


def bank_materialization(version: DatasetVersion, home: Home) -> Materialization:
    """Return the content of ``indicator_bank``; its version changes with the dataset and with what features compute."""

    def describe() -> Metadata:
        stats = bank_stats(home, version.content_hash)
        return {
            "features": stats.features,
            "megabytes": round(stats.bytes / 2**20, 1),
            "hours_since_oldest_use": 0.0 if stats.oldest is None else round(stats.oldest.total_seconds() / 3600, 2),
            "dataset_hash": version.content_hash,
            "registry_version": REGISTRY_VERSION,
            "dagster/uri": dg.MetadataValue.path(str(home.features / version.content_hash)),
        }

    key = content_hash(version.content_hash, REGISTRY_VERSION)
    return Materialization("indicator_bank", version.name, key, describe, inputs={"regime_dataset": [version.name]})
