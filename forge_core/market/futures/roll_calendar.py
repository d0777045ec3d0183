"""Contract rolls by rule, from the exchange's calendar.

``python -m forge_core.market.futures.roll_calendar > datasets/roll_dates.yaml`` writes the project's file; a test
compares the two. The rules are those of the contracts, not those of a vendor:

- first notice day of grains and metals: the last business day of the month before the delivery month;
- last trading day of CL: three business days before the 25th of the month before the delivery month (before the
  business day that precedes it, if the 25th is none); of NG: three business days before the delivery month;
- last trading day of ES, NQ and YM: the third Friday of the contract month (the business day before, if it is none);
  of 6E: two business days before the third Wednesday.

The roll is at the open of the trade date five business days before that day, to the next of the months that are
widely traded. Business days are Monday to Friday except for the holidays of the exchange.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from pandas.tseries.holiday import (
    AbstractHolidayCalendar,
    GoodFriday,
    Holiday,
    USLaborDay,
    USMartinLutherKingJr,
    USMemorialDay,
    USPresidentsDay,
    USThanksgivingDay,
    sunday_to_monday,
)

from forge_core.market.futures.roll_dates import roll_text, trade_date_opens
from forge_core.market.reference.instruments import get_instrument

YEARS = range(2015, 2031)
DAYS_BEFORE = 5

_HEADER = f"""\
When the continuous series of a future passes to the next contract (UTC), {YEARS[0]} to {YEARS[-1]}.

These dates follow a rule, which forge_core/market/futures/roll_calendar.py states and writes this file by: five
business days before the first notice day or, where that comes first, the last trading day. A series that somebody
sells or shows rolls when its maker says, which is often another day, and then these dates are wrong for it.
Import the maker's:

    forge roll-dates import FILE --trade-dates     # or --timezone ZONE, if its times are a wall clock's
    forge roll-dates check ZS                      # do the dates lie where the stored prices jump?

They go to roll_dates.yaml in the data folder and take the place of those below. An empty list says that a series does
not jump (one contract, or prices adjusted already). Micro and mini contracts roll with their big brothers.
"""

_MAPPINGS = {
    "MES": "ES",
    "MNQ": "NQ",
    "MYM": "YM",
    "M6E": "6E",
    "MCL": "CL",
    "MNG": "NG",
    "MGC": "GC",
    "SIL": "SI",
    "XC": "ZC",
    "XW": "ZW",
    "XK": "ZS",
}


class _ExchangeHolidays(AbstractHolidayCalendar):
    rules = [  # noqa: RUF012  (pandas reads it from the class)
        Holiday("New Year", month=1, day=1, observance=sunday_to_monday),
        USMartinLutherKingJr,
        USPresidentsDay,
        GoodFriday,
        USMemorialDay,
        Holiday("Juneteenth", month=6, day=19, start_date="2022-06-19", observance=sunday_to_monday),
        Holiday("Independence Day", month=7, day=4, observance=sunday_to_monday),
        USLaborDay,
        USThanksgivingDay,
        Holiday("Christmas", month=12, day=25, observance=sunday_to_monday),
    ]


def _calendar() -> np.busdaycalendar:
    holidays = _ExchangeHolidays().holidays(f"{YEARS[0] - 1}-01-01", f"{YEARS[-1] + 1}-12-31")
    return np.busdaycalendar(holidays=holidays.to_numpy().astype("datetime64[D]"))


_BUSINESS_DAYS = _calendar()


def _shifted(day: date, business_days: int, roll: str) -> date:
    """Return the business day ``business_days`` after ``day``, which is first moved to a business day by ``roll``."""
    moved = np.busday_offset(np.datetime64(day), business_days, roll=roll, busdaycal=_BUSINESS_DAYS)  # type: ignore[call-overload]
    return pd.Timestamp(moved).date()


def _weekday_of_month(year: int, month: int, weekday: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


def first_notice_day(year: int, month: int) -> date:
    """First notice day of grains and metals."""
    return _shifted(date(year, month, 1) - timedelta(days=1), 0, "backward")


def crude_oil_last_day(year: int, month: int) -> date:
    """Last trading day of CL."""
    before = date(year, month, 1) - timedelta(days=1)
    return _shifted(before.replace(day=25), -3, "backward")


def natural_gas_last_day(year: int, month: int) -> date:
    """Last trading day of NG."""
    return _shifted(date(year, month, 1), -3, "forward")


def index_last_day(year: int, month: int) -> date:
    """Last trading day of ES, NQ and YM."""
    return _shifted(_weekday_of_month(year, month, 4, 3), 0, "backward")


def currency_last_day(year: int, month: int) -> date:
    """Last trading day of 6E."""
    return _shifted(_weekday_of_month(year, month, 2, 3), -2, "backward")


@dataclass(frozen=True)
class RollRule:
    """The months of a contract's widely traded expiries, and the day before which a position must be rolled."""

    months: tuple[int, ...]
    deadline: Callable[[int, int], date]

    def dates(self) -> Iterator[date]:
        """Yield the trade dates on which the next contract begins, in ``YEARS``, ascending."""
        for year in (*YEARS, YEARS[-1] + 1):
            for month in self.months:
                day = _shifted(self.deadline(year, month), -DAYS_BEFORE, "backward")
                if day.year in YEARS:
                    yield day


_QUARTERS, _EVERY = (3, 6, 9, 12), tuple(range(1, 13))

RULES = {
    "ZS": RollRule((1, 3, 5, 7, 11), first_notice_day),
    "ZC": RollRule((3, 5, 7, 9, 12), first_notice_day),
    "ZW": RollRule((3, 5, 7, 9, 12), first_notice_day),
    "GC": RollRule((2, 4, 6, 8, 12), first_notice_day),
    "SI": RollRule((3, 5, 7, 9, 12), first_notice_day),
    "CL": RollRule(_EVERY, crude_oil_last_day),
    "NG": RollRule(_EVERY, natural_gas_last_day),
    "ES": RollRule(_QUARTERS, index_last_day),
    "NQ": RollRule(_QUARTERS, index_last_day),
    "YM": RollRule(_QUARTERS, index_last_day),
    "6E": RollRule(_QUARTERS, currency_last_day),
}


def roll_file_text() -> str:
    """Return the project's file of roll dates."""
    times = {symbol: trade_date_opens(rule.dates(), get_instrument(symbol).session) for symbol, rule in RULES.items()}
    return roll_text(times, _MAPPINGS, _HEADER)


if __name__ == "__main__":
    print(roll_file_text(), end="")
