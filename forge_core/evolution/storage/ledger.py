"""Trial ledger: all evaluated Plays, their daily returns, and all holdout evaluations.

A reset archives a study's tables but not the ledger, because statistics that correct for the number of trials need all
of them. Trials are filed under the hash of the study's manifest, so another study of the same name adds to the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock

from forge_core.errors import DamagedFileError
from forge_core.evolution.search.generation import Trial
from forge_core.files import canonical_json, content_hash, read_json, write_json, write_table
from forge_core.metrics.catalog import METRIC_INDEX
from forge_core.paths import Home, safe_name

_TRADES = METRIC_INDEX["total_trades"]


class Ledger:
    """Ledger of one study, identified by the hash of its manifest."""

    def __init__(self, home: Home, study: str, manifest_hash: str) -> None:
        self.root = home.ledger
        self.study = safe_name(study, "study name")
        self.manifest_hash = manifest_hash
        self.folder = self.root / self.study / manifest_hash

    def trials(self, island: int, generation: int) -> Path:
        """The file of the Plays that one generation of one island backtested."""
        return self.folder / f"island={island}" / f"generation={generation:04d}.parquet"

    def write_manifest(self, manifest: Mapping[str, object]) -> None:
        """Write the manifest to the ledger, to identify the trials without the study's folder."""
        path = self.folder / "manifest.json"
        if not path.exists():
            write_json(path, manifest)

    def write_trials(
        self, island: int, generation: int, trials: Sequence[Trial], first_days: Mapping[str, int]
    ) -> None:
        """Record a generation's backtested Plays: hash, Play as JSON, whether every constraint was kept, the first
        objective, and by dataset the closed trades, the daily returns (float32) and the trade date of the first one.

        ``first_days``: that date by train dataset, in days since 1970-01-01; there is one return a trade date from then
        on. The returns and trades of a Play whose evaluation failed are null.
        """
        failed = [not trial.daily_returns for trial in trials]
        columns = {
            "play": pa.array([trial.play_hash for trial in trials], pa.string()),
            "document": pa.array([trial.document for trial in trials], pa.string()),
            "feasible": pa.array([trial.evaluation.feasible for trial in trials], pa.bool_()),
            "objective": pa.array([trial.evaluation.objectives[0] for trial in trials], pa.float64()),
        }
        for i, (name, day) in enumerate(first_days.items()):
            trades = np.array([trial.evaluation.metrics[i, _TRADES] for trial in trials])
            returns = _lists([trial.daily_returns[i] if trial.daily_returns else None for trial in trials])
            columns[f"trades.{name}"] = pa.array(np.nan_to_num(trades), pa.int64(), mask=np.array(failed, np.bool_))
            columns[f"first_day.{name}"] = pa.array([day] * len(trials), pa.int32()).cast(pa.date32())
            columns[f"daily_returns.{name}"] = returns
        write_table(self.trials(island, generation), pa.table(columns))

    def record_holdout_evaluation(self, dataset: str, dataset_hash: str, play_hash: str) -> int:
        """Record the holdout evaluation, before it starts, of ``play_hash`` on a holdout; return its number, from 1.

        Evaluations are counted by dataset, over all studies and versions. The same Play of the same study on the same
        bars keeps its number.
        """
        folder = self.root / "holdout" / safe_name(dataset, "dataset")
        entry = {
            "dataset": dataset,
            "dataset_hash": dataset_hash,
            "study": self.study,
            "manifest_hash": self.manifest_hash,
            "play": play_hash,
        }
        path = folder / f"{content_hash(canonical_json(entry))}.json"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):  # studies that evaluate at once are numbered one after the other
            if path.exists():
                with irreplaceable():
                    recorded = read_json(path)
                return int(recorded["evaluation"] if "evaluation" in recorded else recorded["look"])  # the older key
            number = count_holdout_evaluations(self.root, dataset) + 1
            write_json(path, {**entry, "evaluation": number})
            return number


@contextmanager
def irreplaceable() -> Iterator[None]:
    """Replace the advice of an error about a damaged file of the ledger, which no step writes again."""
    try:
        yield
    except DamagedFileError as error:
        raise DamagedFileError(
            error.path,
            error.fault,
            "restore it from a backup; without one, move it out of the ledger: the Plays or the holdout evaluation it "
            "has recorded are then no longer counted, and later counts are too low",
        ) from error


def count_holdout_evaluations(ledger: Path, dataset: str) -> int:
    """Return the number of evaluations of all studies on a holdout dataset."""
    return sum(1 for _ in (ledger / "holdout" / safe_name(dataset, "dataset")).glob("*.json"))


def _lists(arrays: Sequence[np.ndarray | None]) -> pa.Array:
    """Return a list<float32> array, with null for None."""
    present = [array for array in arrays if array is not None]
    values = np.concatenate(present) if present else np.zeros(0, np.float32)
    lengths = [0 if array is None else array.size for array in arrays]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    missing = pa.array([array is None for array in arrays], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.float32()), mask=missing)
