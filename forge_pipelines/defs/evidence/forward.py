"""Champion on new bars, as an asset that follows refreshes."""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from forge_core.evidence.following.champion_forward import follow_champion
from forge_core.evidence.following.document import Forward
from forge_core.evidence.following.text import forward_lines, forward_picture
from forge_core.evolution.run.status import study_status
from forge_core.files import canonical_json, content_hash
from forge_core.paths import Home
from forge_pipelines.defs.market.assets import WRITES_STORE, raw_ohlcv
from forge_pipelines.lib.automation import CHANGED_UPSTREAM
from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.materialization import Materialization
from forge_pipelines.lib.metadata import Metadata, figure, picture
from forge_pipelines.lib.partitions import STUDIES, SYMBOL_OF_STUDY
from forge_pipelines.lib.resources import BarStoreResource, HomeResource

_CHAMPION, _VERDICT = dg.AssetKey("champion"), dg.AssetKey("verdict")
_BEHAVES = dg.AssetCheckSpec(
    "behaves_as_found",
    asset=dg.AssetKey("champion_forward"),
    description="New days do not contradict the champion: the e-process does not call it dead, and it lies within the "
    "cone expected of its days out of sample.",
)


@dg.asset(
    partitions_def=STUDIES,
    deps=[_CHAMPION, _VERDICT, dg.AssetDep(raw_ohlcv, partition_mapping=SYMBOL_OF_STUDY)],
    group_name="evidence",
    kinds={"parquet"},
    op_tags=WRITES_STORE,
    output_required=False,
    check_specs=[_BEHAVES],
    automation_condition=CHANGED_UPSTREAM.replace(
        "any_deps_missing",  # a verdict is not needed: the champion is compared with its holdout then
        dg.AutomationCondition.any_deps_missing().ignore(dg.AssetSelection.assets(_VERDICT)),
    ),
)
def champion_forward(
    context: dg.AssetExecutionContext, home: HomeResource, store: BarStoreResource
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The champion of a study on the bars after everything the study saw: does it still behave as found?

    The fixed Play trades new days. An e-process compares them with what the champion promised out of sample, and says
    whether it earns that or is dead; a cone shows what was to be expected. Made again when a refresh brings bars.
    """
    with user_errors():
        state = study_status(context.partition_key, home.open()).state
        if state != "complete":
            text = f"study {context.partition_key} is {state}: there is no champion to follow"
            context.log.info(text)
            yield dg.AssetCheckResult(passed=True, check_name=_BEHAVES.name, description=text)
            return
        found = follow_champion(context.partition_key, home.open(), store.open())
    for line in forward_lines(found):
        context.log.info(line)
    yield forward_materialization(found, home.open()).result()
    yield dg.AssetCheckResult(
        passed=found.behaves,
        check_name=_BEHAVES.name,
        severity=dg.AssetCheckSeverity.WARN,
        description=found.sentence,
    )


def forward_materialization(found: Forward, home: Home) -> Materialization:
    """Return the content of ``champion_forward``."""
    version = content_hash(canonical_json(found.document()))
    inputs = {"champion": [found.study], "verdict": [found.study], "raw_ohlcv": list(found.symbols)}
    return Materialization("champion_forward", found.study, version, partial(_describe, found, home), inputs=inputs)


def _describe(found: Forward, home: Home) -> Metadata:
    metadata: Metadata = {
        "sentence": found.sentence,
        "state": found.state,
        "after": str(found.after),
        "symbols": ", ".join(found.symbols),
        "play": found.play,
    }
    if not found.days:
        return metadata
    metadata |= {
        "evaluation": found.evaluation,
        "days": found.days,
        "last_day": str(found.last),
        "trades": found.trades,
        "total_return": f"{found.total_return:+.2%}",
        "sharpe": figure(found.sharpe),
        "promised_sharpe": f"{figure(found.promise)} ({found.source})" if found.source else "-",
        "log_e": figure(found.log_e),
        "days_to_tell": figure(found.expected_days),
    }
    if found.expected is not None:
        low, high = found.expected.low - 1.0, found.expected.high - 1.0
        metadata["expected"] = f"{low:+.1%} to {high:+.1%}: {found.expected.place}"
    if png := forward_picture(found, home):
        metadata["picture"] = picture(png, "growth on new days, and the cone it was expected in")
    return metadata | {"limits": dg.MetadataValue.md("What the test can tell, and when: docs/evidence.md")}
