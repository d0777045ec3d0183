"""Ring migration between islands."""

from collections.abc import Sequence

from forge_core.evolution.nsga.nsga2 import Nsga2
from forge_core.evolution.search.generation import Individual, select_distinct


def source_island(island: int, islands: int) -> int:
    """Return the source of migrants of ``island``: the previous one in the ring."""
    return (island - 1) % islands


def migrants(
    algorithm: Nsga2, residents: Sequence[Individual], neighbours: Sequence[Individual], count: int
) -> list[Individual]:
    """Return the best ``count`` of ``neighbours`` by rank, then crowding, without Plays that are already resident."""
    here = {resident.play for resident in residents}
    return [best for best in select_distinct(algorithm, neighbours, count) if best.play not in here]


def parents_after_migration(
    algorithm: Nsga2, residents: Sequence[Individual], neighbours: Sequence[Individual], *, count: int, size: int
) -> list[Individual]:
    """Return the next parents: distinct residents and migrants, reduced to ``size`` by NSGA-II's selection."""
    arrivals = migrants(algorithm, residents, neighbours, count)
    return select_distinct(algorithm, [*residents, *arrivals], size) if arrivals else list(residents)
