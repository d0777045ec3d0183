"""Options of the suites: data size and effort."""

from dataclasses import dataclass
from pathlib import Path

OUT = Path(__file__).resolve().parent / "out"


@dataclass(frozen=True)
class Options:
    """``length``: number of SIM bars that replace the default data. Each job runs in ``rounds`` of ``seconds`` each."""

    out: Path = OUT
    length: int | None = None
    rounds: int = 15
    seconds: float = 0.05
    growth: tuple[int, ...] = (10_000, 30_000, 100_000, 300_000, 1_000_000)
    levels: tuple[str, ...] | None = None  # by name; None: all
    cold: bool = True

    @classmethod
    def quick(cls, out: Path = OUT) -> "Options":
        """Return options for a run of about a minute: few rounds, little growth, no cold starts."""
        return cls(out=out, rounds=3, seconds=0.02, growth=(10_000, 100_000), levels=("5 standard",), cold=False)
