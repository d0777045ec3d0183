"""Everything Dagster loads: assets, checks, jobs, schedules, sensors, and how steps run and hand on their outputs."""

import dagster as dg

from forge_core.parallelism import SETTING
from forge_pipelines.defs.evidence.assets import study_evidence
from forge_pipelines.defs.evidence.checks import verdict_check
from forge_pipelines.defs.evidence.forward import champion_forward
from forge_pipelines.defs.evidence.jobs import prove
from forge_pipelines.defs.evolution.assets import generation_fitness, study_results
from forge_pipelines.defs.evolution.checks import champion_checks, pareto_front_checks
from forge_pipelines.defs.evolution.jobs import evolve
from forge_pipelines.defs.features.assets import indicator_bank
from forge_pipelines.defs.features.jobs import build_features
from forge_pipelines.defs.market.assets import raw_ohlcv, regime_dataset
from forge_pipelines.defs.market.checks import raw_ohlcv_checks, regime_dataset_checks
from forge_pipelines.defs.market.jobs import build_datasets, refresh_ohlcv
from forge_pipelines.defs.market.quality_checks import raw_ohlcv_quality
from forge_pipelines.defs.market.schedules import daily_refresh
from forge_pipelines.defs.market.sensors import follow_new_bars, import_folder
from forge_pipelines.defs.mass_test.assets import mass_test_results, strategy_ranking
from forge_pipelines.defs.mass_test.checks import mass_test_checks
from forge_pipelines.defs.mass_test.jobs import mass_test
from forge_pipelines.defs.runs.sensors import killed_runs
from forge_pipelines.lib.console import console_logger
from forge_pipelines.lib.executor import executor
from forge_pipelines.lib.io_managers import JsonOutputs
from forge_pipelines.lib.resources import HOME_SETTING, BarStoreResource, HomeResource, WorkersResource, environment

home = HomeResource(path=environment(HOME_SETTING))

defs = dg.Definitions(
    assets=[
        raw_ohlcv,
        regime_dataset,
        indicator_bank,
        generation_fitness,
        study_results,
        study_evidence,
        champion_forward,
        mass_test_results,
        strategy_ranking,
    ],
    asset_checks=[
        raw_ohlcv_checks,
        raw_ohlcv_quality,
        regime_dataset_checks,
        pareto_front_checks,
        champion_checks,
        verdict_check,
        mass_test_checks,
    ],
    jobs=[evolve, prove, mass_test, refresh_ohlcv, build_datasets, build_features],
    schedules=[daily_refresh],
    sensors=[import_folder, follow_new_bars, killed_runs],
    resources={
        "io_manager": JsonOutputs(folder=environment("FORGE_OUTPUTS")),
        "home": home,
        "store": BarStoreResource(home=home),
        "workers": WorkersResource(count=environment(SETTING)),
    },
    loggers={"console": console_logger},
    executor=executor,
)
