"""One unit of work for a worker, JSON-serializable."""

from dataclasses import dataclass

from forge_core.engine.costs import Costs
from forge_core.plays.model import Play
from forge_core.plays.parser import parse_play

CASH = 1_000_000.0  # one bitcoin is always affordable: no order is cut or refused


@dataclass(frozen=True)
class Job:
    """One engine, one Play, one dataset.

    ``play`` is YAML. ``commission_bps`` is paid per side; None means the instrument's own costs (Forge only).
    ``metrics``: "all" (Forge's metrics, as far as the engine has them), "own" (the engine's standard report), "none"
    (trades and equity only) or "columns" (floor only: reads the Play's columns as well). ``new_play``: every run gets a
    Play without bytecode, none of whose rules is cached (Forge only).
    """

    engine: str
    dataset: str
    version: str
    play: str
    commission_bps: float | None = 10.0
    metrics: str = "all"
    new_play: bool = False

    def parsed_play(self) -> Play:
        """The Play of the job."""
        return parse_play(self.play, "benchmark")

    def costs(self) -> Costs | None:
        """The costs of the job."""
        return None if self.commission_bps is None else Costs(commission_bps=self.commission_bps)
