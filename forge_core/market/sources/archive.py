"""Archive of monthly and daily files: the files that hold missing bars, and their content."""

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

PUBLISHED_AFTER = pd.Timedelta(days=62)  # an older file that is absent stays absent; the slowest month took six weeks
_DAY = pd.Timedelta(days=1)
_LARGEST = 1 << 29  # bytes unpacked; a month of 1m klines has 7 MB

Parts = dict["Period", Part | None]
NameOf = Callable[["Period"], str]


@dataclass(frozen=True, order=True)
class Period:
    """UTC days [first, after) of one file: a whole month or one day."""

    first: pd.Timestamp
    after: pd.Timestamp

    @classmethod
    def day(cls, moment: pd.Timestamp) -> Self:
        """Return the day of ``moment``."""
        return cls(moment.floor("D"), moment.floor("D") + _DAY)

    @classmethod
    def month(cls, moment: pd.Timestamp) -> Self:
        """Return the month of ``moment``."""
        first = moment.floor("D") - (moment.day - 1) * _DAY
        return cls(first, first + calendar.monthrange(moment.year, moment.month)[1] * _DAY)

    @property
    def monthly(self) -> bool:
        """Whether it is a whole month."""
        return self.after - self.first > _DAY

    @property
    def label(self) -> str:
        """The name of the period in the archive: ``2024-01`` or ``2024-01-31``."""
        return self.first.strftime("%Y-%m" if self.monthly else "%Y-%m-%d")

    @property
    def days(self) -> "list[Period]":
        """Its days."""
        return [Period.day(self.first + n * _DAY) for n in range((self.after - self.first) // _DAY)]


def months_between(start: pd.Timestamp, end: pd.Timestamp) -> list[Period]:
    """Return the months that overlap [start, end)."""
    months = []
    while start < end:
        months.append(Period.month(start))
        start = months[-1].after
    return months


class MissingFiles:
    """Files of an archive with bars that the store does not have, for a market that never closes.

    ``name_of`` returns the file name of a period. Files that were ingested before are not missing, even if their bars
    have gaps, nor are files that the archive is known not to have.
    """

    def __init__(self, request: Request, name_of: NameOf) -> None:
        self._request = request
        self.name_of = name_of
        self._today = request.now.floor("D")  # a file is published once its days are over

    def plan(self) -> list[Period]:
        """Return the past months without any bars, and the missing days of the other months."""
        planned: list[Period] = []
        for month in months_between(self._request.start, min(self._request.end, self._today)):
            missing = self.days(month)
            whole = missing and len(missing) == len(self._wanted(month)) and month.after <= self._today
            planned += [month] if whole else missing
        return planned

    def empty_months(self) -> list[Period]:
        """Return the past months without any bars, for series that are published monthly only."""
        months = months_between(self._request.start, min(self._request.end, self._today))
        return [m for m in months if m.after <= self._today and not self._stored(m) and not self._known(m)]

    def days(self, month: Period) -> list[Period]:
        """Return the missing days of a month."""
        if self._known(month):
            return []
        return [day for day in self._wanted(month) if self._stored(day) < self._expected(day) and not self._known(day)]

    def revisable(self) -> list[Period]:
        """Return the periods of ingested files that are checked for a revision by the source."""
        since = self._request.recheck
        if since is None:
            return []
        ingested = {name for name, checksum in self._request.ingested.items() if checksum}
        periods = [p for month in months_between(since, self._today) for p in (month, *month.days)]
        return [period for period in periods if period.after > since and self.name_of(period) in ingested]

    def alternatives(self, parts: Parts) -> list[Period]:
        """Return other files that may hold the content of absent files.

        For a month these are its days, if its own file may still be published or the month before or after it has bars.
        For a day that is older than the archive's daily files it is the month.
        """
        found = {Period.month(period.first) for period, part in parts.items() if part is not None}
        other: dict[Period, None] = {}
        for period in (period for period, part in parts.items() if part is None):
            if not period.monthly:
                if self.settled(period) and Period.month(period.first) not in parts:
                    other[Period.month(period.first)] = None
                continue
            neighbours = [Period.month(period.first - _DAY), Period.month(period.after)]
            if not self.settled(period) or any(month in found or self._stored(month) for month in neighbours):
                other |= dict.fromkeys(self.days(period))
        return list(other)

    def settled(self, period: Period) -> bool:
        """Whether the file of ``period``, if absent now, will not be published."""
        return period.after <= self._today - PUBLISHED_AFTER

    def checksum(self, period: Period) -> str:
        """Return the checksum of the ingested file of a period, '' if it was not ingested."""
        return self._request.ingested.get(self.name_of(period), "")

    @property
    def any_ingested(self) -> bool:
        """Whether any file was ever ingested, so that the archive has the symbol."""
        return any(self._request.ingested.values())

    def outcome(self, parts: Parts) -> dict[str, str]:
        """Return the checksums to record: of the files found, and '' for absent months before the first bar.

        Months that are absent later are requested again: the archive may have lost them, or publish late.
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
        """Return the number of requested bars of a day."""
        length, first = self._request.timeframe.microseconds, _us(day.first)
        begin = max(0, -((first - _us(self._request.start)) // length))
        end = (min(_us(day.after), _us(self._request.end)) - first) // length
        return end - begin


def read_klines(path: Path, symbol: str, timeframe: str, period: Period) -> pd.DataFrame:
    """Read the klines of one zip; raise DataError unless their spacing, grid and period are right."""
    subject = f"{symbol} {timeframe} in {path.name}"
    with _unpacked(path, subject) as table:
        bars = read_bars_file(table, source=subject)
    check_spacing(bars, symbol, timeframe)
    _check_period(pd.DatetimeIndex(bars.index), subject, period)
    off = microseconds(bars.index) % Timeframe.parse(timeframe).microseconds != 0
    if off.any():
        raise DataError(f"{subject}: a bar opens at {bars.index[off][0]}, which is not aligned to {timeframe}")
    return bars


def read_funding(path: Path, symbol: str, period: Period) -> pd.Series:
    """Read the funding rates (fractions) of one zip, stamped to the minute; raise DataError for another period."""
    subject = f"{symbol} funding in {path.name}"
    with _unpacked(path, subject) as table:
        try:
            frame = pd.read_csv(table)
        except (ValueError, OSError) as error:
            raise DataError(f"{subject} cannot be read as CSV ({error})") from error
    if missing := [name for name in ("calc_time", "last_funding_rate") if name not in frame.columns]:
        raise DataError(f"{subject}: no column {missing[0]!r}, got {', '.join(map(str, frame.columns))}")
    index = parse_timestamps(frame["calc_time"], source=subject).floor("min")
    rates = pd.to_numeric(frame["last_funding_rate"], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(rates).all() or index.has_duplicates or not index.is_monotonic_increasing:
        raise DataError(f"{subject}: the times do not increase, or a rate is not a number: the file is damaged")
    _check_period(index, subject, period)
    return pd.Series(rates, index=index, name="rate")


@contextmanager
def _unpacked(path: Path, subject: str) -> Iterator[Path]:
    """Unpack the only CSV file of a zip next to it; yield its path and delete it afterwards."""
    table = path.with_suffix(".csv")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) != 1 or not members[0].filename.endswith(".csv"):
                raise DataError(f"{subject}: the zip has {[m.filename for m in members][:5]}, expected one .csv")
            if members[0].file_size > _LARGEST:
                size = f"{members[0].filename} has {members[0].file_size:,} bytes"
                raise DataError(f"{subject}: {size}, expected {_LARGEST:,} or fewer")
            with archive.open(members[0]) as packed, table.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
        yield table
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{subject}: {path.name} is a damaged zip ({error})") from error
    finally:
        table.unlink(missing_ok=True)


def _check_period(index: pd.DatetimeIndex, subject: str, period: Period) -> None:
    outside = (index < period.first) | (index >= period.after)
    if outside.any():
        raise DataError(f"{subject}: it has a row of {index[outside][0]}, expected rows of {period.label} only")


def _us(moment: pd.Timestamp) -> int:
    return int(moment.as_unit("us").asm8.astype(np.int64))
