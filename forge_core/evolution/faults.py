"""Several faults of one model at once, each with its own place, so that each is reported with its own line."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Fault = tuple[tuple[str | int, ...], str, Any]  # location in the model, message, the wrong value


def raise_faults(title: str, faults: Sequence[Fault]) -> None:
    """Raise one ValidationError of all ``faults``; return quietly when there is none.

    Inside a pydantic validator the locations count from the model that is being validated.
    """
    if faults:
        raise ValidationError.from_exception_data(
            title,
            [
                InitErrorDetails(
                    type=PydanticCustomError("inconsistent", "{message}", {"message": message}), loc=place, input=value
                )
                for place, message, value in faults
            ],
        )
