"""Partitions of the assets, and how those of one asset depend on those of another.

Symbols, datasets, studies, generations and sweeps are read from the project's files when Dagster loads the
definitions, so they exist before anything has run. "Reload definitions" in the UI reads the files again. All sets are
static: Dagster keeps a mapping between two sets only where it can serialize it, which it does for static ones.
"""

from collections.abc import Iterable, Mapping

import dagster as dg

from forge_core.market.reference.catalog import load_catalog
from forge_core.market.reference.instruments import load_instruments
from forge_pipelines.lib.studies import StudyOutline, study_outlines, sweep_names, sweep_symbols

_GENERATION = "{study}-g{generation:04d}"


def generation_key(study: str, generation: int) -> str:
    """Return the ``generation_fitness`` partition of one generation, such as ``quickstart-g0007``."""
    return _GENERATION.format(study=study, generation=generation)


def parse_generation_key(key: str) -> tuple[str, int]:
    """Return study and generation of a ``generation_fitness`` partition."""
    study, _, number = key.rpartition("-g")
    return study, int(number)


def generation_keys(outline: StudyOutline) -> list[str]:
    """Return the ``generation_fitness`` partitions of one study."""
    return [generation_key(outline.name, generation) for generation in range(1, outline.generations + 1)]


_CATALOG = load_catalog()
_SYMBOLS = list(load_instruments())
_STUDIES = list(study_outlines().values())

SYMBOLS = dg.StaticPartitionsDefinition(_SYMBOLS)
DATASETS = dg.StaticPartitionsDefinition(list(_CATALOG))
STUDIES = dg.StaticPartitionsDefinition([outline.name for outline in _STUDIES])
GENERATIONS = dg.StaticPartitionsDefinition([key for outline in _STUDIES for key in generation_keys(outline)])
SWEEPS = dg.StaticPartitionsDefinition(sweep_names())
MONTHS = dg.MonthlyPartitionsDefinition("1970-01", fmt="%Y-%m", end_offset=1)  # as long as bars can reach back


def _mapping(downstream_of: Mapping[str, Iterable[str]]) -> dg.StaticPartitionMapping:
    return dg.StaticPartitionMapping({key: list(keys) for key, keys in downstream_of.items()})


SYMBOL_OF_DATASET = _mapping({s: [n for n, spec in _CATALOG.items() if spec.symbol == s] for s in _SYMBOLS})
"""A dataset is cut from the bars of its one symbol."""

TRAIN_OF_GENERATION = _mapping(
    {name: [key for o in _STUDIES if name in o.train for key in generation_keys(o)] for name in _CATALOG}
)
"""A generation reads the train datasets of its study."""

GENERATIONS_OF_STUDY = _mapping({key: [outline.name] for outline in _STUDIES for key in generation_keys(outline)})
"""The front of a study is found in all of its generations."""

HOLDOUT_OF_STUDY = _mapping({name: [o.name for o in _STUDIES if name in o.holdout] for name in _CATALOG})
"""A champion is evaluated on the holdout datasets of its study."""

SYMBOLS_OF_SWEEPS = dg.SpecificPartitionsPartitionMapping([s for s in sweep_symbols() if s in set(_SYMBOLS)])
"""A month of mass tests reads the bars of the symbols that any sweep names."""

SYMBOL_OF_STUDY = _mapping(
    {s: [o.name for o in _STUDIES if s in {_CATALOG[n].symbol for n in o.train if n in _CATALOG}] for s in _SYMBOLS}
)
"""A champion is followed on the symbols that its study was trained on."""
