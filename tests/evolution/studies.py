"""Small studies for the tests, and their runs."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from forge_core.evolution.spec.study import StudySpec
from forge_core.evolution.storage.tables import table_hash


def small_spec(name: str, **changes: Any) -> StudySpec:
    """A study of 9 Plays on 2 islands, 4 generations on two short datasets; a second or less.

    ``reference`` and ``results`` alone have a holdout, so that no other study is evaluated on it.
    """
    spec = {
        "name": name,
        "train": ["SP500_BEAR_2008", "SP500_BULL_2013"],
        "holdout": ["SP500_BULL_2003"] if name in ("reference", "results") else [],
        "timeframe": "1d",
        "space": {"level": 2, "indicators": ["ema", "rsi", "macd"]},
        "objectives": "risk_adjusted",
        "constraints": {"min_trades": 3},
        "population": 9,
        "generations": 4,
        "epochs": 2,
        "islands": 2,
        "migrants": 2,
        "seed": 11,
    }
    return StudySpec.model_validate(spec | changes)


def content(folder: Path) -> dict[str, str]:
    """Return every file a study leaves behind, by path: a table's values, another file's bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            name = str(path.relative_to(folder))
            is_table = path.suffix == ".parquet"
            found[name] = table_hash(pq.read_table(path, partitioning=None)) if is_table else path.read_text()
    return found
