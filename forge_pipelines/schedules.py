"""What runs by the clock, once it is switched on in the UI."""

from collections.abc import Iterator

import dagster as dg

from forge_pipelines.jobs.assets import refresh_ohlcv
from forge_pipelines.partitions import SYMBOLS


@dg.schedule(
    job=refresh_ohlcv,
    cron_schedule="15 0 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every day, soon after the UTC day has closed: take what the sources of all symbols have.",
)
def daily_refresh(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Ask for one run a symbol."""
    day = context.scheduled_execution_time.date()
    for symbol in SYMBOLS.get_partition_keys():
        yield dg.RunRequest(run_key=f"{day}-{symbol}", partition_key=symbol)
