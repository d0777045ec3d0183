"""Evaluations of an island's Plays: those of this process in memory, earlier ones in one file per epoch."""

from collections.abc import Iterator, MutableMapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from forge_core.errors import DataError
from forge_core.evolution.search.evaluation import Evaluation
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.evolution.storage.tables import Evaluations, TableFormat
from forge_core.files import write_table


class KnownPlays(MutableMapping[str, Evaluation]):
    """Evaluations by the Play's hash; those from disk are converted to ``Evaluation`` lazily."""

    def __init__(self) -> None:
        self._recent: dict[str, Evaluation] = {}
        self._stored: list[Evaluations] = []
        self._place: dict[str, tuple[int, int]] = {}  # stored table and row of a hash

    def add(self, stored: Evaluations) -> None:
        """Add the evaluations of a table."""
        number = len(self._stored)
        self._stored.append(stored)
        for row, play in enumerate(stored.plays):
            self._place.setdefault(play, (number, row))

    def __contains__(self, play: object) -> bool:
        return play in self._recent or play in self._place

    def __getitem__(self, play: str) -> Evaluation:
        if play not in self._recent:
            number, row = self._place[play]
            self._recent[play] = self._stored[number].evaluation(row)
        return self._recent[play]

    def __setitem__(self, play: str, evaluation: Evaluation) -> None:
        self._recent[play] = evaluation

    def __delitem__(self, play: str) -> None:
        raise TypeError("a Play that was evaluated stays known")

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._place, *self._recent)))

    def __len__(self) -> int:
        return len(self._place.keys() | self._recent.keys())


def read_known_plays(
    tables: TableFormat, folder: StudyFolder, island: int, last: int, epoch_ends: list[int]
) -> KnownPlays:
    """Return the evaluations of all Plays in the tables of ``island`` up to generation ``last``.

    ``epoch_ends`` are the last generations of the epochs. The tables of an epoch that is complete are read once: a file
    beside them then holds each Play of them once. It is derived data: missing, damaged or of another study it is
    written again. So an epoch reads as much whether it is the second or the tenth.
    """
    known = KnownPlays()
    first = 1
    for end in (end for end in epoch_ends if end <= last):
        known.add(_read_epoch(tables, folder, island, first, end))
        first = end + 1
    for generation in range(first, last + 1):
        known.add(tables.evaluations(_read(tables, folder.island_table(island, generation))))
    return known


def _read_epoch(tables: TableFormat, folder: StudyFolder, island: int, first: int, end: int) -> Evaluations:
    path = folder.known_plays(island, first, end)
    try:
        return tables.evaluations(_read(tables, path))
    except (FileNotFoundError, DataError):
        parts = [_read(tables, folder.island_table(island, generation)) for generation in range(first, end + 1)]
        table = pa.concat_tables(parts).combine_chunks()
        _, rows = np.unique(np.array(table["play"].to_pylist()), return_index=True)
        table = table.take(pa.array(np.sort(rows)))
        write_table(path, table)
        return tables.evaluations(table)


def _read(tables: TableFormat, path: Path) -> pa.Table:
    return tables.read(path, tables.evaluation_columns)
