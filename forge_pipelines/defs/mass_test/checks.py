"""Checks of mass tests: tests that failed."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from forge_core.sweeps.plan import SweepPlan, read_plan
from forge_core.sweeps.report import month_figures
from forge_pipelines.lib.asset_checks import partitioned_check
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.partitions import MONTHS
from forge_pipelines.lib.resources import HomeResource
from forge_pipelines.lib.studies import planned_sweeps

_RESULTS = dg.AssetKey("mass_test_results")
_NONE_FAILED = partitioned_check("no_failed_tests", _RESULTS, MONTHS, "Every test of the month could be run.")


@dg.multi_asset_check(name="mass_test_checks", specs=[_NONE_FAILED])
def mass_test_checks(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Count the failed tests of the run's months, of every sweep that was run."""
    months = set(context.op_execution_context.partition_keys)
    with user_errors():
        plans = [read_plan(name, home.open()) for name in planned_sweeps(home.open())]
        figures = [(plan.spec.name, found) for plan in plans for found in month_figures(plan).items()]
    passed, metadata, description = _outcome(
        {f"{name} in {month}": found for name, (month, found) in figures if month in months}
    )
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=_RESULTS,
        check_name=_NONE_FAILED.name,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=description,
    )


def month_evaluations(plan: SweepPlan) -> Iterator[dg.AssetCheckEvaluation]:
    """Return the check of each month of a sweep as the events that an op logs: only of months with failed tests."""
    for month, figures in month_figures(plan).items():
        passed, metadata, description = _outcome({f"{plan.spec.name} in {month}": figures})
        if not passed:
            yield dg.AssetCheckEvaluation(
                _RESULTS,
                _NONE_FAILED.name,
                passed,
                metadata,
                severity=dg.AssetCheckSeverity.WARN,
                description=description,
                partition=month,
            )


def _outcome(found: Mapping[str, Mapping[str, Any]]) -> tuple[bool, dict[str, Any], str | None]:
    tests, failed = (sum(figures[key] for figures in found.values()) for key in ("tests", "failed"))
    named = [
        f"{name}: {figures['failed']} of {figures['tests']}" for name, figures in found.items() if figures["failed"]
    ]
    return not failed, {"tests": tests, "failed": failed}, f"failed tests of {'; '.join(named)}" if named else None
