"""The parent's side of the worker processes: requests, interleaved timing, summaries."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from benchmarks.job import Job

_ROOT = Path(__file__).resolve().parents[1]
_THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


class Timing(NamedTuple):
    """Runs of one engine, milliseconds."""

    best: float
    median: float
    runs: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Timing":
        """Summarize the runs."""
        return cls(1e3 * min(seconds), 1e3 * statistics.median(seconds), len(seconds))


class WorkerProcess:
    """A worker process and the requests sent to it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            cwd=_ROOT,
            env={**os.environ, **dict.fromkeys(_THREADS, "1"), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def call(self, method: str, **arguments: Any) -> Any:
        """Call ``method`` of ``worker.Worker`` in the process; raises RuntimeError if it failed."""
        self.send(method, **arguments)
        return self.receive()

    def send(self, method: str, **arguments: Any) -> None:
        """Send a request without waiting; ``receive`` returns its result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"method": method, "arguments": arguments}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """Return the result of the oldest open request; raises RuntimeError if it failed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a benchmark worker exited before it answered; its output is printed above")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"a benchmark worker failed: {answer['error']}")
        return answer["result"]


class WorkerPool:
    """One process per engine. All stay alive and run in turn, so that other load on the machine affects all alike."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._stack = ExitStack()
        self._workers: dict[str, WorkerProcess] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __getitem__(self, engine: str) -> WorkerProcess:
        if engine not in self._workers:
            self._workers[engine] = self._stack.enter_context(WorkerProcess(self._environment))
        return self._workers[engine]

    def prepare(self, jobs: Mapping[str, Job]) -> None:
        """Construct the engines of ``jobs`` (name to job) in their processes and run each once, in parallel."""
        for name, job in jobs.items():
            self[job.engine].send("prepare", name=name, job=asdict(job))
            self[job.engine].send("run", name=name, seconds=0.0)
        for job in jobs.values():
            self[job.engine].receive()
            self[job.engine].receive()

    def time(
        self, jobs: Mapping[str, Job], *, rounds: int, seconds: float, indicators: bool = False
    ) -> dict[str, Timing]:
        """Time prepared jobs: each runs for ``seconds``, at least once, in each of ``rounds``."""
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(rounds):
            for name, job in jobs.items():
                times[name] += self[job.engine].call("run", name=name, seconds=seconds, indicators=indicators)
        return {name: Timing.of(taken) for name, taken in times.items()}

    def drop(self, jobs: Mapping[str, Job]) -> None:
        """Drop prepared jobs."""
        for name, job in jobs.items():
            self[job.engine].call("drop", name=name)
