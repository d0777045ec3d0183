"""What the assets are partitioned by: symbols and datasets declared in ``datasets/``, studies, generations, months."""

import dagster as dg

from forge_core.market.reference.catalog import load_catalog
from forge_core.market.reference.instruments import load_instruments

_CATALOG = load_catalog()

SYMBOLS = dg.StaticPartitionsDefinition(list(load_instruments()))
DATASETS = dg.StaticPartitionsDefinition(list(_CATALOG))
GENERATIONS = dg.DynamicPartitionsDefinition(name="generations")
STUDIES = dg.DynamicPartitionsDefinition(name="studies")
SWEEPS = dg.DynamicPartitionsDefinition(name="sweeps")
MONTHS = dg.MonthlyPartitionsDefinition("1970-01", fmt="%Y-%m", end_offset=1)  # as long as bars can reach back

SYMBOL_OF_DATASET = dg.StaticPartitionMapping(
    {symbol: [name for name, spec in _CATALOG.items() if spec.symbol == symbol] for symbol in load_instruments()}
)
"""A dataset is cut from the bars of its one symbol."""


def generation_key(study: str, generation: int) -> str:
    """Return the ``generation_fitness`` partition of one generation, such as ``quickstart-g0007``."""
    return f"{study}-g{generation:04d}"
