"""Trading days of exchanges, from the library exchange_calendars."""

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
    # takes half a second to import
    from exchange_calendars import get_calendar, get_calendar_names
    from exchange_calendars.errors import CalendarError

    where = f"instruments.yaml: {instrument.symbol}: calendar"
    if instrument.calendar not in (names := get_calendar_names()):
        raise ConfigError(f"{where}: {unknown('calendar', instrument.calendar, names)}")
    start, end = (pd.Timestamp(day, unit="D") for day in (first, last))
    try:
        calendar = get_calendar(instrument.calendar, start=start - _MARGIN, end=end + _MARGIN)
    except (CalendarError, ValueError) as error:
        raise ConfigError(
            f"{where} {instrument.calendar} has no sessions from {start:%Y-%m-%d} to {end:%Y-%m-%d} ({error}): "
            "remove the calendar"
        ) from error
    days = calendar.sessions.as_unit("us").asi8 // DAY
    return np.asarray(days[(days >= first) & (days <= last)], np.int64)
