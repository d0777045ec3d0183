"""What a worker is asked to run, as JSON can carry it."""

from dataclasses import dataclass

from forge_core.engine.costs import Costs
from forge_core.plays.model import Play
from forge_core.plays.parser import parse_play

CASH = 1_000_000.0  # one bitcoin is always affordable, so that no order is ever cut or refused


@dataclass(frozen=True)
class Job:
    """One contestant, one Play, one dataset.

    ``play`` is YAML. ``commission_bps`` is paid per side; None means the instrument's own costs (Forge alone).
    ``metrics``: "all" (those that Forge has, as far as a peer has them), "own" (the peer's own standard report) or
    "none" (the trades and the equity they lead to). ``new_play``: a Play that has never run, each time (Forge alone).
    """

    contestant: str
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
