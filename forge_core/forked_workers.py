"""Forked worker processes: tasks by number, data through shared memory.

A worker is a fork of the process that made it, so it has all objects of that process without a copy: open feeds, loaded
kernels, the search space. Tasks are whole numbers in one pipe that all workers read from, so that a worker takes the
next task as soon as it is free; what a task reads and writes is in ``shared_array``.

A worker ends with its parent, however that ends: it exits when the pipe is closed or when its parent is another
process. It keeps no file of its parent open, so it holds no lock of the parent's either.
"""

import errno
import gc
import json
import math
import mmap
import os
import select
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from forge_core import errors

_TASK = struct.Struct("<i")
_TASK_TYPE = "<i4"
_ANSWER = struct.Struct("<ii")  # tasks done since the last answer, bytes of the error that follows
_PATIENCE = 5  # milliseconds without an answer after which the parent does something else
_QUEUED = 4_096  # tasks in the pipe at a time, a quarter of what it holds on Linux


class WorkerDied(RuntimeError):
    """A worker process ended while it had work to do; the same can be run again."""


def can_fork() -> bool:
    """Return whether this system has fork and its libraries are safe to use after it; those of macOS are not."""
    return sys.platform == "linux"


def shared_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros in memory that this process shares with workers forked later."""
    kind = np.dtype(dtype)
    memory = mmap.mmap(-1, max(math.prod(shape) * kind.itemsize, 1))
    return np.frombuffer(memory, kind, math.prod(shape)).reshape(shape)


class _Worker(NamedTuple):
    pid: int
    answers: int  # the pipe's end that the parent reads


class ForkedWorkers:
    """``count`` processes that call ``task`` with the numbers of a batch; use it as a context manager.

    ``name`` says in messages what they work on. An error of ``task`` is raised by ``run`` with the same type and
    message where it is one of Forge's, of the system or of memory, and as RuntimeError with its traceback otherwise.
    """

    def __init__(self, count: int, task: Callable[[int], None], name: str) -> None:
        self._task = task
        self._name = name
        self._workers: list[_Worker] = []
        self._parent = os.getpid()
        tasks, self._tasks = os.pipe()
        os.set_blocking(tasks, False)  # of two workers that see a task, one finds the pipe empty
        try:
            for _ in range(count):
                self._workers.append(self._fork(tasks))
        except BaseException:
            self.close()
            raise
        finally:
            os.close(tasks)
        self._poll = select.poll()
        for worker in self._workers:
            self._poll.register(worker.answers, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def processes(self) -> list[int]:
        """The ids of the processes."""
        return [worker.pid for worker in self._workers]

    def run(self, tasks: int, meanwhile: Callable[[], None] | None = None) -> None:
        """Run the tasks 0 to ``tasks - 1`` and wait for all of them; ``meanwhile`` is called again and again.

        Raises WorkerDied where a worker was killed, and the error of a task; call ``close`` then.
        """
        for begin in range(0, tasks, _QUEUED):
            end = min(begin + _QUEUED, tasks)
            self._send(np.arange(begin, end, dtype=_TASK_TYPE).tobytes())
            left = end - begin
            while left:
                answered = self._poll.poll(None if meanwhile is None else _PATIENCE)
                for answers, _ in answered:
                    left -= self._read_answer(answers)
                if not answered and meanwhile is not None:
                    meanwhile()

    def close(self) -> None:
        """End the workers and wait until they are gone; a task in progress is cut off."""
        if self._tasks >= 0:
            os.close(self._tasks)
            self._tasks = -1
        for worker in self._workers:
            os.close(worker.answers)
            _kill(worker.pid)
        for worker in self._workers:
            _wait(worker.pid)
        self._workers = []

    def _send(self, tokens: bytes) -> None:
        rest = memoryview(tokens)
        try:
            while rest:
                rest = rest[os.write(self._tasks, rest) :]
        except BrokenPipeError:
            self._died(self._workers[0].pid)

    def _read_answer(self, answers: int) -> int:
        """Return how many tasks a worker has done since its last answer; raise what it raised."""
        head = os.read(answers, _ANSWER.size)
        if not head:
            self._died(next(worker.pid for worker in self._workers if worker.answers == answers))
        done, size = _ANSWER.unpack(head)
        if size:
            text = b""
            while len(text) < size:
                text += os.read(answers, size - len(text))
            raise _error_of(json.loads(text))
        return int(done)

    def _died(self, pid: int) -> NoReturn:
        dead = next(worker for worker in self._workers if worker.pid == pid)
        status = _wait(pid)
        self._workers.remove(dead)  # its id may be another process's by now
        os.close(dead.answers)
        how = f"with status {status}"
        if status is not None and status < 0:
            how = f"by signal {signal.Signals(-status).name}"
            how += " (the system kills processes when memory is short)" if status == -signal.SIGKILL else ""
        raise WorkerDied(f"{self._name}: worker process {pid} ended {how}; run the same again, it resumes")

    def _fork(self, tasks: int) -> _Worker:
        read, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads hold no lock that a worker needs
            pid = os.fork()
        if pid:
            os.close(write)
            return _Worker(pid, read)
        status = 1
        try:
            _leave_parent({0, 1, 2, tasks, write})
            self._serve(tasks, write)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)  # the parent's own handlers of an exit are not a worker's

    def _serve(self, tasks: int, answers: int) -> None:
        """Run tasks until the parent closes the pipe or is gone."""
        poll = select.poll()
        poll.register(tasks, select.POLLIN)
        done = 0
        while os.getppid() == self._parent:
            try:
                token = os.read(tasks, _TASK.size)
            except BlockingIOError:
                if done:
                    os.write(answers, _ANSWER.pack(done, 0))
                    done = 0
                poll.poll()
                continue
            if not token:
                return
            try:
                self._task(*_TASK.unpack(token))
            except BaseException as error:
                text = json.dumps(_document(error)).encode()
                os.write(answers, _ANSWER.pack(done, len(text)) + text)
                return
            done += 1


def _leave_parent(kept: set[int]) -> None:
    """Close what was inherited but ``kept``, ignore Ctrl-C, which the parent handles, and never collect its objects."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()  # memory of the parent's objects stays shared
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:  # the listing's own
                continue


def _document(error: BaseException) -> dict[str, Any]:
    trace = "".join(traceback.format_exception(error))
    document: dict[str, Any] = {"type": type(error).__name__, "message": str(error), "errno": None, "path": None}
    if isinstance(error, OSError) and error.errno is not None:
        path = None if error.filename is None else str(error.filename)
        document |= {"message": error.strerror, "errno": error.errno, "path": path}
    return document | {"trace": trace[-4_000:]}


def _error_of(document: dict[str, Any]) -> BaseException:
    """Return the error of a worker as it was raised there."""
    kind = getattr(errors, document["type"], None)
    if isinstance(kind, type) and issubclass(kind, errors.ForgeError):
        return kind(document["message"])
    if document["errno"] is not None:
        return OSError(document["errno"], document["message"], document["path"])
    if document["type"] == MemoryError.__name__:
        return MemoryError(document["message"])
    return RuntimeError(f"a worker process failed:\n{document['trace']}")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise


def _wait(pid: int) -> int | None:
    """Wait for a child and return its exit code, minus the signal that ended it; None where it was waited for."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None
