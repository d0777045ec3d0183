"""An archive of files by month and by day: which of them hold what the store lacks, and what is in them."""

import calendar
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from forge_core.errors import DataError
from forge_core.market.bars.timestamps import parse_timestamps
from forge_core.market.importing.importer import check_spacing, read_bars_file
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.download import Part
from forge_core.market.sources.protocol import Request

PUBLISHED_AFTER = pd.Timedelta(days=62)  # what is older and not there will not come: a month has taken six weeks
_DAY = pd.Timedelta(days=1)
_LARGEST = 1 << 29  # bytes unpacked; a month of 1m klines has 7 MB

Parts = dict["Period", Part | None]
NameOf = Callable[["Period"], str]


@dataclass(frozen=True, order=True)
class Period:
    """The UTC days [first, after) that one file covers: a whole month, or one day."""

    first: pd.Timestamp
    after: pd.Timestamp

    @classmethod
    def day(cls, moment: pd.Timestamp) -> Self:
        """Return the day that holds ``moment``."""
        return cls(moment.floor("D"), moment.floor("D") + _DAY)

    @classmethod
    def month(cls, moment: pd.Timestamp) -> Self:
        """Return the month that holds ``moment``."""
        first = moment.floor("D") - (moment.day - 1) * _DAY
        return cls(first, first + calendar.monthrange(moment.year, moment.month)[1] * _DAY)

    @property
    def monthly(self) -> bool:
        """Whether it is a whole month."""
        return self.after - self.first > _DAY

    @property
    def label(self) -> str:
        """How the archive writes it: ``2024-01`` or ``2024-01-31``."""
        return self.first.strftime("%Y-%m" if self.monthly else "%Y-%m-%d")

    @property
    def days(self) -> "list[Period]":
        """Its days."""
        return [Period.day(self.first + n * _DAY) for n in range((self.after - self.first) // _DAY)]


def months_between(start: pd.Timestamp, end: pd.Timestamp) -> list[Period]:
    """Return the months that hold any of [start, end)."""
    months = []
    while start < end:
        months.append(Period.month(start))
        start = months[-1].after
    return months


class Lacking:
    """What of an archive the store lacks, for a market that never closes; ``name_of`` gives a period's file name.

    A file that was taken before is not lacking, though its bars may have holes, nor is one that the archive is known
    not to have.
    """

    def __init__(self, request: Request, name_of: NameOf) -> None:
        self._request = request
        self.name_of = name_of
        self._today = request.now.floor("D")  # a file comes when its days are over

    def plan(self) -> list[Period]:
        """Return the months that are over and lacking as a whole, and the lacking days of the others."""
        planned: list[Period] = []
        for month in months_between(self._request.start, min(self._request.end, self._today)):
            lacking = self.days(month)
            whole = lacking and len(lacking) == len(self._wanted(month)) and month.after <= self._today
            planned += [month] if whole else lacking
        return planned

    def empty_months(self) -> list[Period]:
        """Return the months that are over and of which nothing is stored, for series that come by the month alone."""
        months = months_between(self._request.start, min(self._request.end, self._today))
        return [m for m in months if m.after <= self._today and not self._stored(m) and not self._known(m)]

    def days(self, month: Period) -> list[Period]:
        """Return the lacking days of a month."""
        if self._known(month):
            return []
        return [day for day in self._wanted(month) if self._stored(day) < self._expected(day) and not self._known(day)]

    def revisable(self) -> list[Period]:
        """Return the periods of files that were taken, and are asked whether the source has revised them since."""
        since = self._request.recheck
        if since is None:
            return []
        ingested = {name for name, checksum in self._request.ingested.items() if checksum}
        periods = [p for month in months_between(since, self._today) for p in (month, *month.days)]
        return [period for period in periods if period.after > since and self.name_of(period) in ingested]

    def instead(self, parts: Parts) -> list[Period]:
        """Return which other files may hold what was asked for and is not there.

        Of a month its days, if its own file may still come or the month before or after it has bars; of a day that is
        older than the archive's daily files its month.
        """
        found = {Period.month(period.first) for period, part in parts.items() if part is not None}
        other: dict[Period, None] = {}
        for period in (period for period, part in parts.items() if part is None):
            if not period.monthly:
                if self.settled(period) and Period.month(period.first) not in parts:
                    other[Period.month(period.first)] = None
                continue
            beside = [Period.month(period.first - _DAY), Period.month(period.after)]
            if not self.settled(period) or any(month in found or self._stored(month) for month in beside):
                other |= dict.fromkeys(self.days(period))
        return list(other)

    def settled(self, period: Period) -> bool:
        """Whether its file, if it is not there by now, will not come."""
        return period.after <= self._today - PUBLISHED_AFTER

    def checksum(self, period: Period) -> str:
        """Return the checksum that the file of a period was taken with, '' if it was not taken."""
        return self._request.ingested.get(self.name_of(period), "")

    @property
    def any_ingested(self) -> bool:
        """Whether any file was ever taken: the archive then has the symbol."""
        return any(self._request.ingested.values())

    def outcome(self, parts: Parts) -> dict[str, str]:
        """Return what to note as taken: what was found, and the months from before there was anything.

        Months that are absent later are asked for again: an archive may have lost them, or be behind.
        """
        found = {period: part.checksum for period, part in parts.items() if part is not None}
        begins = [period.first for period in found]
        if self._request.stored.size:
            begins.append(pd.Timestamp(int(self._request.stored[0]), unit="us", tz="UTC"))
        before = [
            period
            for period, part in parts.items()
            if part is None and period.monthly and begins and period.after <= min(begins) and self.settled(period)
        ]
        return {self.name_of(p): checksum for p, checksum in [*found.items(), *((p, "") for p in before)]}

    def _wanted(self, month: Period) -> list[Period]:
        return [day for day in month.days if day.after <= self._today and self._expected(day) > 0]

    def _known(self, period: Period) -> bool:
        checksum = self._request.ingested.get(self.name_of(period))
        return checksum == "" or (checksum is not None and self._stored(period) > 0)

    def _stored(self, period: Period) -> int:
        first, after = np.searchsorted(self._request.stored, [_us(period.first), _us(period.after)])
        return int(after - first)

    def _expected(self, day: Period) -> int:
        """Return how many bars of a day are wanted."""
        length, first = self._request.timeframe.microseconds, _us(day.first)
        begin = max(0, -((first - _us(self._request.start)) // length))
        end = (min(_us(day.after), _us(self._request.end)) - first) // length
        return end - begin


def read_klines(path: Path, symbol: str, timeframe: str, period: Period) -> pd.DataFrame:
    """Read the klines of one zip; DataError unless they are ``timeframe`` apart, on its grid, and of the period."""
    subject = f"{symbol} {timeframe} in {path.name}"
    with _unpacked(path, subject) as table:
        bars = read_bars_file(table, source=subject)
    check_spacing(bars, symbol, timeframe)
    _check_period(pd.DatetimeIndex(bars.index), subject, period)
    off = microseconds(bars.index) % Timeframe.parse(timeframe).microseconds != 0
    if off.any():
        raise DataError(f"{subject}: a bar opens at {bars.index[off][0]}, which is no full {timeframe}")
    return bars


def read_funding(path: Path, symbol: str, period: Period) -> pd.Series:
    """Read the funding rates (fractions) of one zip, stamped to the minute; DataError unless they are of the period."""
    subject = f"{symbol} funding in {path.name}"
    with _unpacked(path, subject) as table:
        try:
            frame = pd.read_csv(table)
        except (ValueError, OSError) as error:
            raise DataError(f"{subject} cannot be read as CSV ({error})") from error
    if missing := [name for name in ("calc_time", "last_funding_rate") if name not in frame.columns]:
        raise DataError(f"{subject}: column {missing[0]!r} is missing among {', '.join(map(str, frame.columns))}")
    index = parse_timestamps(frame["calc_time"], source=subject).floor("min")
    rates = pd.to_numeric(frame["last_funding_rate"], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(rates).all() or index.has_duplicates or not index.is_monotonic_increasing:
        raise DataError(f"{subject}: the times do not rise, or a rate is no number; the file is damaged")
    _check_period(index, subject, period)
    return pd.Series(rates, index=index, name="rate")


@contextmanager
def _unpacked(path: Path, subject: str) -> Iterator[Path]:
    """Lend the one CSV file of a zip, unpacked beside it."""
    table = path.with_suffix(".csv")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) != 1 or not members[0].filename.endswith(".csv"):
                raise DataError(f"{subject}: one .csv is expected, the zip holds {[m.filename for m in members][:5]}")
            if members[0].file_size > _LARGEST:
                raise DataError(f"{subject}: {members[0].filename} is {members[0].file_size:,} bytes, too large")
            with archive.open(members[0]) as packed, table.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
        yield table
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{subject}: {path.name} is no sound zip ({error})") from error
    finally:
        table.unlink(missing_ok=True)


def _check_period(index: pd.DatetimeIndex, subject: str, period: Period) -> None:
    outside = (index < period.first) | (index >= period.after)
    if outside.any():
        raise DataError(f"{subject}: it holds {index[outside][0]}, which is not in {period.label}")


def _us(moment: pd.Timestamp) -> int:
    return int(moment.as_unit("us").asm8.astype(np.int64))
