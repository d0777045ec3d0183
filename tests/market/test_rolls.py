"""Rolls: their positions, their gaps, and dates that do not fit."""

import pandas as pd
import pytest

from forge_core.market.futures.rolls import first_bars, fitting_share, roll_gaps
from forge_core.market.importing.importer import read_bars_file
from tests.market.bar_tables import REAL, needs_real_bars, walk

PRICES = ["open", "high", "low", "close"]


def with_gaps(bars: pd.DataFrame, rolls: dict[int, float]) -> pd.DataFrame:
    """Lift all bars from each position on by its gap."""
    lifted = bars.copy()
    for position, gap in rolls.items():
        lifted.loc[lifted.index[position] :, PRICES] += gap
    return lifted


def switches_at(bars: pd.DataFrame, positions: list[int], early: str = "0min") -> pd.DatetimeIndex:
    return pd.DatetimeIndex(bars.index[positions] - pd.Timedelta(early))


def real_switches(symbol: str) -> pd.DatetimeIndex:
    rows = pd.read_csv(REAL / "roll_dates.csv").query("symbol == @symbol")
    return pd.DatetimeIndex(pd.to_datetime(rows["effective_utc"], utc=True)).as_unit("us")


def test_gaps_are_those_between_the_last_close_and_the_first_open():
    plain = walk(40)
    bars = with_gaps(plain, {10: 5.0, 30: -2.5})
    gaps = roll_gaps(bars, switches_at(bars, [10, 30], early="7min"))
    assert list(gaps["time"]) == list(bars.index[[10, 30]])
    step = [plain["open"].iloc[k] - plain["close"].iloc[k - 1] for k in (10, 30)]
    assert gaps["gap"].to_numpy() == pytest.approx([5.0 + step[0], -2.5 + step[1]])
    assert (gaps["gap"] == gaps["open"] - gaps["previous_close"]).all()


def test_switches_outside_the_bars_and_two_at_one_bar_count_as_what_they_are():
    bars = walk(20)
    outside = pd.DatetimeIndex([bars.index[0] - pd.Timedelta("9h"), bars.index[0], bars.index[-1] + pd.Timedelta("1h")])
    assert first_bars(bars, outside).size == 0
    assert list(first_bars(bars, switches_at(bars, [7, 7], early="3min"))) == [7]
    assert fitting_share(bars, outside) is None


@needs_real_bars
@pytest.mark.parametrize("symbol", ["ZS", "GC", "CL"])
def test_real_gaps_are_those_of_the_vendor(symbol):
    known = pd.read_csv(REAL / "roll_dates.csv").query("symbol == @symbol and bars == '1h'")
    gaps = roll_gaps(read_bars_file(REAL / f"{symbol}_1h.parquet"), real_switches(symbol)).set_index("time")
    expected = known.set_index(pd.to_datetime(known["first_bar_utc"], utc=True))
    assert gaps.loc[expected.index, "gap"].to_numpy() == pytest.approx(expected["gap"].to_numpy(), abs=1e-9)


@needs_real_bars
@pytest.mark.parametrize("symbol", ["ZS", "GC", "CL"])
@pytest.mark.parametrize("label", ["30m", "1h", "4h", "1d"])
def test_dates_that_fit_the_series_are_told_from_those_that_do_not(symbol, label):
    bars, roll_dates = read_bars_file(REAL / f"{symbol}_{label}.parquet"), real_switches(symbol)
    assert fitting_share(bars, roll_dates) > 0.8
    assert fitting_share(bars, roll_dates + pd.Timedelta(days=7)) < 0.6
