"""Everything Dagster loads: assets, checks, jobs, schedules, sensors, and how steps run and hand on their outputs."""

import dagster as dg

from forge_pipelines.assets.evolution import champion, generation_fitness, pareto_front
from forge_pipelines.assets.features import indicator_bank
from forge_pipelines.assets.market import raw_ohlcv, regime_dataset
from forge_pipelines.assets.mass_test import mass_test_results, strategy_ranking
from forge_pipelines.checks import champion_checks, pareto_front_checks, raw_ohlcv_checks, regime_dataset_checks
from forge_pipelines.console import console_logger
from forge_pipelines.executors import executor
from forge_pipelines.jobs.assets import build_datasets, build_features, refresh_ohlcv
from forge_pipelines.jobs.evolve import evolve
from forge_pipelines.jobs.mass_test import mass_test
from forge_pipelines.quality_checks import raw_ohlcv_quality
from forge_pipelines.resources import json_io_manager
from forge_pipelines.schedules import daily_refresh
from forge_pipelines.sensors import follow_new_bars, import_folder

defs = dg.Definitions(
    assets=[
        raw_ohlcv,
        regime_dataset,
        indicator_bank,
        generation_fitness,
        pareto_front,
        champion,
        mass_test_results,
        strategy_ranking,
    ],
    asset_checks=[raw_ohlcv_checks, raw_ohlcv_quality, regime_dataset_checks, pareto_front_checks, champion_checks],
    jobs=[evolve, mass_test, refresh_ohlcv, build_datasets, build_features],
    schedules=[daily_refresh],
    sensors=[import_folder, follow_new_bars],
    resources={"io_manager": json_io_manager},
    loggers={"console": console_logger},
    executor=executor,
)
