"""Where a study's files stand."""

from dataclasses import dataclass
from pathlib import Path

from forge_core.paths import Home


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one study, ``<home>/studies/<study>``; islands and generations are numbered as in the tables."""

    root: Path

    @classmethod
    def of(cls, study: str, home: Home) -> "StudyFolder":
        """Return the folder of ``study``; raises ConfigError for a name that cannot be a folder's."""
        return cls(home.study(study))

    @property
    def manifest(self) -> Path:
        """What the study was begun with."""
        return self.root / "manifest.json"

    @property
    def pareto_front(self) -> Path:
        """The table of the front."""
        return self.root / "pareto_front.parquet"

    @property
    def champion_play(self) -> Path:
        """The champion as a Play that can be traced and traded."""
        return self.root / "champion.yaml"

    @property
    def champion(self) -> Path:
        """The champion's figures, train and holdout; written last, so it marks a study that is complete."""
        return self.root / "champion.json"

    @property
    def run_lock(self) -> Path:
        """The file whose lock is held by a process that runs the whole study by itself."""
        return self.root / ".run.lock"

    @property
    def merge_lock(self) -> Path:
        """The file whose lock is held while generations are merged and recorded."""
        return self.root / ".merge.lock"

    def island(self, island: int) -> Path:
        """The folder of one island."""
        return self.root / f"island={island}"

    def island_lock(self, island: int) -> Path:
        """The file whose lock is held by whoever works on an island."""
        return self.root / f".island={island}.lock"

    def island_table(self, island: int, generation: int) -> Path:
        """The table of one generation of one island."""
        return self.island(island) / f"generation={generation:04d}.parquet"

    def known_plays(self, island: int, first: int, last: int) -> Path:
        """Return the file of the Plays in an island's tables of generations ``first`` to ``last``, each once."""
        return self.island(island) / f".known-{first:04d}-{last:04d}.parquet"

    def generation_table(self, generation: int) -> Path:
        """The table of one generation of all islands."""
        return self.root / "generations" / f"{generation:04d}.parquet"

    def last_generation(self, island: int) -> int:
        """Return the last generation of an island up to which no table is missing; 0 when there is none."""
        generation = 0
        while self.island_table(island, generation + 1).is_file():
            generation += 1
        return generation
