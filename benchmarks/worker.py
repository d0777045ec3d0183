"""The worker process of one engine: reads requests as JSON lines, writes results as JSON lines.

Separate processes isolate the engines' memory and compilers; requests let the parent run them in turn.
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
    """Holds the engines of the prepared jobs by job name."""

    def __init__(self) -> None:
        self._engines: dict[str, Any] = {}
        self._process = psutil.Process()

    def prepare(self, name: str, job: dict[str, Any], compiles: bool = False) -> dict[str, float]:
        """Construct an engine; ``compiles``: with no compiled kernels on disk."""
        if compiles:
            from forge_core.simd import compiled

            compiled._cache_folder = lambda: None  # type: ignore[assignment]
        from benchmarks.engines import load_engine

        self._engines[name] = load_engine(Job(**job))
        return {"seconds_since_start": time.time() - self._process.create_time()}

    def run(self, name: str, seconds: float, indicators: bool = False) -> list[float]:
        """Run at least once, until ``seconds`` have passed; return the seconds of each run."""
        engine = self._engines[name]
        action: Callable[[], None] = engine.run_with_indicators if indicators else engine.run
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < _REPETITIONS:
            if indicators:
                engine.reset_indicators()
            begin = time.perf_counter()
            action()
            now = time.perf_counter()
            times.append(now - begin)
            if now >= end:
                break
        return times

    def memory(self, name: str, runs: int) -> dict[str, float]:
        """Return MB: unique set size after ``runs`` runs, its growth over them, and the peak of one run.

        The peak is the rise of resident memory during a run, the highest of three runs (Linux; NaN elsewhere).
        """
        run = self._engines[name].run
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
        """Return the rise of resident memory during ``run``, bytes."""
        _give_back()
        try:
            _CLEAR.write_text("5")  # resets the kernel's peak counter
        except OSError:
            return float("nan")
        before = self._process.memory_info().rss
        run()
        return max(0, _peak() - before)

    def trades(self, name: str) -> Any:
        """Return the engine's closed trades."""
        return self._engines[name].trades()

    def figures(self, name: str) -> dict[str, float]:
        """Return metrics of the engine for the comparison."""
        return {key: float(value) for key, value in self._engines[name].figures().items()}

    def drop(self, name: str) -> None:
        """Drop an engine."""
        self._engines.pop(name, None)

    def _unique(self) -> int:
        return int(self._process.memory_full_info().uss)


def _give_back() -> None:
    """Return free memory of the C library to the system, so that it does not hide the memory of a run."""
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _peak() -> int:
    """Return the peak of resident memory, bytes."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Serve requests until the parent closes the pipe; output of libraries goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": getattr(worker, request["method"])(**request["arguments"])}
        except Exception as error:  # reported to the parent, which raises it
            answer = {"error": f"{request}: {type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # an orderly shutdown of vectorbt's modules takes seconds


if __name__ == "__main__":
    main()
