"""Searches of evidence as tasks: each row is written when its search ends, and a killed run resumes with the same rows.

Any number of processes may run tasks at the same time. A process holds the lock of a task's file, which the operating
system releases when the process ends. A row depends on the study and the task's number only.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from forge_core.errors import StudyError
from forge_core.evidence.searches.luck import LuckResult, luck_result, luck_search
from forge_core.evidence.searches.rows import Row, SearchRow, WindowRow, read_row, row_document
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.walk_forward import Window, WindowResult, make_windows, run_window
from forge_core.files import read_json, write_json
from forge_core.parallelism import workers_per_task

Kind = Literal["luck", "window", "drawn", "drawn_window"]
Log = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """One search: luck search or window ``number`` (from 1), or Plays drawn at random on train or in a window."""

    kind: Kind
    number: int

    def __str__(self) -> str:
        names = {"luck": "luck search", "window": "window", "drawn": "random search", "drawn_window": "random window"}
        return f"{names[self.kind]} {self.number}"


@dataclass(frozen=True)
class Bench:
    """The tasks of one study, and the rows that are there already, in ``<study>/evidence``."""

    subject: Subject

    @property
    def folder(self) -> Path:
        """Where the evidence of the study is kept."""
        return self.subject.folder.root / "evidence"

    @cached_property
    def windows(self) -> list[Window]:
        """The walk-forward windows."""
        evidence = self.subject.evidence
        if not evidence.windows:
            return []
        return make_windows(self.subject.markets, evidence.windows, rolling=evidence.rolling)

    @cached_property
    def tasks(self) -> list[Task]:
        """All tasks: the luck searches first, the longest windows next, so that processes end about together."""
        if self.subject.champion is None:
            return []
        numbers = range(len(self.windows), 0, -1)
        tasks = [Task("luck", number) for number in range(1, self.subject.evidence.luck + 1)]
        tasks += [Task("drawn", 1)] if self.windows or tasks else []
        return tasks + [Task(kind, n) for n in numbers for kind in ("window", "drawn_window")]

    def path(self, task: Task) -> Path:
        """The file of a task's row."""
        evidence = self.subject.evidence
        folder: str = task.kind
        if "window" in task.kind:  # rows of other windows are other rows
            folder = f"{task.kind}-{'rolling' if evidence.rolling else 'anchored'}-{evidence.windows}"
        return self.folder / folder / f"{task.number:04d}.json"

    def row(self, task: Task) -> Row | None:
        """Return a task's row; None where there is none, or it was written for another study or by an older Forge."""
        path = self.path(task)
        if not path.is_file():
            return None
        return read_row(read_json(path), self.subject.plan.hash)

    def luck(self) -> LuckResult | None:
        """Return the result of the luck test so far, None while it is open."""
        planned, score = self.subject.evidence.luck, self.subject.score
        return None if score is None else luck_result(score, self.luck_scores(), planned)

    def luck_scores(self) -> list[float | None]:
        """Return the scores of the luck searches from the first to the last before one that is missing."""
        scores: list[float | None] = []
        for number in range(1, self.subject.evidence.luck + 1):
            row = self.row(Task("luck", number))
            if not isinstance(row, SearchRow):
                break
            scores.append(row.score)
        return scores

    def pending(self) -> list[Task]:
        """Return the missing tasks; no luck searches once that test is decided."""
        decided = self.luck() is not None
        return [task for task in self.tasks if not (task.kind == "luck" and decided) and self.row(task) is None]

    def run(self, task: Task, workers: int = 1) -> Row:
        """Run a task and write its row."""
        row = self._compute(task, workers)
        write_json(self.path(task), row_document(row, self.subject.plan.hash))
        return row

    def _compute(self, task: Task, workers: int) -> Row:
        subject = self.subject
        experiment = subject.experiment
        if task.kind in ("luck", "drawn"):
            if task.kind == "luck":
                found = luck_search(experiment, subject.markets, task.number, workers)
            else:
                found = experiment.draw(subject.markets, workers)
            champion = found.champion
            if champion is None:
                return SearchRow(score=found.score, play=None, objectives=(), evaluated=found.evaluated)
            return SearchRow(
                score=found.score,
                play=champion.play,
                objectives=tuple(champion.objectives),
                evaluated=found.evaluated,
            )
        window = self.windows[task.number - 1]
        draw = task.kind == "drawn_window"
        return _window_row(run_window(experiment, subject.markets, window, workers=workers, draw=draw), window)


def _window_row(result: WindowResult, window: Window) -> WindowRow:
    return WindowRow(
        train=window.train,
        test=window.test,
        play=result.play,
        train_sharpe=result.train_sharpe,
        trades=result.trades,
        days=tuple(result.days.tolist()),
        returns=tuple(result.returns.tolist()),
    )


def work(subject: Subject, *, log: Log | None = None, workers: int = 1) -> int:
    """Run tasks until none is left or the rest are locked by other processes; return the number that were run here.

    ``workers``: number of processes that run tasks, for the estimate of the time left. With fewer searches left than
    cores, a search backtests in the processes left over.
    """
    bench, seconds = Bench(subject), []
    while True:
        for task in (pending := bench.pending()):
            with _taken(bench, task) as ours:
                if not ours or bench.row(task) is not None:
                    continue
                if task.kind == "luck" and bench.luck() is not None:
                    break
                started = time.perf_counter()
                row = bench.run(task, workers_per_task(len(pending)))
                seconds.append(time.perf_counter() - started)
                if log:
                    log(_progress(bench, task, row, seconds, workers))
                break
        else:
            return len(seconds)


@contextmanager
def _taken(bench: Bench, task: Task) -> Iterator[bool]:
    """Hold a task's lock for the block; yield False if another process holds it."""
    path = bench.path(task)
    lock = FileLock(path.with_name(f".{path.stem}.lock"))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _progress(bench: Bench, task: Task, row: Row, seconds: list[float], workers: int) -> str:
    text = f"{task}"
    if isinstance(row, WindowRow):
        text += f" of {len(bench.windows)}: {len(row.days)} days, {row.trades} trades"
    else:
        score = "nothing feasible" if row.score is None else f"{row.score:.4g}"
        text += f" of {bench.subject.evidence.luck}" if task.kind == "luck" else ""
        text += f": {score}, the study {bench.subject.score:.4g}"
    result, pending = bench.luck(), bench.pending()
    if task.kind == "luck" and result is not None and result.stopped:
        ended = f"{result.as_good} of {result.searches} as good: the luck test ends early, p = {result.p:.2f}"
        text += f"; {ended}" if task.number <= result.searches else "; the luck test was decided, so it does not count"
    left = len(pending) * sum(seconds) / len(seconds) / workers
    open_test = " at most" if any(other.kind == "luck" for other in pending) else ""  # it may end early
    ends = f", about {_minutes(left)}{open_test}" if pending else ""
    return f"{text}; {seconds[-1]:.1f} s, {len(pending)} left{ends}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def check_complete(bench: Bench) -> None:
    """Raise StudyError while a task is pending."""
    pending = bench.pending()
    if pending:
        study = bench.subject.spec.name
        raise StudyError(
            f"study {study!r}: {len(pending)} searches of its evidence are missing, the first of them {pending[0]}; "
            f"run `make prove STUDY={study}`"
        )
