"""Files of bars as their makers write them, made here from bars of a random walk, and damage done to them."""

import gzip
import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.feather

from forge_core.market.reference.timeframes import Timeframe

KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def market(rows: int, timeframe: str = "15m", start: str = "2024-01-01", seed: int = 0) -> pd.DataFrame:
    """Return bars as a round-the-clock market makes them: each opens where the one before closed, prices in cents."""
    step = Timeframe.parse(timeframe)
    index = pd.date_range(start, periods=rows, freq=step.timedelta, tz="UTC", unit="us", name="timestamp")
    noise = np.random.default_rng(seed).normal(size=(rows, 4))
    close = np.round(40_000 * np.exp(np.cumsum(0.003 * noise[:, 0])), 2)
    opened = np.concatenate(([40_000.0], close[:-1]))
    high = np.round(np.maximum(opened, close) * (1 + 0.001 * np.abs(noise[:, 1])), 2)
    low = np.round(np.minimum(opened, close) * (1 - 0.001 * np.abs(noise[:, 2])), 2)
    volume = np.round(100 * np.abs(noise[:, 3]) + 0.01, 5)
    return pd.DataFrame({"open": opened, "high": high, "low": low, "close": close, "volume": volume}, index=index)


def klines(bars: pd.DataFrame, *, unit: str = "ms", decimals: int | None = 8, header: bool = False) -> str:
    """Return klines as the archive writes them; ``decimals`` None as for futures, with the digits there are."""
    scale = {"ms": 1_000, "us": 1}[unit]
    length = int(np.diff(bars.index.asi8).min()) if len(bars) > 1 else 900_000_000
    out = io.StringIO()
    if header:
        out.write(KLINE_HEADER + "\n")

    def number(value: float) -> str:
        return f"{value:.{decimals}f}" if decimals is not None else repr(float(value))

    for time, (o, h, low, c, v) in zip(bars.index.asi8, bars.itertuples(index=False), strict=True):
        average = (h + low) / 2
        row = [time // scale, *(number(x) for x in (o, h, low, c, v)), (time + length) // scale - 1]
        row += [number(average * v), 7, number(v / 2), number(average * v / 2), 0]
        out.write(",".join(map(str, row)) + "\n")
    return out.getvalue()


def write_zip(path: Path, members: dict[str, str], *, checksum: bool = False) -> Path:
    """Write a zip, and its ``.CHECKSUM`` beside it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    if checksum:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")
    return path


def candles(bars: pd.DataFrame) -> str:
    """Return bars as freqtrade's JSON."""
    rows = zip(bars.index.asi8 // 1_000, *(bars[name].tolist() for name in bars.columns), strict=True)
    return json.dumps([[int(time), *values] for time, *values in rows])


def write_feather(bars: pd.DataFrame, path: Path) -> Path:
    """Write freqtrade's feather."""
    frame = bars.reset_index().rename(columns={"timestamp": "date"})
    pyarrow.feather.write_feather(frame, path, compression="lz4")
    return path


def write_tvdatafeed(bars: pd.DataFrame, path: Path, zone: str, symbol: str) -> Path:
    """Write what tvDatafeed returns, fetched on a machine in ``zone``."""
    frame = bars.tz_convert(zone).tz_localize(None).rename_axis("datetime")
    frame.insert(0, "symbol", symbol)
    frame.to_parquet(path)
    return path


def tradingview(bars: pd.DataFrame, *, epoch: bool, volume: bool = True) -> str:
    """Return a chart export with an indicator column, blank at first."""
    frame = bars.drop(columns="volume")
    frame["Moving Average"] = frame["close"].rolling(3).mean()
    if volume:
        frame["Volume"] = bars["volume"]
    if epoch:
        frame.index = bars.index.asi8 // 1_000_000
    else:
        frame.index = bars.index.tz_convert("America/New_York").map(pd.Timestamp.isoformat)
    return frame.rename_axis("time").to_csv()


WRITERS: dict[str, Callable[[pd.DataFrame, Path], Path]] = {
    "kline zip": lambda bars, folder: write_zip(
        folder / "BTCUSDT-15m-2024-01.zip", {"BTCUSDT-15m-2024-01.csv": klines(bars)}
    ),
    "kline csv": lambda bars, folder: _text(folder / "BTCUSDT-15m-2024-01.csv", klines(bars, unit="us")),
    "feather": lambda bars, folder: write_feather(bars, folder / "BTC_USDT-15m.feather"),
    "json": lambda bars, folder: _text(folder / "BTC_USDT-15m.json", candles(bars)),
    "json.gz": lambda bars, folder: _bytes(folder / "BTC_USDT-15m.json.gz", gzip.compress(candles(bars).encode())),
    "parquet": lambda bars, folder: _parquet(bars, folder / "BTCUSDT_15m.parquet"),
    "csv": lambda bars, folder: _text(folder / "BTCUSDT_15m.csv", bars.to_csv()),
    "chart": lambda bars, folder: _text(folder / "BINANCE_BTCUSDT, 15.csv", tradingview(bars, epoch=True)),
}


def _text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _parquet(bars: pd.DataFrame, path: Path) -> Path:
    bars.to_parquet(path)
    return path


def flip_byte(content: bytes, random_: random.Random) -> bytes:
    """Return ``content`` with a byte changed, but never a digit into another digit.

    That change nobody can see in a text without checksum: 40123.5 is as good a price as 40133.5.
    """
    while True:
        at, mask = random_.randrange(len(content)), random_.randrange(1, 256)
        if not (chr(content[at]).isdigit() and chr(content[at] ^ mask).isdigit()):
            return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]


def cut(content: bytes, random_: random.Random) -> bytes:
    """Return the beginning of ``content``, of any length."""
    return content[: random_.randrange(1, len(content))]


def swap_columns(bars: pd.DataFrame, random_: random.Random) -> pd.DataFrame:
    """Return bars with two of their columns exchanged."""
    one, other = random_.sample(list(bars.columns), 2)
    return bars.rename(columns={one: other, other: one})[list(bars.columns)]


def shuffle_times(bars: pd.DataFrame, random_: random.Random) -> pd.DataFrame:
    """Return bars whose times stand in another order."""
    order = list(range(len(bars)))
    random_.shuffle(order)
    return bars.set_axis(bars.index[order])


def mix_symbols(bars: pd.DataFrame, random_: random.Random) -> pd.DataFrame:
    """Return bars among which are those of a cheaper symbol: a half, or every other bar, or at the same times."""
    other = bars / 18.0
    other["volume"] = bars["volume"]
    way = random_.randrange(3)
    if way == 0:
        half = len(bars) // 2
        return pd.concat([bars.iloc[:half], other.iloc[half:]])
    if way == 1:
        mixed = bars.copy()
        mixed.iloc[1::2] = other.iloc[1::2]
        return mixed.round(4)
    return pd.concat([bars, other.round(4)]).sort_index(kind="stable")


def repeat_rows(bars: pd.DataFrame, random_: random.Random) -> pd.DataFrame:
    """Return bars with a stretch of rows twice."""
    first = random_.randrange(len(bars) - 5)
    return pd.concat([bars.iloc[: first + 5], bars.iloc[first:]])


BYTE_DAMAGE = {"byte flipped": flip_byte, "cut off": cut}
ROW_DAMAGE = {
    "columns swapped": swap_columns,
    "dates shuffled": shuffle_times,
    "symbols mixed": mix_symbols,
    "rows repeated": repeat_rows,
}
