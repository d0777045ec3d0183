"""Format of Binance's public archive: zips or CSVs of klines (spot, USDT-margined futures) and funding rates."""

import re
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pandas as pd

from forge_core.errors import DataError
from forge_core.market.importing.formats.csv_tables import csv_chunks, csv_shape
from forge_core.market.importing.formats.model import Contents, Format, ReadOptions
from forge_core.market.importing.formats.names import declared_symbol
from forge_core.market.importing.formats.source_file import Part, SourceFile

_KLINE = (
    "open_time", "open", "high", "low", "close", "volume",
    "close_time", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
_FUNDING = ("calc_time", "funding_interval_hours", "last_funding_rate")
_NAME = re.compile(r"([A-Z0-9]+(?:_[A-Z0-9]+)?)-(?:([1-9]\d?(?:[smhdwM]|mo))|fundingRate)-\d{4}-\d{2}(?:-\d{2})?")
_SPOT_NUMBER = re.compile(r"\d+\.\d{8}")  # only the spot archive writes all prices with eight decimals
_COIN_MARGINED = re.compile(r"futures[/-]cm\b|USD_(PERP|\d{6})")
_USDT_MARGINED = re.compile(r"futures[/-]um\b")
_ROUNDING = 1e-6  # of volumes, which are sums
_SLACK = 1e-3  # of prices
_MOST = 0.9  # fraction of rows that satisfy a rule


class Binance(Format):
    """Klines and funding rates in the form of data.binance.vision."""

    name: ClassVar[str] = "binance"
    description: ClassVar[str] = "Binance archive: kline or fundingRate zips and CSVs, spot and USDT-margined futures"

    def recognizes(self, file: SourceFile) -> bool:
        """Whether every part has twelve kline columns, or those of funding rates."""
        return all(_is_kline(part) or _is_funding(part) for part in file.parts)

    def contents(self, file: SourceFile, options: ReadOptions, *, source: str) -> Contents:
        """Return symbol and timeframe from the archive's file names, and the market from the decimals of prices."""
        kinds = {_is_funding(part) for part in file.parts}
        names = {match.groups() for part in file.parts if (match := _NAME.search(part.name))}
        if len(kinds) > 1 or len(names) > 1:
            raise DataError(
                f"{source}: several series in one file ({', '.join(p.name for p in file.parts[:5])}): split it"
            )
        named = _NAME.search(file.path.name)
        name, timeframe = names.pop() if names else named.groups() if named else (None, None)
        where = "/".join(file.path.resolve().parts[-6:])
        if _COIN_MARGINED.search(where) or (name and _COIN_MARGINED.search(name)):
            raise DataError(
                f"{source}: coin-margined futures are not supported: their volume counts contracts in dollars"
            )
        funding = kinds == {True}
        perpetual = True if funding or _USDT_MARGINED.search(where) else _market(file.first)
        return Contents(
            kind="funding" if funding else "bars",
            source_symbol=name,
            symbol=declared_symbol(name, perpetual=perpetual) if name else None,
            timeframe=timeframe,
            market={True: "perpetual", False: "spot", None: None}[perpetual],
            remarks=("spot or futures market unknown",) if perpetual is None else (),
        )

    def read(self, file: SourceFile, options: ReadOptions, *, source: str) -> Iterator[pd.DataFrame]:
        """Yield the rates or the klines; raise DataError if columns of klines contradict each other."""
        for part in file.parts:
            shape = csv_shape(part)
            assert shape is not None  # recognizes
            for chunk in csv_chunks(part, shape, _KLINE, source=source):
                if _is_funding(part):
                    yield chunk.set_axis([name.strip().lower() for name in chunk.columns], axis=1).rename(
                        columns={"calc_time": "timestamp", "last_funding_rate": "rate"}
                    )[["timestamp", "rate"]]
                else:
                    klines = chunk.set_axis(list(_KLINE), axis=1)
                    _check_klines(klines, source)
                    yield klines[list(_KLINE[:6])]


def _is_kline(part: Part) -> bool:
    shape = csv_shape(part) if part.kind == "text" else None
    if shape is None or len(shape.fields) != len(_KLINE):
        return False
    if shape.header:
        return tuple(field.lower() for field in shape.fields[:7]) == _KLINE[:7]
    first, last = (float(shape.fields[i]) for i in (0, 6))
    return 0 < last - first <= 0.01 * first and first > 1e11


def _is_funding(part: Part) -> bool:
    shape = csv_shape(part) if part.kind == "text" else None
    return shape is not None and tuple(field.lower() for field in shape.fields) == _FUNDING


def _market(part: Part) -> bool | None:
    shape = csv_shape(part)
    assert shape is not None
    if shape.header:
        return True
    return False if all(_SPOT_NUMBER.fullmatch(field) for field in shape.fields[1:6]) else None


def _check_klines(klines: pd.DataFrame, source: str) -> None:
    """Raise DataError if columns that Forge does not store contradict those that it stores.

    Rules that many rows violate are ignored: unneeded columns are often filled with arbitrary values.
    """
    numbers = {name: pd.to_numeric(klines[name], errors="coerce").to_numpy(np.float64) for name in _KLINE[:11]}
    traded = numbers["volume"] > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        average = numbers["quote_volume"] / numbers["volume"]  # of the trades: between low and high
        slack = _SLACK * numbers["high"] + 1e-5 / numbers["volume"]  # quote_volume has five decimals or more
        turned = traded & (np.abs(1 / average / numbers["close"] - 1) < 0.5) & (np.abs(numbers["close"] - 1) > 0.5)
    if turned.sum() > _MOST * traded.sum() > 0:
        raise DataError(f"{source}: the columns volume and quote_volume are swapped")
    rules = {
        "close_time is not after open_time": numbers["close_time"] <= numbers["open_time"],
        "quote_volume / volume is not between low and high": traded
        & ((average < numbers["low"] - slack) | (average > numbers["high"] + slack)),
        "taker_buy_volume is more than volume": numbers["taker_buy_volume"] > numbers["volume"] * (1 + _ROUNDING),
    }
    for fault, wrong in rules.items():
        if 0 < wrong.sum() < (1 - _MOST) * wrong.size:
            row = int(wrong.argmax())
            values = ", ".join(str(value) for value in klines.iloc[row].tolist())
            raise DataError(f"{source}: row {row}: {fault} ({values}): the file is damaged")
