"""Table of one generation: parents and offspring with genes, metrics and survival, as one Parquet file.

A table has no timestamps and does not depend on threads or processes: the same study always writes the same values.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from forge_core.errors import DataError
from forge_core.evolution.search.evaluation import Evaluation, Objectives
from forge_core.evolution.search.generation import Generation, Individual
from forge_core.evolution.search.genes import Gene
from forge_core.files import canonical_json, content_hash, read_table, write_table
from forge_core.metrics.catalog import METRICS

_MANIFEST = b"forge.manifest"
_GENES = b"forge.genes"
_HYPERVOLUME = b"forge.hypervolume"
_FRONT = b"forge.front"  # losses of the front so far, as JSON

_IDENTITY = [
    pa.field("id", pa.string(), nullable=False),  # unique within the study
    pa.field("born", pa.int32(), nullable=False),  # generation, from 1
    pa.field("island", pa.int32(), nullable=False),  # where it was born, from 0
    pa.field("child_index", pa.int32(), nullable=False),  # child of that generation, from 0
    pa.field("play", pa.string(), nullable=False),  # hash of the Play it decodes to
    pa.field("is_duplicate", pa.bool_(), nullable=False),  # no backtest was run: the Play had been evaluated before
    pa.field("survivor", pa.bool_(), nullable=False),
    pa.field("rank", pa.int32(), nullable=False),  # order among the survivors, -1 for the others
    pa.field("feasible", pa.bool_(), nullable=False),
    pa.field("violation", pa.float64(), nullable=False),  # of all constraints together
    pa.field("error", pa.string()),  # why the evaluation failed
]


@dataclass(frozen=True)
class Evaluations:
    """Evaluations of n Plays: hashes, metrics (n, datasets, metrics), objectives, violations, errors."""

    plays: list[str]
    metrics: np.ndarray
    objectives: np.ndarray
    violations: np.ndarray
    errors: list[str | None]

    def evaluation(self, row: int) -> Evaluation:
        """Return the evaluation of one Play."""
        objectives, violations = self.objectives[row].tolist(), self.violations[row].tolist()
        return Evaluation(self.metrics[row].copy(), tuple(objectives), tuple(violations), self.errors[row])


class TableFormat:
    """Conversion of the generations of one study to tables and back."""

    def __init__(
        self, manifest_hash: str, genes: Sequence[Gene], datasets: Sequence[str], objectives: Objectives
    ) -> None:
        self.manifest_hash = manifest_hash
        self.objectives = [f"objective.{objective.name}" for objective in objectives.terms]
        self.constraints = [f"constraint.{constraint.name}" for constraint in objectives.constraints]
        names = [*(metric.name for metric in METRICS), *objectives.own]
        self.metrics = [f"{dataset}.{name}" for dataset in datasets for name in names]
        self.genes = [gene.name for gene in genes]
        self._shape = (len(datasets), len(names))
        self.evaluation_columns = ["play", "error", *self.objectives, *self.constraints, *self.metrics]
        # "element" is what Parquet calls the items of a list
        self._genes_type = pa.list_(pa.field("element", pa.int16()), len(self.genes))
        self.schema = pa.schema(
            [
                *_IDENTITY,
                *(pa.field(name, pa.float64(), nullable=False) for name in (*self.objectives, *self.constraints)),
                *(pa.field(name, pa.float64()) for name in self.metrics),
                # one list in the order of the schema's own list of names: a column a gene would double the cost
                pa.field("genes", self._genes_type, nullable=False),
            ],
            metadata={_MANIFEST: manifest_hash.encode(), _GENES: canonical_json(self.genes).encode()},
        )

    def table(self, generation: Generation, parents: Sequence[Individual]) -> pa.Table:
        """Return the table of a generation: parents, then children, in order."""
        position = {individual.id: place for place, individual in enumerate(generation.survivors)}
        rows = [*parents, *generation.offspring]
        places = np.array([position.get(row.id, -1) for row in rows], np.int32)
        metrics = np.array([row.evaluation.metrics.ravel() for row in rows])
        values = np.array([(*row.objectives, *row.evaluation.violations) for row in rows])
        genes = np.array([row.genes for row in rows], np.int16)
        columns = [
            [row.id for row in rows],
            [row.born for row in rows],
            [row.island for row in rows],
            [row.child_index for row in rows],
            [row.play for row in rows],
            [row.is_duplicate for row in rows],
            places >= 0,
            places,
            [row.evaluation.feasible for row in rows],
            [row.violation for row in rows],
            [row.evaluation.error for row in rows],
            *np.ascontiguousarray(values.T),
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self.schema, strict=False)]
        arrays += [pa.array(column, pa.float64(), from_pandas=True) for column in np.ascontiguousarray(metrics.T)]
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(genes.ravel()), type=self._genes_type))
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def write(self, path: Path, table: pa.Table) -> None:
        """Write a table of this study atomically."""
        write_table(path, table)

    def write_merged(self, path: Path, table: pa.Table, hypervolume: float, front: np.ndarray) -> None:
        """Write a merged table with the study's ``hypervolume`` and the losses (n, m) of its ``front`` so far."""
        facts = {_HYPERVOLUME: repr(float(hypervolume)).encode(), _FRONT: canonical_json(front.tolist()).encode()}
        self.write(path, table.replace_schema_metadata({**(table.schema.metadata or {}), **facts}))

    def read(self, path: Path, columns: list[str] | None = None) -> pa.Table:
        """Read a table of this study, or some of its ``columns``.

        Raises DataError naming the file when it is damaged or of another study or version, and FileNotFoundError when
        it is not there.
        """
        table = read_table(path, columns)
        wanted = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        if (table.schema.metadata or {}).get(_MANIFEST) != self.manifest_hash.encode() or table.schema != wanted:
            raise DataError(
                f"{path} was not written by this study as its manifest describes it; delete it and run the study again"
            )
        return table

    def individuals(self, table: pa.Table) -> list[Individual]:
        """Return the individuals of a table, in the order of its rows."""
        genes = table["genes"].to_pylist()
        evaluations = self.evaluations(table)
        identity = table.select(["born", "island", "child_index", "play", "is_duplicate"]).to_pylist()
        return [
            Individual(
                row["born"],
                row["island"],
                row["child_index"],
                tuple(genes[i]),
                row["play"],
                evaluations.evaluation(i),
                row["is_duplicate"],
            )
            for i, row in enumerate(identity)
        ]

    def evaluations(self, table: pa.Table) -> Evaluations:
        """Return the evaluations of a table, in the order of its rows; it needs only ``evaluation_columns``."""
        return Evaluations(
            table["play"].to_pylist(),
            _matrix(table, self.metrics).reshape(table.num_rows, *self._shape),
            _matrix(table, self.objectives),
            _matrix(table, self.constraints),
            table["error"].to_pylist(),
        )

    def survivors(self, table: pa.Table) -> list[Individual]:
        """Return the survivors of a table in their order: the parents of the next generation, migrants apart."""
        chosen = table.filter(table["survivor"]).sort_by("rank")
        return self.individuals(chosen)


def rewrite_manifest(path: Path, target: Path, manifest_hash: str) -> None:
    """Copy a table of a study to ``target`` for a study with another manifest; rows and other metadata are the same."""
    table = read_table(path)
    metadata = {**(table.schema.metadata or {}), _MANIFEST: manifest_hash.encode()}
    write_table(target, table.replace_schema_metadata(metadata))


def read_hypervolume(path: Path) -> float:
    """Return the hypervolume in a merged table's metadata.

    Raises DataError naming the file when it has none or is damaged, and FileNotFoundError when it is not there.
    """
    return float(_merged_metadata(path, _HYPERVOLUME, "hypervolume"))


def read_front_losses(path: Path) -> np.ndarray:
    """Return the losses (n, m) of the front so far in a merged table's metadata; raises as ``read_hypervolume``."""
    rows = json.loads(_merged_metadata(path, _FRONT, "front so far"))
    return np.array(rows, np.float64).reshape(len(rows), len(rows[0]) if rows else 0)


def _merged_metadata(path: Path, key: bytes, what: str) -> bytes:
    metadata = read_table(path, []).schema.metadata or {}
    if key not in metadata:
        raise DataError(f"{path} has no {what} in its metadata; delete it and run the study again")
    return bytes(metadata[key])


def table_hash(table: pa.Table) -> str:
    """Return a hash of a table's columns and values, independent of the file's encoding."""
    parts: list[bytes | str] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        parts += [name, str(column.type)]
        if pa.types.is_date32(column.type):
            column = column.cast(pa.int32())
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            parts += [column.is_null().to_numpy().tobytes(), column.fill_null(0).to_numpy().tobytes()]
        else:
            parts.append(canonical_json(column.to_pylist()))
    return content_hash(*parts)


def _matrix(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """Return columns as one float64 array (rows, columns), null as NaN."""
    matrix = np.empty((table.num_rows, len(names)))
    for i, name in enumerate(names):
        matrix[:, i] = table[name].to_numpy(zero_copy_only=False)
    return matrix
