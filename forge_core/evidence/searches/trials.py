"""How many Plays were tried on a dataset, over all studies: what the luck line counts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forge_core.errors import DataError
from forge_core.evolution.storage.ledger import irreplaceable
from forge_core.files import read_json, read_table
from forge_core.paths import Home


def trading_trials(dataset_hash: str, home: Home) -> int:
    """Return how many distinct Plays that ever traded the ledger holds for one dataset version, archived studies
    included."""
    plays: set[str] = set()
    for manifest in sorted(home.ledger.glob("*/*/manifest.json")):
        try:
            with irreplaceable():
                document = read_json(manifest)
            train = [name for name in document["study"]["train"] if document["datasets"][name]["hash"] == dataset_hash]
        except (KeyError, TypeError) as error:
            raise DataError(f"{manifest} is damaged ({error!r}); delete its folder {manifest.parent}") from error
        for name in train:
            for path in manifest.parent.glob("island=*/generation=*.parquet"):
                with irreplaceable():
                    plays |= _trading(path, name)
    return len(plays)


def _trading(path: Path, dataset: str) -> set[str]:
    """Return the Plays of one file of the ledger that traded on ``dataset``."""
    names = pq.read_schema(path).names
    if f"trades.{dataset}" in names:
        table = read_table(path, ["play", f"trades.{dataset}"])
        kept = pc.greater(pc.fill_null(table[f"trades.{dataset}"], 0), 0)
        return set(table.filter(kept)["play"].to_pylist())
    column = f"daily_returns.{dataset}"  # of an older ledger: a Play whose every day is 0 never traded
    table = read_table(path, ["play", column])
    lists = table[column].combine_chunks()
    moved = np.array([bool(len(row)) and bool(np.any(row)) for row in _rows(lists)], np.bool_)
    return set(table.filter(pa.array(moved))["play"].to_pylist())


def _rows(lists: pa.ListArray) -> list[np.ndarray]:
    values = np.asarray(lists.values)
    offsets = np.asarray(lists.offsets)
    valid = np.asarray(lists.is_valid())
    return [values[a:b] if ok else values[:0] for a, b, ok in zip(offsets, offsets[1:], valid, strict=False)]
