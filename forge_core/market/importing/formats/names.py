"""Symbol and timeframe from file names and from vendors' symbol names."""

import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from forge_core.market.reference.instruments import Instrument, load_instruments

_PLAIN = re.compile(r"([A-Za-z0-9]+)[_-]([1-9]\d{0,3}[mhdw])(?:[_.-].*)?")
_EXCHANGE = re.compile(r"^[A-Z0-9_]+:")
_CONTINUOUS = re.compile(r"\d+!$")  # TradingView's front-month series: ES1!
_PERPETUAL = re.compile(r"(\.P|:USDT|:USD|-PERP|_PERP)$")


class FileName(NamedTuple):
    """Symbol and timeframe in the name of a bars file."""

    symbol: str
    timeframe: str


def name_of_file(path: Path) -> FileName | None:
    """Return the symbol and timeframe in ``BTCUSDT_15m.parquet`` or ``BTCUSDT-15m-2023-01-21.csv``, or None."""
    stem = path.name.split(".")[0] if path.suffix.lower() in (".gz", ".zip") else path.stem
    match = _PLAIN.fullmatch(stem)
    return FileName(*match.groups()) if match else None


def declared_symbol(name: str, *, perpetual: bool | None = None) -> str | None:
    """Return the declared symbol of an exchange's or vendor's ``name``, or None.

    ``CBOT:ZS1!`` is ZS, ``BINANCE:BTCUSDT`` and ``BTC/USDT`` are BTCUSDT, ``BTCUSDT.P`` and ``BTC/USDT:USDT`` the
    perpetual with the source name BTCUSDT. ``perpetual``: whether it is one, for names that do not show it.
    """
    name = _EXCHANGE.sub("", name.strip().upper(), count=1)
    if _PERPETUAL.search(name):
        perpetual = True
        name = _PERPETUAL.sub("", name)
    name = re.sub(r"[/_ -]", "", _CONTINUOUS.sub("", name))
    instruments = load_instruments()
    if perpetual:
        meant = [i.symbol for i in instruments.values() if i.kind == "perpetual" and _perpetual_name(i) == name]
        return meant[0] if len(meant) == 1 else None
    found = instruments.get(name)
    return None if found is None or (perpetual is False and found.kind == "perpetual") else name


def symbol_among(text: str) -> str | None:
    """Return the only declared symbol in a text such as ``tradingview_BINANCE_BTCUSDT_15``, else None.

    It is in capitals and delimited by characters other than letters and digits, or in two such parts (``BTC_USDT``).
    """
    words = re.findall(r"[A-Za-z0-9!.]+", text)
    candidates = [*words, *(a + b for a, b in pairwise(words))]
    found = {symbol for word in candidates if word == word.upper() and (symbol := declared_symbol(word))}
    return found.pop() if len(found) == 1 else None


def _perpetual_name(instrument: Instrument) -> str:
    return instrument.source_symbol or instrument.symbol.removesuffix("PERP")
