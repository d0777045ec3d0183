"""Kernels: kept on disk where they can be, without the GIL, and the same to the bit in every process."""

import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import forge_core

PACKAGE = Path(forge_core.__file__).parent

BACKTEST = """
import hashlib, sys
import numpy as np, pandas as pd
from forge_core.engine.backtest import GENERIC_INSTRUMENT
from forge_core.engine.simulate import simulate
from forge_core.feeds.build import feed_from_bars
from forge_core.plays.parser import parse_play

rng = np.random.default_rng(11)
close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, 3_000)))
open_ = np.concatenate(([100.0], close[:-1]))
index = pd.date_range("2020-01-01", periods=close.size, freq="h", tz="UTC", unit="us", name="timestamp")
prices = {"open": open_, "high": np.maximum(open_, close) * 1.002, "low": np.minimum(open_, close) * 0.998}
bars = pd.DataFrame(prices | {"close": close, "volume": rng.integers(1, 9, close.size) * 1.0}, index=index)
feed = feed_from_bars(bars, instrument=GENERIC_INSTRUMENT, timeframe="1h")
play = parse_play('''
name: bits
timeframe: 1h
features:
  fast: {indicator: ema, timeperiod: 9}
  slow: {indicator: ema, timeperiod: 30, timeframe: 4h}
  rsi: {indicator: rsi, timeperiod: 14}
entry:
  long: {any: [fast crosses_above slow, rsi < 40]}
  short: {all: [fast < slow, rsi > 60]}
exit:
  long: {any: [rsi > 70]}
risk: {stop: {atr: 2.5}, trailing: {percent: 0.03}, size: {fraction: 0.5}}
''')
result = simulate(play, feed, record=True)
assert result.metrics[0] > 50, result.metrics[0]
parts = [result.metrics, result.daily_returns, result.equity, result.trades]
print(hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest())
"""


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command, env = [sys.executable, "-c", code], os.environ | environment
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_processes_agree_to_the_last_bit(tmp_path):
    first, second = (run(BACKTEST, tmp_path, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert len(first.stdout.strip()) == 64
    assert first.stdout == second.stdout


@pytest.mark.long
@pytest.mark.parametrize("features", ["", "+avx2,+avx,+sse4.2,+popcnt,+bmi,+bmi2,+lzcnt"])
def test_processors_without_wide_vectors_agree_to_the_last_bit(tmp_path, features):
    plain = run(BACKTEST, tmp_path, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES=features)
    assert plain.stdout == run(BACKTEST, tmp_path).stdout


def test_every_kernel_releases_the_gil():
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(forge_core.__path__, "forge_core.")
        if module.name.startswith(("forge_core.engine", "forge_core.features", "forge_core.metrics"))
    ]
    kernels = {
        value.py_func.__qualname__: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Dispatcher)
    }
    assert {"run_backtest", "summarize", "bits"} <= kernels.keys()
    assert [name for name, kernel in kernels.items() if not kernel.targetoptions.get("nogil")] == []


def test_kernels_work_with_a_warning_where_no_cache_folder_can_be_written(tmp_path):
    copy = tmp_path / "forge_core"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "__pycache__").write_text("a file where a folder would be")
    code = "import forge_core.metrics.summary as summary; print(summary.__file__, summary.ratio(1.0, 4.0))"
    done = run(code, tmp_path, PYTHONPATH=str(tmp_path), XDG_CACHE_HOME="/dev/null", PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout.split() == [str(copy / "metrics" / "summary.py"), "0.25"]
    assert "can be written: kernels are compiled in every process" in done.stderr
