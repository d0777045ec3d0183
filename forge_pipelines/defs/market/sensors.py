"""What runs because something has changed, once it is switched on in the UI: the import folder, and what follows."""

import json
from pathlib import Path

import dagster as dg

from forge_core.errors import ForgeError
from forge_core.files import content_hash
from forge_core.market.sources.providers.files import import_files_in, stamp, symbol_of_file
from forge_pipelines.defs.evidence.forward import champion_forward
from forge_pipelines.defs.features.assets import indicator_bank
from forge_pipelines.defs.market.assets import WRITES_STORE, regime_dataset
from forge_pipelines.defs.market.jobs import refresh_ohlcv
from forge_pipelines.lib.console import CONSOLE_CONFIG
from forge_pipelines.lib.resources import HomeResource

_SECONDS = 30  # between two looks


@dg.sensor(
    job=refresh_ohlcv,
    minimum_interval_seconds=_SECONDS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Takes new and changed files of `data/import` into the store, a run a symbol. A file is taken when it is as it "
        f"was at the look before, {_SECONDS} seconds ago, so that none is taken while it is being copied."
    ),
)
def import_folder(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult | dg.SkipReason:
    """Ask for a run of each symbol with new files; the cursor holds each file's stamp and whether it has settled."""
    before: dict[str, tuple[str, bool]] = json.loads(context.cursor) if context.cursor else {}
    now: dict[str, tuple[str, bool]] = {}
    taken: dict[str, list[str]] = {}
    for path in import_files_in(home.open().imports):
        seen = stamp(path)
        known, done = before.get(path.name, ("", False))
        now[path.name] = (seen, known == seen)
        if known == seen and not done and (symbol := _symbol(context, path)):
            taken.setdefault(symbol, []).append(f"{path.name} {seen}")
    waiting = [name for name, (_, settled) in now.items() if not settled]
    requests = [
        dg.RunRequest(
            run_key=f"{symbol}-{content_hash(*files)}",
            partition_key=symbol,
            run_config={"loggers": CONSOLE_CONFIG, "ops": {"raw_ohlcv": {"config": {"only": "files"}}}},
        )
        for symbol, files in taken.items()
    ]
    reason = f"seen, to be taken if they stay as they are: {', '.join(waiting)}" if waiting else "no new files"
    return dg.SensorResult(
        run_requests=requests, cursor=json.dumps(now), skip_reason=None if requests else dg.SkipReason(reason)
    )


def _symbol(context: dg.SensorEvaluationContext, path: Path) -> str | None:
    """Return the symbol of a file; one that cannot be told is logged, once, with what can be done."""
    try:
        return symbol_of_file(path)
    except ForgeError as error:
        context.log.warning(f"{path} is left where it is: {error}")
        return None


follow_new_bars = dg.AutomationConditionSensorDefinition(
    "follow_new_bars",
    target=[regime_dataset, indicator_bank, champion_forward],
    minimum_interval_seconds=_SECONDS,
    default_status=dg.DefaultSensorStatus.STOPPED,
    run_tags=WRITES_STORE,
    description=(
        "Cuts the datasets of a symbol again when its bars have changed, computes the indicator bank of those that "
        "came out different, and follows the champions of its studies on new bars."
    ),
)
