"""The ``prove`` job: the graph of the evidence for any study, without a partition."""

import dagster as dg

from forge_pipelines.defs.evidence.assets import prove_study
from forge_pipelines.defs.evidence.ops import ProveConfig
from forge_pipelines.defs.evolution.request import DEFAULT_TAGS
from forge_pipelines.lib.console import CONSOLE_CONFIG, console_logger
from forge_pipelines.lib.executor import executor


@dg.config_mapping
def prove_config(config: ProveConfig) -> dict:
    """Show one flat set of values in the launchpad."""
    return {"ops": {"plan_evidence": {"config": config.model_dump()}}, "loggers": CONSOLE_CONFIG}


prove = prove_study.to_job(
    name="prove",
    config=prove_config,
    executor_def=executor,
    logger_defs={"console": console_logger},
    tags=DEFAULT_TAGS,
    description=(
        "Tell a complete study's champion from luck: repeat its whole search in markets without memory and on the past "
        "alone, probe the champion, and judge it. Run again, it resumes; the luck test ends early once it is decided."
    ),
)
