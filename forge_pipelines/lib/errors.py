"""What the user has to mend is said in one message, and not tried again."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from forge_core.errors import ForgeError


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn a ForgeError of the block into a failure of the step that shows its message and is not retried.

    So is an allocation that fails: the step would fail again, for it needs the same memory.
    """
    try:
        yield
    except ForgeError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    except MemoryError as error:
        raise dg.Failure(
            f"out of memory ({error}): free some, raise the limit (`ulimit -v unlimited`) or lower FORGE_WORKERS; what "
            "is written is kept: start the run again to resume",
            allow_retries=False,
        ) from None
