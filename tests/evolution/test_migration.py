"""Islands meet in a ring: the best move on, nobody is there twice, and no island grows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.evolution.nsga.nsga2 import make_nsga2
from forge_core.evolution.run.migration import migrants, parents_after_migration, source_island
from forge_core.evolution.search.generation import Individual, select_distinct
from forge_core.evolution.search.genes import Gene

from .plays import individual

ALGORITHM = make_nsga2([Gene("a", 7), Gene("b", 5), Gene("c", 3)], ["maximize", "minimize"])

populations = st.lists(st.integers(0, 60), min_size=2, max_size=20, unique=True)


def people(numbers: list[int], island: int) -> list[Individual]:
    return [individual(number, island=island) for number in numbers]


@pytest.mark.parametrize("islands", [2, 3, 5])
def test_the_ring(islands: int) -> None:
    assert sorted(source_island(island, islands) for island in range(islands)) == list(range(islands))
    assert source_island(0, islands) == islands - 1


@settings(max_examples=100, deadline=None)
@given(populations, populations, st.integers(0, 8), st.integers(2, 20))
def test_nobody_is_there_twice_and_nobody_is_invented(here: list[int], there: list[int], count: int, size: int) -> None:
    residents, neighbours = people(here, 0), people(there, 1)
    arrivals = migrants(ALGORITHM, residents, neighbours, count)
    assert len(arrivals) <= count
    assert {a.play for a in arrivals}.isdisjoint(resident.play for resident in residents)
    assert set(arrivals) <= set(neighbours)
    parents = parents_after_migration(ALGORITHM, residents, neighbours, count=count, size=size)
    assert len({parent.play for parent in parents}) == len(parents)
    assert {parent.id for parent in parents} <= {person.id for person in (*residents, *neighbours)}
    assert len(parents) <= max(size, len(residents))


def test_the_best_come_and_the_worst_make_room() -> None:
    everybody = people(list(range(40)), 0)
    ranked = select_distinct(ALGORITHM, everybody, 40)
    residents, best = ranked[20:30], ranked[:3]
    moved = [individual(person.child_index, island=1) for person in (*best, *ranked[30:])]
    parents = parents_after_migration(ALGORITHM, residents, moved, count=3, size=10)
    assert {person.play for person in best} <= {parent.play for parent in parents}
    assert len(parents) == 10


def test_without_arrivals_the_parents_keep_their_order() -> None:
    residents = people([3, 1, 2], 0)
    assert parents_after_migration(ALGORITHM, residents, people([1, 2, 3], 1), count=3, size=3) == residents
    assert parents_after_migration(ALGORITHM, residents, people([7, 8], 1), count=0, size=3) == residents
