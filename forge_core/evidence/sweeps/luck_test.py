"""Luck test of a mass test: the whole sweep repeated on mirrored bars, the best parameter set kept each time.

A ranking shows the best of hundreds of parameter sets, so its Sharpe ratio is compared with that of the best of the
same sets in markets without memory: same symbols, intervals, months, costs and options. Each sweep of the test is
written when it ends; killed and run again, the same rows.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from forge_core.errors import ConfigError, StudyError
from forge_core.evidence.searches.luck import LuckResult, luck_result
from forge_core.evidence.sweeps.best_set import MIN_TRADES, best_set, ranked_best
from forge_core.evidence.sweeps.mirrored_series import mirror_series, read_all
from forge_core.evidence.verdict.judge import LEVEL
from forge_core.evolution.spec.evidence import MINIMUM_LUCK
from forge_core.files import content_hash, read_json, write_json
from forge_core.parallelism import worker_count
from forge_core.paths import safe_name
from forge_core.sweeps.pending import is_complete
from forge_core.sweeps.plan import SweepPlan

FORMAT = 1
"""Format of the rows. Raise it with every change of their values, so that older rows are computed again."""

Log = Callable[[str], None]


class SweepLuck(BaseModel):
    """Result of the test: the ``best`` parameter set with its ``sharpe`` a year, and the ``scores`` of the sweeps on
    mirrored bars that count (None: no set had enough trades), ``as_good`` of them with a ratio as high."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sweep: str
    sets: int
    best: str
    sharpe: float
    p: float
    planned: int
    searches: int
    as_good: int
    stopped: bool
    scores: tuple[float | None, ...]

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        word = "luck" if self.p > LEVEL else "better than luck"
        times = "never" if not self.as_good else "once" if self.as_good == 1 else f"{self.as_good} times"
        ended = ", ended early" if self.stopped else ""
        return (
            f"luck test: {word}: on {self.searches} sets of mirrored bars the best of the same {self.sets:,} parameter "
            f"sets was {times} as good as {self.sharpe:.2f} ({self.best}; p = {self.p:.2f}{ended})"
        )


class _Files:
    """Files of one sweep's luck test, ``<home>/mass_tests/luck/<sweep>/<hash of all inputs>``."""

    def __init__(self, plan: SweepPlan) -> None:
        cells = (cell.hash for task in plan.tasks for cell in task.cells)
        self.key = content_hash(str(FORMAT), str(MIN_TRADES), plan.spec.fingerprint, plan.engine, *cells)
        self.folder = plan.home.mass_tests / "luck" / safe_name(plan.spec.name, "sweep name") / self.key

    def row(self, number: int) -> Path:
        return self.folder / f"{number:04d}.json"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def seed(self) -> int:
        return int(self.key, 16)


def read_sweep_luck(plan: SweepPlan) -> SweepLuck | None:
    """Return the result of the luck test of a sweep as it is planned now; None if it was not run."""
    path = _Files(plan).result
    return SweepLuck.model_validate(read_json(path)) if path.is_file() else None


def sweep_luck_test(
    plan: SweepPlan, searches: int = MINIMUM_LUCK, *, threads: int | None = None, log: Log | None = None
) -> SweepLuck:
    """Run the luck test of a finished sweep, or what is missing of it; return its result.

    Ends early once three sweeps on mirrored bars were as good. Raises ConfigError for fewer than 19 ``searches``,
    StudyError if the sweep is not finished, none of its sets has enough trades, or another process runs the test.
    """
    if searches < MINIMUM_LUCK:
        raise ConfigError(f"searches is {searches}: expected {MINIMUM_LUCK} or more, fewer cannot reach 5 %")
    name = plan.spec.name
    unfinished = [task.name for task in plan.tasks if not is_complete(plan, task)]
    if unfinished:
        command = f"FORGE_SWEEP={name} dagster job execute -j mass_test"
        raise StudyError(f"sweep {name!r} is not finished ({unfinished[0]}): run `{command}` first")
    best = ranked_best(plan)
    if best is None:
        raise StudyError(f"sweep {name!r}: no parameter set has {MIN_TRADES} trades, so there is nothing to test")
    files = _Files(plan)
    files.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(files.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StudyError(f"sweep {name!r}: another process runs its luck test; wait for it to end") from None
    try:
        scores, result = _run(plan, files, best.sharpe, searches, threads or worker_count(), log)
    finally:
        lock.release()
    found = SweepLuck(
        sweep=name,
        sets=len(plan.spec.variants),
        best=best.label,
        sharpe=best.sharpe,
        p=result.p,
        planned=searches,
        searches=result.searches,
        as_good=result.as_good,
        stopped=result.stopped,
        scores=tuple(scores[: result.searches]),
    )
    write_json(files.result, found.model_dump(mode="json"))
    return found


def _run(
    plan: SweepPlan, files: _Files, sharpe: float, searches: int, threads: int, log: Log | None
) -> tuple[list[float | None], LuckResult]:
    """Repeat the sweep on mirrored bars until the test is decided; return the ratio of each best set and the result."""
    scores: list[float | None] = []
    real, seconds = None, 0.0
    for number in range(1, searches + 1):
        path, started = files.row(number), time.perf_counter()
        fresh = not path.is_file()
        if fresh:
            real = read_all(plan) if real is None else real
            found = best_set(plan, mirror_series(plan, real, np.random.default_rng([files.seed, number])), threads)
            write_json(path, {"sharpe": found and found.sharpe, "best": found and found.label})
        scores.append(read_json(path)["sharpe"])
        result = luck_result(sharpe, scores, searches)
        if log and fresh:
            seconds = time.perf_counter() - started
            log(_progress(number, searches, scores[-1], sharpe, seconds, result))
        if result is not None:
            return scores, result
    raise AssertionError("the test is decided after the last search")


def _progress(
    number: int, searches: int, score: float | None, sharpe: float, seconds: float, result: LuckResult | None
) -> str:
    best = "no set with enough trades" if score is None else f"best Sharpe ratio {score:.2f}"
    text = f"mirrored sweep {number} of {searches}: {best}, the sweep {sharpe:.2f}; {seconds:.1f} s"
    if result is None:
        return f"{text}, about {seconds * (searches - number):.0f} s left at most"
    return f"{text}; {result.as_good} as good: the luck test ends early" if result.stopped else text
