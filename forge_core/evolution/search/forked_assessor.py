"""Assessment of genomes in forked processes: genes to them and results back through shared memory."""

from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forge_core.evolution.search.assessment import Assessment, Assessor, LocalAssessor, play_document
from forge_core.evolution.search.evaluation import Evaluation, Evaluator
from forge_core.evolution.search.genes import Genes
from forge_core.evolution.search.genome import Genome
from forge_core.forked_workers import ForkedWorkers, can_fork, shared_array
from forge_core.metrics.catalog import METRICS
from forge_core.plays.canonical import play_hash

_KNOWN, _EVALUATED, _FAILED = 1, 2, 3
_ERROR_BYTES = 1_200  # 300 characters
_DOCUMENT_BYTES = 2**15  # pages that no document reaches are never allocated
_TABLE_SIZE = 2**20  # of known hashes: 8 MB
_ISLAND_SALT = 0x9E3779B97F4A7C15  # an odd number of 64 bits without a pattern (the golden ratio's)
_WORD = 2**64 - 1


class SharedHashes:
    """Set of 64-bit numbers in shared memory, with open addressing; at half its size it stops taking more.

    One process adds while no other looks.
    """

    def __init__(self, size: int = _TABLE_SIZE) -> None:
        self._places = shared_array((size,), np.uint64)
        self._mask = size - 1
        self._left = size // 2

    def add(self, number: int) -> None:
        """Add a number that is not 0, unless the set is full."""
        place = number & self._mask
        while (found := int(self._places[place])) and found != number:
            place = (place + 1) & self._mask
        if not found and self._left:
            self._places[place] = number
            self._left -= 1

    def __contains__(self, number: int) -> bool:
        place = number & self._mask
        while found := int(self._places[place]):
            if found == number:
                return True
            place = (place + 1) & self._mask
        return False


def open_assessor(
    genome: Genome,
    evaluator: Evaluator,
    workers: int,
    size: int,
    *,
    documents: bool = True,
    meanwhile: Callable[[], None] | None = None,
    name: str,
) -> AbstractContextManager[Assessor]:
    """Return the assessor of batches of ``size`` genomes: in ``workers`` processes, or in this one if that is 1.

    Where processes cannot be forked, ``workers`` are threads, which share one interpreter: only kernels run at once.
    """
    if workers > 1 and can_fork():
        return ForkedAssessor(genome, evaluator, workers, size, documents=documents, meanwhile=meanwhile, name=name)
    return nullcontext(LocalAssessor(genome, evaluator.evaluate, documents=documents, threads=workers))


class ForkedAssessor:
    """Assesses genomes in ``workers`` processes that are forked on entry; use it as a context manager.

    ``size`` is the number of genomes of a batch. A worker decodes a genome, skips a Play that the island knows, and
    backtests it; this process only copies the results, and calls ``meanwhile`` while it waits for them.
    """

    def __init__(
        self,
        genome: Genome,
        evaluator: Evaluator,
        workers: int,
        size: int,
        *,
        documents: bool = True,
        meanwhile: Callable[[], None] | None = None,
        name: str,
    ) -> None:
        self._meanwhile = meanwhile
        self._genome = genome
        self._evaluator = evaluator
        self._documents = documents
        self._local = LocalAssessor(genome, evaluator.evaluate, documents=documents)
        self._size = size
        objectives = evaluator.objectives
        self._days = [feed.days for feed in evaluator.feeds.values()]
        self._returned = np.cumsum([0, *self._days])
        for feed in evaluator.feeds.values():
            _ = feed.bars  # computed once and shared
        self._known = SharedHashes()
        self._batch = shared_array((1,), np.uint64)  # the island's salt
        self._genes = shared_array((size, len(genome.genes)), np.int16)
        self._status = shared_array((size,), np.int64)
        self._hashes = shared_array((size,), np.uint64)
        self._metrics = shared_array((size, len(self._days), len(METRICS) + len(objectives.own)), np.float64)
        self._objectives = shared_array((size, len(objectives.terms)), np.float64)
        self._violations = shared_array((size, len(objectives.constraints)), np.float64)
        self._returns = shared_array((size, int(self._returned[-1])), np.float32)
        self._errors = _Texts(size, _ERROR_BYTES)
        self._plays = _Texts(size, _DOCUMENT_BYTES)
        self._workers = ForkedWorkers(workers, self._work, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.close()

    @property
    def processes(self) -> list[int]:
        """The ids of the workers."""
        return self._workers.processes

    def learn(self, island: int, plays: Iterable[str]) -> None:
        """Add hashes to those that the workers do not backtest for ``island``."""
        salt = _salt(island)
        for play in plays:
            self._known.add((int(play, 16) ^ salt) or 1)

    def assess(self, island: int, genomes: Sequence[Genes], known: Container[str]) -> list[Assessment]:
        """Return the assessments of ``genomes``, in order."""
        found: list[Assessment] = []
        for begin in range(0, len(genomes), self._size):
            part = genomes[begin : begin + self._size]
            self._batch[0] = _salt(island)
            self._genes[: len(part)] = part
            self._workers.run(len(part), self._meanwhile)
            found += self._collect(island, part, known)
        return found

    def _collect(self, island: int, genomes: Sequence[Genes], known: Container[str]) -> list[Assessment]:
        count = len(genomes)
        metrics, returns = self._metrics[:count].copy(), self._returns[:count].copy()
        objectives, violations = self._objectives[:count].tolist(), self._violations[:count].tolist()
        status, salt = self._status[:count].tolist(), _salt(island)
        parts = list(pairwise(self._returned.tolist()))  # of a row of returns, one for each dataset
        found = []
        for row, number in enumerate(self._hashes[:count].tolist()):
            play = f"{number:016x}"
            if status[row] == _KNOWN:
                if play not in known:  # two hashes that differ by the salts of two islands
                    found += self._local.assess(island, genomes[row : row + 1], known)
                    continue
                found.append(Assessment(play))
                continue
            failed = status[row] == _FAILED
            error = self._errors.read(row) if failed else None
            daily = () if failed else tuple(returns[row, begin:end] for begin, end in parts)
            document = self._plays.read(row) if self._documents else ""
            if document is None:
                document = play_document(self._genome.decode(genomes[row]))
            evaluation = Evaluation(metrics[row], tuple(objectives[row]), tuple(violations[row]), error)
            found.append(Assessment(play, evaluation, daily, document))
            self._known.add((number ^ salt) or 1)
        return found

    def _work(self, row: int) -> None:
        """Assess the genome of ``row``, in a worker."""
        play = self._genome.decode(self._genes[row].tolist())
        number = int(play_hash(play), 16)
        self._hashes[row] = number
        if ((number ^ int(self._batch[0])) or 1) in self._known:
            self._status[row] = _KNOWN
            return
        evaluation, daily = self._evaluator.evaluate(play)
        self._metrics[row] = evaluation.metrics
        self._objectives[row] = evaluation.objectives
        self._violations[row] = evaluation.violations
        if evaluation.error is None:
            np.concatenate(daily, out=self._returns[row])
        else:
            self._errors.write(row, evaluation.error)
        if self._documents:
            self._plays.write(row, play_document(play))
        self._status[row] = _EVALUATED if evaluation.error is None else _FAILED


class _Texts:
    """Texts of up to ``size`` bytes in shared memory."""

    def __init__(self, count: int, size: int) -> None:
        self._lengths = shared_array((count,), np.int64)
        self._bytes: NDArray[Any] = shared_array((count, size), np.uint8)

    def write(self, row: int, text: str) -> None:
        """Store a text, or that it is too long."""
        encoded = text.encode()
        fits = len(encoded) <= self._bytes.shape[1]
        self._lengths[row] = len(encoded) if fits else -1
        if fits:
            self._bytes[row, : len(encoded)] = np.frombuffer(encoded, np.uint8)

    def read(self, row: int) -> str | None:
        """Return the text, None where it was too long."""
        length = int(self._lengths[row])
        return None if length < 0 else self._bytes[row, :length].tobytes().decode()


def _salt(island: int) -> int:
    return island * _ISLAND_SALT & _WORD
