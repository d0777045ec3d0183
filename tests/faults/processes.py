"""Work in processes of their own, for tests that kill them."""

from pathlib import Path

import pandas as pd

from forge_core.evolution.steps import run_study
from forge_core.market.importing.importer import import_files
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.sources.download import Limits
from forge_core.market.sources.providers.binance import BinanceSource
from forge_core.market.sources.refresh import refresh_bars
from forge_core.paths import Home
from tests.evolution.studies import small_spec
from tests.sweeps import worker


def evolve(home: str) -> None:
    """Run a small study."""
    run_study(small_spec("killed"), Home(Path(home)))


def load(home: str, files: list[str]) -> None:
    """Import files one after the other."""
    for file in files:
        import_files([file], home=Home(Path(home)))


def refresh(home: str, first: str, now: str) -> None:
    """Fetch one symbol's bars from the archive that the environment names."""
    BinanceSource.limits = Limits(connect=20.0, silence=20.0, attempt=60.0, first_wait=0.01, longest_wait=0.05)
    since, end = pd.Timestamp(first), pd.Timestamp(now)
    refresh_bars(get_instrument("BTCUSDT"), Home(Path(home)), timeframes=("1h",), since=since, now=end)


sweep = worker.work
