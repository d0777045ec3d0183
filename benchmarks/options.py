"""How thoroughly the suites measure."""

from dataclasses import dataclass
from pathlib import Path

OUT = Path(__file__).resolve().parent / "out"


@dataclass(frozen=True)
class Options:
    """``length``: SIM bars to take, not the usual ones. ``rounds`` of ``seconds`` each are timed for each one."""

    out: Path = OUT
    length: int | None = None
    rounds: int = 15
    seconds: float = 0.05
    growth: tuple[int, ...] = (10_000, 30_000, 100_000, 300_000, 1_000_000)
    levels: tuple[str, ...] | None = None  # by name; None: all
    cold: bool = True

    @classmethod
    def quick(cls, out: Path = OUT) -> "Options":
        """Few rounds, short growth, nothing compiled anew: a minute, not seven."""
        return cls(out=out, rounds=3, seconds=0.02, growth=(10_000, 100_000), levels=("5 standard",), cold=False)
