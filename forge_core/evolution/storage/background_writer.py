"""Writing behind the search: files are encoded and synced by threads while the next generation is evaluated."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

_MOST_THREADS = 4
_AHEAD = 2  # waiting jobs a thread, which bounds the memory of what is not written yet


class BackgroundWriter:
    """Runs jobs in up to four threads, one for every two of ``workers``; a context manager.

    The action that belongs to a job runs in the caller's thread, in the order of submission, once that job and all
    before it are done: in ``settle``, ``submit`` or at the end of the block, which also raise the error of a job.
    """

    def __init__(self, workers: int) -> None:
        self._threads = min(max(workers // 2, 1), _MOST_THREADS)
        self._pool = ThreadPoolExecutor(self._threads, "write")
        self._running: deque[tuple[Future[None], Callable[[], None]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._running and error is None:
                self._finish()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, job: Callable[[], None], then: Callable[[], None]) -> None:
        """Start ``job``, and run the actions of the jobs that are done; waits where too many are not."""
        while len(self._running) > _AHEAD * self._threads:
            self._finish()
        self.settle()
        self._running.append((self._pool.submit(job), then))

    def settle(self) -> None:
        """Run the actions of the jobs that are done, without waiting."""
        while self._running and self._running[0][0].done():
            self._finish()

    def _finish(self) -> None:
        """Wait for the oldest job and run its action."""
        job, then = self._running.popleft()
        job.result()
        then()
