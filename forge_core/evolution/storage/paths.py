"""Paths of a study's files."""

from dataclasses import dataclass
from pathlib import Path

from forge_core.paths import Home


@dataclass(frozen=True)
class StudyFolder:
    """Folder of one study, ``<home>/studies/<study>``; islands and generations are numbered as in the tables."""

    root: Path

    @classmethod
    def of(cls, study: str, home: Home) -> "StudyFolder":
        """Return the folder of ``study``; raise ConfigError for an invalid folder name."""
        return cls(home.study(study))

    @property
    def manifest(self) -> Path:
        """Manifest with the pinned inputs of the study."""
        return self.root / "manifest.json"

    @property
    def pareto_front(self) -> Path:
        """The table of the front."""
        return self.root / "pareto_front.parquet"

    @property
    def champion_play(self) -> Path:
        """The champion's Play as YAML."""
        return self.root / "champion.yaml"

    @property
    def champion(self) -> Path:
        """The champion's figures, train and holdout; written last, so it marks a complete study."""
        return self.root / "champion.json"

    @property
    def run_lock(self) -> Path:
        """Lock file of a process that runs the whole study."""
        return self.root / ".run.lock"

    @property
    def merge_lock(self) -> Path:
        """Lock file for merging and recording generations."""
        return self.root / ".merge.lock"

    def island(self, island: int) -> Path:
        """The folder of one island."""
        return self.root / f"island={island}"

    def island_lock(self, island: int) -> Path:
        """Lock file of an island."""
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
        """Return the last generation of an island without a missing table before it; 0 if there is none."""
        generation = 0
        while self.island_table(island, generation + 1).is_file():
            generation += 1
        return generation
