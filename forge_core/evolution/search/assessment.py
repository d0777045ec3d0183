"""Assessment of genomes: decoding, hash and backtest of each Play that is new, in this process or in forked ones."""

from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from forge_core.evolution.search.evaluation import DailyReturns, Evaluation
from forge_core.evolution.search.genes import Genes
from forge_core.evolution.search.genome import Genome
from forge_core.files import canonical_json
from forge_core.plays.canonical import play_hash
from forge_core.plays.model import Play
from forge_core.plays.writer import play_to_dict

Evaluate = Callable[[Play], tuple[Evaluation, DailyReturns]]


class Assessment(NamedTuple):
    """A genome's Play by its hash; of a new Play also the evaluation, the daily returns and the Play as JSON."""

    play: str
    evaluation: Evaluation | None = None
    daily_returns: DailyReturns = ()
    document: str = ""


class Assessor(Protocol):
    """Decodes genomes and backtests the Plays that are new; results do not depend on how many do it at once."""

    def learn(self, island: int, plays: Iterable[str]) -> None:
        """Take note of hashes of Plays that ``island`` knows, so that they are not backtested for it."""
        ...

    def assess(self, island: int, genomes: Sequence[Genes], known: Container[str]) -> list[Assessment]:
        """Return the assessments of ``genomes`` in order; a Play in ``known`` (hashes) has no evaluation.

        Of genomes with the same new Play the first has its evaluation, others may.
        """
        ...


class LocalAssessor:
    """Assesses in this process: decodes one genome after the other and evaluates their Plays on ``threads`` threads.

    ``documents``: also return each new Play as JSON, for the ledger.
    """

    def __init__(self, genome: Genome, evaluate: Evaluate, *, documents: bool = True, threads: int = 1) -> None:
        self._genome = genome
        self._evaluate = evaluate
        self._documents = documents
        self._threads = threads

    def learn(self, island: int, plays: Iterable[str]) -> None:
        """Do nothing: ``assess`` looks into ``known`` itself."""

    def assess(self, island: int, genomes: Sequence[Genes], known: Container[str]) -> list[Assessment]:
        """Return the assessments of ``genomes``, in order."""
        plays = [self._genome.decode(genes) for genes in genomes]
        hashes = [play_hash(play) for play in plays]
        fresh: dict[str, Play] = {}
        for name, play in zip(hashes, plays, strict=True):
            if name not in known:
                fresh.setdefault(name, play)
        if self._threads > 1:
            with ThreadPoolExecutor(self._threads, "evaluate") as pool:
                results = list(pool.map(self._evaluate, fresh.values()))
        else:
            results = [self._evaluate(play) for play in fresh.values()]
        found = {
            name: Assessment(name, *result, play_document(play) if self._documents else "")
            for (name, play), result in zip(fresh.items(), results, strict=True)
        }
        return [found.pop(name) if name in found else Assessment(name) for name in hashes]


def play_document(play: Play) -> str:
    """Return ``play`` as the JSON text that the ledger stores."""
    return canonical_json(play_to_dict(play))
