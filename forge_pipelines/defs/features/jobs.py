"""Job ``build_features``: the indicator bank of a dataset."""

import dagster as dg

from forge_pipelines.defs.features.assets import indicator_bank
from forge_pipelines.lib.console import CONSOLE_CONFIG

build_features = dg.define_asset_job(
    "build_features",
    selection=[indicator_bank],
    description="Compute the searchable features of a dataset at their default parameters.",
    config={"loggers": CONSOLE_CONFIG},
)
