"""The verdict as a check of the champion."""

from collections.abc import Iterator, Mapping

import dagster as dg

from forge_core.evidence.verdict.document import Evidence
from forge_core.evidence.verdict.judge import WARNINGS
from forge_core.evidence.verdict.text import read_verdict
from forge_pipelines.lib.asset_checks import check_result, checked_partitions, partitioned_check
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.partitions import STUDIES
from forge_pipelines.lib.resources import HomeResource

_CHAMPION = dg.AssetKey("champion")
_VERDICT = partitioned_check(
    "verdict",
    _CHAMPION,
    STUDIES,
    "The champion is more than luck: its verdict is confirmed. The job prove finds it.",
)


@dg.multi_asset_check(name="verdict_check", specs=[_VERDICT], can_subset=True)
def verdict_check(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterator[dg.AssetCheckResult]:
    """Look at the verdict of a study; without one there is no result."""
    with user_errors():
        studies = checked_partitions(context, STUDIES.get_partition_keys())
        found = {study: read_verdict(study, home.open()) for study in studies}
    if known := {study: evidence for study, evidence in found.items() if evidence is not None}:
        yield _result(known)


def verdict_evaluation(evidence: Evidence) -> dg.AssetCheckEvaluation:
    """Return the check of one study as the event that an op logs."""
    result = _result({evidence.study: evidence})
    return dg.AssetCheckEvaluation(
        asset_key=_CHAMPION,
        check_name=_VERDICT.name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        partition=evidence.study,
        description=result.description,
    )


def _result(found: Mapping[str, Evidence]) -> dg.AssetCheckResult:
    faults = {study: each.sentence if each.verdict in WARNINGS else None for study, each in found.items()}
    return check_result(_VERDICT, faults, dg.AssetCheckSeverity.WARN)
