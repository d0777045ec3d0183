"""Jobs ``refresh_ohlcv`` and ``build_datasets``: one asset each, for an asset job cannot mix partitions definitions."""

import dagster as dg

from forge_pipelines.defs.market.assets import WRITES_STORE, raw_ohlcv, regime_dataset
from forge_pipelines.lib.console import CONSOLE_CONFIG

refresh_ohlcv = dg.define_asset_job(
    "refresh_ohlcv",
    selection=[raw_ohlcv],
    description="Import the bars of a symbol that its source has and the store does not.",
    config={"loggers": CONSOLE_CONFIG},
    tags=WRITES_STORE,
)
build_datasets = dg.define_asset_job(
    "build_datasets",
    selection=[regime_dataset],
    description="Cut a named dataset from the store; a new version where its bars changed.",
    config={"loggers": CONSOLE_CONFIG},
    tags=WRITES_STORE,
)
