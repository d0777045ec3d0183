"""One contestant's process: reads requests as JSON lines, answers with what it measured.

Own processes keep the engines' memory and compilers apart; requests let the parent run them turn by turn.
"""

import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.job import Job

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_REPETITIONS = 10_000  # at most, in one request


class Worker:
    """Holds the contestants of the jobs it was given, by the job's own name."""

    def __init__(self) -> None:
        self._contestants: dict[str, Any] = {}
        self._process = psutil.Process()

    def prepare(self, name: str, job: dict[str, Any], compiles: bool = False) -> dict[str, float]:
        """Make a contestant; ``compiles``: as if nothing had ever been compiled on this machine."""
        if compiles:
            from forge_core.simd import compiled

            compiled._cache_folder = lambda: None
        from benchmarks.contestants import load_contestant

        self._contestants[name] = load_contestant(Job(**job))
        return {"seconds_since_start": time.time() - self._process.create_time()}

    def run(self, name: str, seconds: float, indicators: bool = False) -> list[float]:
        """Run once or more, until ``seconds`` are over; return what each run took, seconds."""
        contestant = self._contestants[name]
        action: Callable[[], None] = contestant.run_with_indicators if indicators else contestant.run
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < _REPETITIONS:
            if indicators:
                contestant.before_indicators()
            begin = time.perf_counter()
            action()
            now = time.perf_counter()
            times.append(now - begin)
            if now >= end:
                break
        return times

    def memory(self, name: str, runs: int) -> dict[str, float]:
        """Return MB: held by this process alone after ``runs`` runs, its growth over them, and the peak of one run.

        The peak is that of resident memory over what was resident before, the highest of three runs (Linux), NaN
        elsewhere.
        """
        run = self._contestants[name].run
        run()
        gc.collect()
        before = self._unique()
        peak = max(self._peak_of(run) for _ in range(3))
        for _ in range(runs - 3):
            run()
        gc.collect()
        after = self._unique()
        scale = 1 / 2**20
        return {"unique_mb": after * scale, "growth_mb": (after - before) * scale, "run_mb": peak * scale}

    def _peak_of(self, run: Callable[[], None]) -> float:
        """Return how far resident memory rises while ``run`` runs, bytes."""
        _give_back()
        try:
            _CLEAR.write_text("5")  # the kernel counts the peak anew
        except OSError:
            return float("nan")
        before = self._process.memory_info().rss
        run()
        return max(0, _peak() - before)

    def trades(self, name: str) -> Any:
        """Return the contestant's closed trades."""
        return self._contestants[name].trades()

    def figures(self, name: str) -> dict[str, float]:
        """Return some of its metrics."""
        return {key: float(value) for key, value in self._contestants[name].figures().items()}

    def drop(self, name: str) -> None:
        """Forget a contestant."""
        self._contestants.pop(name, None)

    def _unique(self) -> int:
        return int(self._process.memory_full_info().uss)


def _give_back() -> None:
    """Have the C library return free memory to the system: what a run takes would else be hidden in it."""
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _peak() -> int:
    """Return the peak of resident memory, bytes."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Answer requests until the parent closes the pipe; what libraries print goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": getattr(worker, request["method"])(**request["arguments"])}
        except Exception as error:  # told to the parent, which stops
            answer = {"error": f"{request}: {type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # taking vectorbt's modules down in order would take seconds


if __name__ == "__main__":
    main()
