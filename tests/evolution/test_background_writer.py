"""Writing behind the search: every job, actions in order and in the caller's thread, errors reported."""

import threading
from collections.abc import Callable

import pytest

from forge_core.evolution.storage.background_writer import BackgroundWriter


@pytest.mark.parametrize("workers", [1, 8])
def test_actions_run_in_order_in_the_callers_thread_once_their_job_is_done(workers: int) -> None:
    done: list[int] = []
    told: list[tuple[int, int]] = []
    doors = [threading.Event() for _ in range(20)]

    def job(number: int) -> Callable[[], None]:
        def write() -> None:
            assert doors[number].wait(60)
            done.append(number)

        return write

    def tell(number: int) -> Callable[[], None]:
        return lambda: told.append((number, threading.get_ident()))

    with BackgroundWriter(workers) as writer:
        writer.submit(job(0), tell(0))
        writer.submit(job(1), tell(1))
        writer.settle()
        assert told == []  # neither is done
        doors[0].set()
        while not told:
            writer.settle()
        assert [number for number, _ in told] == [0]
        for door in doors:
            door.set()
        for number in range(2, 20):
            writer.submit(job(number), tell(number))
    assert sorted(done) == list(range(20))
    assert told == [(number, threading.get_ident()) for number in range(20)]


def test_the_error_of_a_job_is_raised_and_later_actions_do_not_run() -> None:
    told: list[int] = []

    def fails() -> None:
        raise OSError(28, "No space left on device")

    def write() -> None:
        with BackgroundWriter(2) as writer:
            writer.submit(fails, lambda: told.append(0))
            for number in range(1, 30):
                writer.submit(lambda: None, lambda number=number: told.append(number))

    with pytest.raises(OSError, match="No space left"):
        write()
    assert told == []


def test_an_error_of_the_block_is_not_hidden() -> None:
    def write() -> None:
        with BackgroundWriter(1) as writer:
            writer.submit(lambda: None, lambda: pytest.fail("an action after an error"))
            raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        write()
