"""The ``evolve`` job: the graph of ``pareto_front`` and ``champion`` for any study, without a partition."""

import dagster as dg

from forge_pipelines.defs.evolution.assets import evolve_study
from forge_pipelines.defs.evolution.request import DEFAULT_TAGS, EvolveConfig
from forge_pipelines.lib.console import CONSOLE_CONFIG, console_logger
from forge_pipelines.lib.executor import executor


@dg.config_mapping
def evolve_config(config: EvolveConfig) -> dict:
    """Show one flat set of values in the launchpad."""
    return {"ops": {"plan": {"config": config.model_dump()}}, "loggers": CONSOLE_CONFIG}


evolve = evolve_study.to_job(
    name="evolve",
    config=evolve_config,
    executor_def=executor,
    logger_defs={"console": console_logger},
    tags=DEFAULT_TAGS,
    description=(
        "Evolve a study: build the data it needs, run NSGA-II on its islands over epochs, record each generation, "
        "find the Pareto front and the champion. Run again, it resumes, or says that the study is complete."
    ),
)
