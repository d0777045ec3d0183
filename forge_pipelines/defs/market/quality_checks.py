"""Checks of raw bars that are worth a look and stop nothing: gaps, and bars that look strange."""

from collections.abc import Iterator, Sequence

import dagster as dg

from forge_core.market.quality.checks import QualityReport, check_symbols
from forge_core.market.quality.findings import Finding, Severity
from forge_core.market.quality.page import coverage_png
from forge_pipelines.defs.market.assets import raw_ohlcv
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.metadata import markdown_table, picture
from forge_pipelines.lib.resources import BarStoreResource

_SEVERITIES = {"error": dg.AssetCheckSeverity.ERROR, "warning": dg.AssetCheckSeverity.WARN}

_COMPLETE = dg.AssetCheckSpec(
    "complete",
    asset=raw_ohlcv,
    description=(
        "No bars are missing but in outages of the exchange and while the market was closed, no series ends long "
        "before the others of its symbol, and no funding rate of a perpetual is missing."
    ),
)
_PLAUSIBLE = dg.AssetCheckSpec(
    "plausible",
    asset=raw_ohlcv,
    description=(
        "Few bars are without volume, none is a duplicate or repeats the one before, and coarser bars agree with the "
        "finer ones. Wild bars are listed; they may be real."
    ),
)
_KINDS = (
    (_COMPLETE, ("gaps", "stale", "funding")),
    (_PLAUSIBLE, ("idle", "stuck", "outliers", "contradiction", "duplicates")),
)


@dg.multi_asset_check(name="raw_ohlcv_quality", specs=[_COMPLETE, _PLAUSIBLE], can_subset=True)
def raw_ohlcv_quality(context: dg.AssetCheckExecutionContext, store: BarStoreResource) -> Iterator[dg.AssetCheckResult]:
    """Look through the stored bars as `forge data check` does; its `--html` makes a page of all symbols."""
    with user_errors(), store.open() as bars:
        stored = list(dict.fromkeys(bars.coverage()["symbol"]))
        run = context.op_execution_context
        asked = [run.partition_key] if run.has_partition_key else stored
        reports = check_symbols(bars, [symbol for symbol in asked if symbol in stored])
    for spec, kinds in _KINDS:
        if spec.key in context.selected_asset_check_keys:
            yield _result(spec, kinds, reports)


def _result(spec: dg.AssetCheckSpec, kinds: Sequence[str], reports: Sequence[QualityReport]) -> dg.AssetCheckResult:
    found = [(report, finding) for report in reports for finding in report.findings if finding.kind in kinds]
    severities: set[Severity] = {finding.severity for _, finding in found}
    worst = next((name for name in _SEVERITIES if name in severities), None)
    bad = [f"{_series(report)}: {finding.text}" for report, finding in found if finding.severity != "info"]
    return dg.AssetCheckResult(
        passed=worst is None,
        asset_key=spec.asset_key,
        check_name=spec.name,
        severity=_SEVERITIES[worst or "warning"],
        description="; ".join(bad) or None,
        metadata={
            "found": markdown_table(("severity", "series", "found"), [_row(*pair) for pair in found])
            if found
            else "nothing",
            "missing_bars": sum(report.missing for report in reports),
            "picture": picture(coverage_png(reports), "what is stored, and its gaps"),
        },
    )


def _row(report: QualityReport, finding: Finding) -> tuple[str, str, str]:
    return finding.severity, _series(report), finding.text


def _series(report: QualityReport) -> str:
    return f"{report.symbol} {report.timeframe}"
