"""Format of QuantConnect Lean: zips of daily, hour and minute trade bars; futures have a file per contract."""

import re
from collections.abc import Iterator
from typing import ClassVar

import pandas as pd

from forge_core.errors import ConfigError, DataError
from forge_core.market.importing.formats.csv_tables import csv_chunks, csv_shape
from forge_core.market.importing.formats.model import Contents, Format, ReadOptions
from forge_core.market.importing.formats.names import declared_symbol
from forge_core.market.importing.formats.source_file import HEAD_BYTES, Part, SourceFile

_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
_PRICES = _COLUMNS[1:5]
_MEMBER = re.compile(
    r"^(?:(?P<date>\d{8})_)?(?P<symbol>[a-z0-9]+?)(?:_(?P<resolution>minute|second|tick))?"
    r"(?:_(?P<kind>trade|quote|openinterest))?(?:_(?P<contract>\d{6}(?:\d{2})?))?\.csv$"
)
_DATE = re.compile(r"(?<!\d)(\d{8})(?!\d)")
_STAMP = re.compile(r"\d{8} \d{2}:\d{2}(:\d{2})?")
_TYPES = ("equity", "future", "cryptofuture", "crypto", "forex", "cfd", "index", "option")
# Time zones of the data by type, from Lean's market-hours-database.
_ZONES = {"future": "UTC", "crypto": "UTC", "cryptofuture": "UTC", "equity": "America/New_York"}
_EQUITY_DIVISOR = 10_000  # equity prices are written in hundredths of a cent
_DAY_MS = 86_400_000


class Lean(Format):
    """Trade bars of one symbol, for a future of one contract, which the user gives if several have bars."""

    name: ClassVar[str] = "lean"
    description: ClassVar[str] = (
        "QuantConnect Lean zip of daily, hour or minute trade bars (futures: --contract 202003)"
    )

    def recognizes(self, file: SourceFile) -> bool:
        """Whether every part has a name and first times in Lean's form."""
        return all(self._is_lean(part) for part in file.parts)

    @staticmethod
    def _is_lean(part: Part) -> bool:
        if not part.packed or part.kind != "text" or not part.lines or not _MEMBER.match(part.name):
            return False
        first = part.lines[0].split(",")[0]
        return bool(_STAMP.fullmatch(first)) or (
            first.isdigit() and int(first) < _DAY_MS and bool(_DATE.search(part.name))
        )

    def contents(self, file: SourceFile, options: ReadOptions, *, source: str) -> Contents:
        """Return the symbol and the zone; raise DataError or ConfigError for no trade bars or several contracts."""
        part = self._part(file, options, source)
        called = _named(part)["symbol"].upper()
        type_, zone = self._type(file, part), self._zone(file, part, options, source)
        contract = _named(part)["contract"]
        remarks = (f"contract {contract}",) if contract else ()
        return Contents(
            source_symbol=called,
            symbol=declared_symbol(called, perpetual=type_ == "cryptofuture"),
            timezone=zone,
            remarks=remarks,
        )

    def read(self, file: SourceFile, options: ReadOptions, *, source: str) -> Iterator[pd.DataFrame]:
        """Yield bars with prices in money, with times in the zone of ``contents``."""
        part = self._part(file, options, source)
        divisor = self._divisor(file, part, source)
        shape = csv_shape(part)
        assert shape is not None  # _part
        plain = shape._replace(header=False)
        date = _DATE.search(part.name) or _DATE.search(file.path.name)
        for chunk in csv_chunks(part, plain, _COLUMNS, source=source):
            times = chunk["timestamp"]
            if times.dtype.kind in "iuf" and date is not None:
                since_midnight = pd.to_timedelta(times.where((times >= 0) & (times < _DAY_MS)), unit="ms")
                parsed = pd.to_datetime(date[1], format="%Y%m%d") + since_midnight
            else:
                parsed = pd.to_datetime(times.astype(str), format="%Y%m%d %H:%M", errors="coerce")
            if parsed.isna().any():
                row = int(parsed.isna().to_numpy().argmax())
                raise DataError(
                    f"{source}: row {row}: the time is {times.iloc[row]!s}, expected 20240131 12:00 or milliseconds "
                    "since midnight"
                )
            prices = {n: chunk[n] / divisor for n in _PRICES if divisor != 1 and chunk[n].dtype.kind in "iuf"}
            yield chunk.assign(timestamp=parsed, **prices)

    def _part(self, file: SourceFile, options: ReadOptions, source: str) -> Part:
        """Return the part to import."""
        odd = {_named(part)["kind"] for part in file.parts} - {"trade", None}
        if odd or any(_named(part)["resolution"] in ("tick", "second") for part in file.parts):
            raise DataError(
                f"{source}: the file has {', '.join(sorted(k for k in odd if k)) or 'ticks'}, expected bars of trades"
            )
        for part in file.parts:
            fields = part.lines[0].split(",")
            if len(fields) != len(_COLUMNS):
                raise DataError(f"{source}: {part.name} has {len(fields)} columns, expected the six of trade bars")
        if len({_named(part)["symbol"] for part in file.parts}) > 1:
            raise DataError(
                f"{source}: several symbols in one file ({', '.join(p.name for p in file.parts[:5])}): split it"
            )
        contracts = {_named(part)["contract"]: part for part in file.parts}
        if options.contract is not None:
            if options.contract not in contracts:
                raise ConfigError(f"{source}: no contract {options.contract}; available: {_contracts(file)}")
            return contracts[options.contract]
        if len(file.parts) > 1:
            raise ConfigError(
                f"{source}: several contracts in one file: {_contracts(file)}; give one, such as --contract "
                f"{next(iter(contracts))}"
            )
        return file.first

    @staticmethod
    def _type(file: SourceFile, part: Part) -> str | None:
        if _named(part)["contract"]:
            return "future"
        words = re.findall(r"[a-z]+", "/".join(file.path.resolve().parts[-6:]).lower())
        return next((type_ for type_ in _TYPES if type_ in words), None)

    def _zone(self, file: SourceFile, part: Part, options: ReadOptions, source: str) -> str:
        zone = options.timezone or _ZONES.get(self._type(file, part) or "")
        if zone is None:
            raise ConfigError(
                f"{source}: the time zone depends on the type of security ({', '.join(_TYPES)}), which neither the "
                "name nor the folder has: give the zone, such as --timezone America/New_York"
            )
        return zone

    def _divisor(self, file: SourceFile, part: Part, source: str) -> int:
        type_ = self._type(file, part)
        whole = all(field.isdigit() for field in part.lines[0].split(",")[1:5])
        if type_ is None and whole:
            raise ConfigError(
                f"{source}: the prices are whole numbers, which are hundredths of a cent for equities only: put the "
                "file into a folder named after its type of security (equity, crypto ...), as in Lean"
            )
        return _EQUITY_DIVISOR if type_ == "equity" else 1


def _named(part: Part) -> re.Match[str]:
    match = _MEMBER.match(part.name)
    assert match is not None  # recognizes
    return match


def _contracts(file: SourceFile) -> str:
    return ", ".join(f"{_named(part)['contract'] or part.name} ({_size(part)})" for part in file.parts[:20])


def _size(part: Part) -> str:
    count = len(part.lines)
    return f"{count} bar{'s' * (count != 1)}" + (" or more" if len(part.head) >= HEAD_BYTES else "")
