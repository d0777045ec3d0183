"""Sensor of runs that were killed from outside."""

import dagster as dg

from forge_pipelines.lib.processes import report_killed_runs

_SECONDS = 30  # between two looks


@dg.sensor(
    minimum_interval_seconds=_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Marks runs as failed whose process was killed, those of the command line too. Until then they count as "
        "running and block the queue."
    ),
)
def killed_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Report runs whose process is gone."""
    reported = report_killed_runs(context.instance)
    return dg.SkipReason(f"reported as failed: {', '.join(reported)}" if reported else "no run was killed")
