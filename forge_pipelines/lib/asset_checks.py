"""Asset checks over partitions: which ones a run requests, and their result from the faults found.

A check that runs with its asset looks at the partition of that run; a check without partitions that runs on its own
looks at every partition.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from forge_core.errors import ForgeError


def partitioned_check(
    name: str, asset: dg.AssetKey, partitions: dg.PartitionsDefinition, description: str
) -> dg.AssetCheckSpec:
    """Return a check that has a result for each partition of its asset."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # Dagster may change them yet; its version is pinned
        return dg.AssetCheckSpec(name, asset=asset, partitions_def=partitions, description=description)


def requested(
    context: dg.AssetCheckExecutionContext, results: Iterable[dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """Return the results of those checks that are requested: the UI can run one alone."""
    wanted = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
    return (result for result in results if (result.asset_key, result.check_name) in wanted)


def checked_partitions(context: dg.AssetCheckExecutionContext, all_of_them: Sequence[str]) -> Sequence[str]:
    """Return the partition of the run, or all of them where the run has none."""
    op_context = context.op_execution_context
    return [op_context.partition_key] if op_context.has_partition_key else all_of_them


def fault_of(check: Callable[..., None], *arguments: Any) -> str | None:
    """Return what is wrong, None when nothing is."""
    try:
        check(*arguments)
    except ForgeError as error:
        return str(error)
    return None


def check_result(
    spec: dg.AssetCheckSpec,
    faults: Mapping[str, str | None],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Return the result of a check from the fault, or None, of each thing it looked at."""
    found = {subject: fault for subject, fault in faults.items() if fault}
    return dg.AssetCheckResult(
        passed=not found,
        asset_key=spec.asset_key,
        check_name=spec.name,
        severity=severity,
        description="; ".join(f"{subject}: {fault}" for subject, fault in found.items()) or None,
        metadata={"looked_at": len(faults), "faults": len(found)},
    )
