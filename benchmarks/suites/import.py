"""``forge import FILE``: four years of 15m bars and ten million 1m bars, in several formats."""

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from benchmarks.machine import describe, machine
from benchmarks.options import Options
from benchmarks.tables import number, show
from benchmarks.workspace import benchmark_bars

_MINUTES, _FEWER_MINUTES = 10_000_000, 1_000_000
_GOALS = {"140k": "under 3 s", "10M": "under 60 s and 1,024 MB"}
_IMPORT = """
import json, sys
from pathlib import Path
from forge_core.cli.main import app
app(sys.argv[1:], standalone_mode=False)
status = Path("/proc/self/status").read_text()  # of this process only; getrusage includes its parent's memory
print(json.dumps({"peak_mb": int(status.split("VmHWM:")[1].split()[0]) / 1024}))
"""


class _Ran(NamedTuple):
    bars: int
    file_mb: float
    wall_s: float
    peak_mb: float


def run(options: Options) -> dict[str, Any]:
    """Measure, print the table, and return the content of import.json."""
    result: dict[str, Any] = {"machine": machine()}
    print(describe(result["machine"]))
    many = _minutes(_MINUTES if options.cold else _FEWER_MINUTES)
    years = benchmark_bars(options.length)
    print(f"{years.label}; {len(many):,} SIM bars of 1m\n")
    cases = {
        "15m, Parquet": (years.frame, "15m", _parquet),
        "15m, CSV": (years.frame, "15m", _csv),
        "15m, kline zip": (years.frame, "15m", _kline_zip),
        "1m, Parquet": (many, "1m", _parquet),
        "1m, kline CSV": (many, "1m", _kline_csv),
        "1m, kline zip": (many, "1m", _kline_zip),
    }
    ran = {name: _import(*case) for name, case in cases.items()}
    largest = max(ran.values(), key=lambda one: (one.bars, one.wall_s))
    result |= _figures(largest) | {"data": f"{largest.bars:,} SIM bars of 1m", "goals": _GOALS}
    result["files"] = {name: {**_figures(one), "file_mb": round(one.file_mb, 1)} for name, one in ran.items()}
    result["machine"]["load_at_end"] = machine()["load"]
    columns = ("file", "bars", "MB", "seconds", "bars a second", "peak MB")
    rows = [
        (
            name,
            f"{one.bars:,}",
            number(one.file_mb),
            number(one.wall_s),
            number(one.bars / one.wall_s),
            number(one.peak_mb),
        )
        for name, one in ran.items()
    ]
    show(
        "forge import, including the start of Python",
        columns,
        rows,
        "goals: 140k bars under 3 s; 10M under 60 s and 1 GiB",
    )
    return result


def _figures(ran: _Ran) -> dict[str, Any]:
    return {
        "bars": ran.bars,
        "wall_s": round(ran.wall_s, 2),
        "bars_per_s": round(ran.bars / ran.wall_s),
        "peak_mb": round(ran.peak_mb, 1),
    }


def _import(bars: pd.DataFrame, timeframe: str, write: Callable[[pd.DataFrame, Path], Path]) -> _Ran:
    """Write a file and import it into an empty store in a new process."""
    with tempfile.TemporaryDirectory(prefix="forge-benchmark-") as folder:
        path = write(bars, Path(folder))
        size = path.stat().st_size / 2**20
        command = ["import", str(path), "--symbol", "BTCUSDT", "--timeframe", timeframe]
        environment = {**os.environ, "FORGE_HOME": str(Path(folder) / "home")}
        began = time.perf_counter()
        process = subprocess.run(
            [sys.executable, "-c", _IMPORT, *command], env=environment, capture_output=True, text=True, check=True
        )
        seconds = time.perf_counter() - began
    peak = json.loads(process.stdout.splitlines()[-1])["peak_mb"]
    return _Ran(len(bars), size, seconds, peak)


def _minutes(rows: int) -> pd.DataFrame:
    """Return 1m bars of a random walk, priced in cents."""
    noise = np.random.default_rng(1)
    close = np.round(30_000 * np.exp(np.cumsum(2e-4 * noise.standard_normal(rows))), 2)
    opens = np.concatenate(([30_000.0], close[:-1]))
    columns = {
        "open": opens,
        "high": np.round(np.maximum(opens, close) * (1 + 1e-4 * noise.random(rows)), 2),
        "low": np.round(np.minimum(opens, close) * (1 - 1e-4 * noise.random(rows)), 2),
        "close": close,
        "volume": np.round(100 * noise.random(rows), 5),
    }
    index = pd.date_range("2005-01-01", periods=rows, freq="1min", tz="UTC", unit="us", name="timestamp")
    return pd.DataFrame(columns, index=index)


def _parquet(bars: pd.DataFrame, folder: Path) -> Path:
    bars.to_parquet(folder / "bars.parquet")
    return folder / "bars.parquet"


def _csv(bars: pd.DataFrame, folder: Path) -> Path:
    bars.to_csv(folder / "bars.csv")
    return folder / "bars.csv"


def _kline_csv(bars: pd.DataFrame, folder: Path) -> Path:
    times = pd.DatetimeIndex(bars.index).asi8 // 1_000
    step = int(np.diff(times[:2])[0])
    volume = bars["volume"].to_numpy()
    quote = volume * (bars["high"] + bars["low"]).to_numpy() / 2
    zeros = np.zeros(len(bars), np.int8)
    columns = [times, *(bars[name].to_numpy() for name in bars.columns)]
    columns += [times + step - 1, quote, zeros + 7, volume / 2, quote / 2, zeros]
    table = pa.table(columns, names=[str(number_) for number_ in range(12)])
    pa_csv.write_csv(table, folder / "bars.csv", pa_csv.WriteOptions(include_header=False))
    return folder / "bars.csv"


def _kline_zip(bars: pd.DataFrame, folder: Path) -> Path:
    text = _kline_csv(bars, folder)
    with zipfile.ZipFile(folder / "bars.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(text, "bars.csv")
    text.unlink()
    return folder / "bars.zip"
