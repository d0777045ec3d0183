"""Trading days and sessions of exchanges, from the library exchange_calendars."""

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from forge_core.errors import ConfigError, unknown
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.sessions import DAY, Integers

_MARGIN = pd.Timedelta(days=31)  # a calendar needs a session in its period


def trading_days(instrument: Instrument, first: int, last: int) -> Integers:
    """Return the trade dates of the instrument's exchange in [first, last], in days since 1970-01-01.

    Raises ConfigError for a calendar that exchange_calendars does not have, or a period before its first session.
    """
    start, end = (pd.Timestamp(day, unit="D") for day in (first, last))
    where = f"instruments.yaml: {instrument.symbol}: calendar {instrument.calendar}"
    calendar = _load(where, instrument.calendar, start - _MARGIN, end + _MARGIN)
    days = calendar.sessions.as_unit("us").asi8 // DAY
    return np.asarray(days[(days >= first) & (days <= last)], np.int64)


@lru_cache(maxsize=32)
def trading_sessions(calendar: str, first_year: int, last_year: int) -> tuple[Integers, Integers]:
    """Return openings and closes of a calendar's sessions of some years (microseconds, UTC), oldest first.

    Raises ConfigError for a calendar that exchange_calendars does not have, or that has no sessions of these years.
    """
    loaded = _load(f"instruments.yaml: calendar {calendar}", calendar, f"{first_year}-01-01", f"{last_year}-12-31")
    opens, closes = (pd.DatetimeIndex(times).as_unit("us").asi8 for times in (loaded.opens, loaded.closes))
    return np.asarray(opens, np.int64), np.asarray(closes, np.int64)


def _load(where: str, calendar: str, start: object, end: object) -> Any:
    """Return a calendar of exchange_calendars; raises ConfigError, naming ``where`` it is stated."""
    # takes half a second to import
    from exchange_calendars import get_calendar, get_calendar_names
    from exchange_calendars.errors import CalendarError

    if calendar not in (names := get_calendar_names()):
        raise ConfigError(f"{where}: {unknown('calendar', calendar, names)}")
    try:
        return get_calendar(calendar, start=start, end=end)
    except (CalendarError, ValueError) as error:
        raise ConfigError(f"{where} has no sessions from {start} to {end} ({error}): remove the calendar") from error
