"""SQL views and the files or tables that they read.

All views except the store's are over files that are replaced atomically, so they are readable while runs write.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from forge_core.evolution.storage.ledger import irreplaceable
from forge_core.files import read_json
from forge_core.market.datasets.versions import MANIFEST, bars_file, latest_hash
from forge_core.market.store.upsert import BARS, FUNDING, Table
from forge_core.paths import Home
from forge_core.sql.parquet_view import CheckedFiles, parquet_dataset

STORE = "store"  # catalog name of the attached store

_BAR_TYPES = "open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE"


@dataclass(frozen=True)
class View:
    """One view: description, columns when it is empty, and the function that creates it on a connection.

    Views with ``of_store`` need a connection with the store attached.
    """

    name: str
    description: str
    columns: str
    create: Callable[[duckdb.DuckDBPyConnection, Home, "View", CheckedFiles], None]
    of_store: bool = False


def _create_empty(connection: duckdb.DuckDBPyConnection, view: View) -> None:
    connection.execute(f"CREATE VIEW {view.name} AS SELECT {_nulls(view)} WHERE false")


def _nulls(view: View) -> str:
    return ", ".join(f'NULL::{type_} AS "{name}"' for name, type_ in (c.rsplit(" ", 1) for c in _split(view.columns)))


def _schema(connection: duckdb.DuckDBPyConnection, view: View) -> pa.Schema:
    """Return the columns of an empty view."""
    return connection.sql(f"SELECT {_nulls(view)} WHERE false").to_arrow_table().schema


def _split(columns: str) -> list[str]:
    return [column.strip() for column in columns.split(",") if column.strip()]


def _of_store(table: str) -> Callable[[duckdb.DuckDBPyConnection, Home, View, CheckedFiles], None]:
    def create(connection: duckdb.DuckDBPyConnection, home: Home, view: View, checked: CheckedFiles) -> None:
        found = connection.execute(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND table_name = ?", [STORE, table]
        ).fetchall()
        if found:
            connection.execute(f"CREATE VIEW {view.name} AS SELECT * FROM {STORE}.{table}")
        else:
            _create_empty(connection, view)

    return create


def _of_files(
    find: Callable[[Home], Iterator[tuple[Path, dict[str, Any]]]], facts: str = "", select: str = "*"
) -> Callable[[duckdb.DuckDBPyConnection, Home, View, CheckedFiles], None]:
    """Return a function that creates a view of Parquet files, with the columns ``facts`` before those of the file."""

    def create(connection: duckdb.DuckDBPyConnection, home: Home, view: View, checked: CheckedFiles) -> None:
        files = list(find(home))
        if not files:
            _create_empty(connection, view)
            return
        usual = _schema(connection, view)
        first = pa.schema([usual.field(name) for name in _split(facts)])
        connection.register(f"{view.name}_files", parquet_dataset(files, first, usual, checked))
        connection.execute(f"CREATE VIEW {view.name} AS SELECT {select} FROM {view.name}_files")

    return create


def _manifests(home: Home) -> Iterator[tuple[Path, dict[str, Any], bool]]:
    """Yield the folder and manifest of each dataset version, and whether it is the latest."""
    for folder in sorted(path for path in (home.root / "datasets").glob("*") if path.is_dir()):
        manifests = {
            path.parent.name: read_json(path)
            for path in sorted(folder.glob(f"*/{MANIFEST}"))
            if not path.parent.name.startswith(".")
        }
        latest = latest_hash(folder, manifests)
        for version, manifest in manifests.items():
            yield folder / version, manifest, version == latest


def _create_datasets(connection: duckdb.DuckDBPyConnection, home: Home, view: View, checked: CheckedFiles) -> None:
    rows = []
    for folder, manifest, latest in _manifests(home):
        for timeframe, entry in manifest["timeframes"].items():
            rows.append(
                {
                    "dataset": manifest["name"],
                    "version": folder.name,
                    "latest": latest,
                    "symbol": manifest["symbol"],
                    "regime": manifest["regime"],
                    "start": _naive(manifest["start"]),
                    "end": _naive(manifest["end"]),
                    "timeframe": timeframe,
                    "rows": entry["rows"],
                    "lead_in_rows": entry["lead_in_rows"],
                    "first": _naive(entry["first"]),
                    "last": _naive(entry["last"]),
                    "origin": entry["origin"],
                    "gaps": entry["gaps"]["count"],
                    "missing": entry["gaps"]["missing"],
                }
            )
    schema = _schema(connection, view)
    table = pa.Table.from_pylist(rows, schema=schema)
    connection.register("dataset_rows", table)
    connection.execute("CREATE TABLE dataset_table AS SELECT * FROM dataset_rows")
    connection.execute(f"CREATE VIEW {view.name} AS SELECT * FROM dataset_table")


def _naive(text: str) -> Any:
    return pd.Timestamp(text).tz_convert("UTC").tz_localize(None).to_pydatetime()


def _bar_files(home: Home) -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder, manifest, latest in _manifests(home):
        for timeframe in manifest["timeframes"]:
            facts = {"dataset": manifest["name"], "version": folder.name, "latest": latest, "timeframe": timeframe}
            yield folder / bars_file(timeframe), facts


def _generation_files(home: Home) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((home.root / "studies").glob("*/generations/*.parquet")):
        if path.stem.isdigit():
            yield path, {"study": path.parts[-3], "generation": int(path.stem)}


def _front_files(home: Home) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((home.root / "studies").glob("*/pareto_front.parquet")):
        yield path, {"study": path.parts[-2]}


def _trial_files(home: Home) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(home.ledger.glob("*/*/island=*/generation=*.parquet")):
        study, manifest, island, generation = path.parts[-4:]
        yield (
            path,
            {
                "study": study,
                "manifest": manifest,
                "island": int(island.split("=")[1]),
                "generation": int(generation.split("=")[1].split(".")[0]),
            },
        )


def _create_study_datasets(
    connection: duckdb.DuckDBPyConnection, home: Home, view: View, checked: CheckedFiles
) -> None:
    rows = []
    for path in sorted(home.ledger.glob(f"*/*/{MANIFEST}")):
        with irreplaceable():
            manifest, (study, manifest_hash) = read_json(path), path.parts[-3:-1]
        for role in ("train", "holdout"):
            for dataset in manifest["study"][role]:
                version = manifest["datasets"][dataset]["hash"]
                rows.append((study, manifest_hash, dataset, version, role))
    schema = _schema(connection, view)
    table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
    connection.register("study_dataset_rows", table)
    connection.execute("CREATE TABLE study_dataset_table AS SELECT * FROM study_dataset_rows")
    connection.execute(f"CREATE VIEW {view.name} AS SELECT * FROM study_dataset_table")


def _evidence_files(table: str) -> Callable[[Home], Iterator[tuple[Path, dict[str, Any]]]]:
    def find(home: Home) -> Iterator[tuple[Path, dict[str, Any]]]:
        for path in sorted((home.root / "studies").glob(f"*/evidence/{table}")):
            yield path, {"study": path.parts[-3]}

    return find


def _create_verdicts(connection: duckdb.DuckDBPyConnection, home: Home, view: View, checked: CheckedFiles) -> None:
    from forge_core.evidence.verdict.document import Evidence  # imports the engine: only for queries of this view

    rows = []
    for path in sorted((home.root / "studies").glob("*/evidence/verdict.json")):
        evidence = Evidence.read(read_json(path))
        if evidence is None:  # of another format: `make prove` writes it again
            continue
        luck, walk, held = evidence.luck, evidence.walk_forward, evidence.holdout
        rows.append(
            {
                "study": evidence.study,
                "manifest": evidence.manifest_hash,
                "play": evidence.play,
                "verdict": evidence.verdict,
                "sentence": evidence.sentence,
                "score": evidence.score,
                "luck_p": luck and luck.p,
                "luck_searches": luck and luck.searches,
                "luck_as_good": luck and luck.as_good,
                "walk_forward_sharpe": walk and walk.sharpe,
                "walk_forward_p": walk and walk.p,
                "holdout_sharpe": held and held.sharpe,
                "holdout_p": held and held.p,
                "holdout_evaluation": held and held.evaluation,
                "weaknesses": "; ".join(evidence.weaknesses),
            }
        )
    table = pa.Table.from_pylist(rows, schema=_schema(connection, view))
    connection.register("verdict_rows", table)
    connection.execute("CREATE TABLE verdict_table AS SELECT * FROM verdict_rows")
    connection.execute(f"CREATE VIEW {view.name} AS SELECT * FROM verdict_table")


def _mass_test_files(home: Home) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((home.mass_tests / "results").glob("*/*/*.parquet")):
        if not path.name.startswith("."):
            yield path, {}


def _ranking_files(home: Home) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((home.mass_tests / "rankings").glob("*/ranking.parquet")):
        yield path, {"sweep": path.parts[-2]}


def _columns(table: Table, *, revisions: bool = False) -> str:
    keys = ", ".join(f"{name} VARCHAR" for name in table.keys)
    values = ", ".join(f"{name} DOUBLE" for name in table.columns)
    replaced = ", replaced_by VARCHAR, replaced_at TIMESTAMP" if revisions else ""
    return f"{keys}, timestamp TIMESTAMP, {values}, source VARCHAR{replaced}"


_UTC = "* REPLACE (timestamp AT TIME ZONE 'UTC' AS timestamp)"

VIEWS: Sequence[View] = (
    View("bars", "bars of the store", _columns(BARS), _of_store("bars"), of_store=True),
    View("funding", "funding rates of the store", _columns(FUNDING), _of_store("funding"), of_store=True),
    View(
        "revisions",
        "replaced bars of the store, with their old values",
        _columns(BARS, revisions=True),
        _of_store("revisions"),
        of_store=True,
    ),
    View(
        "funding_revisions",
        "replaced funding rates, with their old values",
        _columns(FUNDING, revisions=True),
        _of_store("funding_revisions"),
        of_store=True,
    ),
    View(
        "datasets",
        "one row per version and timeframe of each dataset",
        "dataset VARCHAR, version VARCHAR, latest BOOLEAN, symbol VARCHAR, regime VARCHAR, start TIMESTAMP, "
        "end TIMESTAMP, timeframe VARCHAR, rows BIGINT, lead_in_rows BIGINT, first TIMESTAMP, last TIMESTAMP, "
        "origin VARCHAR, gaps BIGINT, missing BIGINT",
        _create_datasets,
    ),
    View(
        "dataset_bars",
        "bars of all versions of the datasets, lead-in included",
        f"dataset VARCHAR, version VARCHAR, latest BOOLEAN, timeframe VARCHAR, timestamp TIMESTAMP, {_BAR_TYPES}",
        _of_files(_bar_files, "dataset, version, latest, timeframe", _UTC),
    ),
    View(
        "generations",
        "individuals of all studies, by generation: metrics as `<dataset>.<metric>`, objectives, fate",
        "study VARCHAR, generation BIGINT, id VARCHAR, born INTEGER, island INTEGER, play VARCHAR, survivor BOOLEAN, "
        "feasible BOOLEAN",
        _of_files(_generation_files, "study, generation"),
    ),
    View(
        "fronts",
        "Pareto fronts of all studies",
        "study VARCHAR, id VARCHAR, play VARCHAR",
        _of_files(_front_files, "study"),
    ),
    View(
        "trials",
        "trial ledger: every backtested Play, its document, trades and daily returns",
        "study VARCHAR, manifest VARCHAR, island BIGINT, generation BIGINT, play VARCHAR, document VARCHAR, "
        "feasible BOOLEAN, objective DOUBLE",
        _of_files(_trial_files, "study, manifest, island, generation"),
    ),
    View(
        "study_datasets",
        "datasets of every study in the ledger, with the version pinned at its start",
        "study VARCHAR, manifest VARCHAR, dataset VARCHAR, version VARCHAR, role VARCHAR",
        _create_study_datasets,
    ),
    View(
        "verdicts",
        "verdict on the champion of every study that was proven, with what it rests on",
        "study VARCHAR, manifest VARCHAR, play VARCHAR, verdict VARCHAR, sentence VARCHAR, score DOUBLE, "
        "luck_p DOUBLE, luck_searches BIGINT, luck_as_good BIGINT, walk_forward_sharpe DOUBLE, walk_forward_p DOUBLE, "
        "holdout_sharpe DOUBLE, holdout_p DOUBLE, holdout_evaluation BIGINT, weaknesses VARCHAR",
        _create_verdicts,
    ),
    View(
        "luck_searches",
        "searches of the luck tests: the score each found in a market without memory",
        "study VARCHAR, search BIGINT, score DOUBLE, as_good BOOLEAN, play VARCHAR, evaluated BIGINT",
        _of_files(_evidence_files("luck_test.parquet"), "study"),
    ),
    View(
        "walk_forward_windows",
        "walk-forward windows: trade dates searched and traded, and what the champion of each earned",
        "study VARCHAR, window BIGINT, train_first DATE, train_last DATE, test_first DATE, test_last DATE, "
        "play VARCHAR, train_sharpe DOUBLE, test_sharpe DOUBLE, test_return DOUBLE, trades BIGINT, "
        "random_test_sharpe DOUBLE",
        _of_files(_evidence_files("walk_forward.parquet"), "study"),
    ),
    View(
        "mass_tests",
        "results of mass tests, one row per test",
        "month VARCHAR, symbol VARCHAR, interval VARCHAR, strategy VARCHAR, parameters VARCHAR, error VARCHAR",
        _of_files(_mass_test_files),
    ),
    View(
        "rankings",
        "rankings of the sweeps",
        "sweep VARCHAR, strategy VARCHAR",
        _of_files(_ranking_files, "sweep"),
    ),
)
