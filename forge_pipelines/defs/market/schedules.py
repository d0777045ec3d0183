"""What runs by the clock, once it is switched on in the UI."""

from collections.abc import Iterator

import dagster as dg

from forge_core.market.reference.catalog import load_catalog
from forge_pipelines.defs.market.jobs import refresh_ohlcv


@dg.schedule(
    job=refresh_ohlcv,
    cron_schedule="0 9 * * *",  # Binance's files of a UTC day have been made at 02:00 to 07:00 of the next
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description=(
        "Every morning, when the archives have the day before: asks the source of each symbol of the catalog for what "
        "the store does not have, a run a symbol. What a source did not give is asked for again the next day."
    ),
)
def daily_refresh(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Ask for one run a symbol of the catalog."""
    day = context.scheduled_execution_time.date()
    for symbol in sorted({spec.symbol for spec in load_catalog().values()}):
        yield dg.RunRequest(run_key=f"{day}-{symbol}", partition_key=symbol)
