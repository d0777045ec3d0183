"""Adjustment for contract rolls: one level for all timeframes, exact, causal, and the same however long the history."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_core.engine.backtest import backtest
from forge_core.engine.costs import Costs
from forge_core.errors import DataError
from forge_core.features.reference import price_field
from forge_core.features.registry import make_reference
from forge_core.feeds.build import feed_from_bars
from forge_core.market.bars.model import resample_bars
from forge_core.market.futures.adjustment import RollAdjustment
from forge_core.market.importing.importer import read_bars_file
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.reference.timeframes import Timeframe
from tests.market.bar_tables import REAL, needs_real_bars, walk

PRICES = ["open", "high", "low", "close"]
GC, CL = get_instrument("GC"), get_instrument("CL")
HOUR = Timeframe.parse("1h")


def continuous(rows: int, rolls: dict[int, float], timeframe: str = "1h", seed: int = 0) -> pd.DataFrame:
    """A front-month series on ticks of 0.01 whose prices change by a factor at each position."""
    bars = walk(rows, timeframe, seed=seed)
    for position, factor in rolls.items():
        bars.loc[bars.index[position] :, PRICES] *= factor
    bars[PRICES] = bars[PRICES].round(2)
    return bars


def dates(bars: pd.DataFrame, positions: list[int]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(bars.index[positions])


def adjust(bars: pd.DataFrame, roll_dates: pd.DatetimeIndex, anchor: int = 0, instrument=GC) -> pd.DataFrame:
    levels = RollAdjustment.measure({"1h": bars}, roll_dates, anchor=bars.index[anchor], instrument=instrument)
    return levels.adjusted(bars, HOUR)


def feed(bars, positions, *, start=0, higher=None, instrument=GC):
    return feed_from_bars(
        bars, instrument=instrument, timeframe="1h", start=start, higher=higher, roll_dates=dates(bars, positions)
    )


def seen(feed_, name="close", timeframe="1h") -> np.ndarray:
    return feed_.columns.column(price_field(name, timeframe))


# ---------------------------------------------------------------- exact


@pytest.mark.parametrize("anchor", [0, 30, 59, 60, 100, 199])
def test_the_contract_of_the_anchor_keeps_its_prices_and_the_others_their_returns(anchor):
    rolls = {60: 1.2, 140: 0.7}
    bars = continuous(200, rolls)
    adjusted = adjust(bars, dates(bars, [60, 140]), anchor)
    part = [slice(0, 60), slice(60, 140), slice(140, 200)]
    held = part[0 if anchor < 60 else 1 if anchor < 140 else 2]
    pd.testing.assert_frame_equal(adjusted.iloc[held], bars.iloc[held], check_exact=True)
    for here in part:
        ratio = (adjusted[PRICES] / bars[PRICES]).iloc[here].to_numpy()
        assert np.ptp(ratio) < 1e-12
        before, after = bars["close"].iloc[here].to_numpy(), adjusted["close"].iloc[here].to_numpy()
        np.testing.assert_allclose(after[1:] / after[:-1], before[1:] / before[:-1], rtol=1e-12)
    for position in rolls:
        assert adjusted["open"].iloc[position] == pytest.approx(adjusted["close"].iloc[position - 1], rel=1e-12)
    assert (adjusted[PRICES] > 0).all(axis=None)
    pd.testing.assert_series_equal(adjusted["volume"], bars["volume"])


def test_prices_stay_positive_over_years_of_contango():
    """Each roll 4 % up, 100 times: differences would take such a series far below zero."""
    positions = list(range(20, 2020, 20))
    bars = continuous(2_040, dict.fromkeys(positions, 1.04))
    assert (adjust(bars, dates(bars, positions))["low"] > 0).all()


def test_differences_keep_moves_in_points_ties_and_the_grid_of_ticks():
    bars = continuous(200, {})
    bars.loc[bars.index[80] :, PRICES] -= 137.41  # below zero
    bars[PRICES] = bars[PRICES].round(2)
    bars.loc[bars.index[120] :, PRICES] = (bars.loc[bars.index[120] :, PRICES] + 91.37).round(2)
    adjusted = adjust(bars, dates(bars, [80, 120]), instrument=CL)
    assert (bars["low"] < 0).any()
    np.testing.assert_array_equal(adjusted[PRICES], adjusted[PRICES].round(2))  # the doubles that decimals are read as
    for here in (slice(0, 80), slice(80, 120), slice(120, 200)):
        moved = (bars[PRICES].iloc[here] - adjusted[PRICES].iloc[here]).to_numpy()
        assert np.ptp(moved) < 1e-9
        for left, right in (("open", "low"), ("close", "high")):
            tied = (bars[left] == bars[right]).to_numpy()[here]
            np.testing.assert_array_equal((adjusted[left] == adjusted[right]).to_numpy()[here], tied)


def test_a_ratio_of_a_price_below_zero_is_refused():
    bars = continuous(50, {})
    bars.iloc[19, bars.columns.get_loc("close")] = -3.0
    with pytest.raises(
        DataError, match=r"GC 1h: the contract rolls at 2024-01-01 20:00.* from -3\.0 to .*positive_prices"
    ):
        adjust(bars, dates(bars, [20]))


# ---------------------------------------------------------------- causal


@given(st.sets(st.integers(1, 79), max_size=5), st.integers(1, 80), st.integers(0, 79), st.booleans())
def test_bars_to_come_change_nothing(positions, cut, anchor, ratio):
    bars = continuous(80, dict.fromkeys(sorted(positions), 1.1))
    roll_dates, anchor = dates(bars, sorted(positions)), min(anchor, cut - 1)
    settings = {"anchor": anchor, "instrument": GC if ratio else CL}
    pd.testing.assert_frame_equal(
        adjust(bars.iloc[:cut], roll_dates, **settings), adjust(bars, roll_dates, **settings).iloc[:cut],
        check_freq=False, check_exact=True,
    )  # fmt: skip


def test_columns_of_all_timeframes_do_not_change_by_bars_to_come():
    bars = continuous(600, {100: 1.1, 250: 0.8, 400: 1.3, 500: 0.9})
    references = [
        price_field("close", "4h"),
        make_reference("ema", {"timeperiod": 12}, timeframe="1h"),
        make_reference("atr", {"timeperiod": 5}, timeframe="4h"),
    ]
    daily = resample_bars(bars, Timeframe.parse("1d"), session=GC.session)
    whole = feed(bars, [100, 250, 400, 500], start=150, higher={"1d": daily})
    for cut in (260, 401, 420, 555):
        known = daily[daily.index + pd.Timedelta(days=1) <= bars.index[cut - 1] + pd.Timedelta(hours=1)]
        positions = [p for p in (100, 250, 400, 500) if p < cut]
        part = feed(bars.iloc[:cut], positions, start=150, higher={"1d": known})
        for reference in [*references, price_field("close", "1d")]:
            np.testing.assert_array_equal(part.columns.column(reference), whole.columns.column(reference)[:cut])


# ---------------------------------------------------------------- one level for all timeframes


@pytest.mark.parametrize("given", ["native", "resampled"])
def test_every_timeframe_stands_on_one_level(given):
    """The last close of a closed day is the close of the hour it ended with, before and after each roll."""
    bars = continuous(24 * 40, {24 * 12: 1.3, 24 * 25: 0.6})
    daily = resample_bars(bars, Timeframe.parse("1d"), session=get_instrument("BTCUSDT").session)
    instrument = GC.model_copy(update={"session": get_instrument("BTCUSDT").session})
    for first in (0, 9, 15, 30):  # days of history that are given of the daily bars
        higher = {"1d": daily.iloc[first:]} if given == "native" else None
        here = feed(bars, [24 * 12, 24 * 25], start=24 * 16, higher=higher, instrument=instrument)
        ends = np.arange(24 * 31 - 1, 24 * 40, 24)
        np.testing.assert_array_equal(seen(here, timeframe="1d")[ends], seen(here)[ends])


def test_more_history_of_a_coarser_timeframe_changes_no_trade():
    rng = np.random.default_rng(4)
    positions = sorted(rng.choice(np.arange(30, 1_400), 12, replace=False).tolist())
    bars = continuous(1_500, {p: float(rng.uniform(0.8, 1.25)) for p in positions}, seed=2)
    daily = resample_bars(bars, Timeframe.parse("1d"), session=GC.session)
    late = bars.iloc[700:]
    play = {
        "name": "over_the_day",
        "timeframe": "1h",
        "features": {"day": {"price": "close", "timeframe": "1d"}},
        "entry": {"long": {"all": ["close > day"]}},
        "exit": {"long": {"all": ["close < day"]}},
        "warmup_bars": 100,
    }
    runs = []
    for first in (0, 8, 15):
        here = feed_from_bars(
            late, instrument=GC, timeframe="1h", higher={"1d": daily.iloc[first:]}, roll_dates=dates(bars, positions)
        )
        runs.append(backtest(play, here, costs=Costs.zero()).trades)
    assert len(runs[0]) > 10
    for trades in runs[1:]:
        pd.testing.assert_frame_equal(trades, runs[0], check_exact=True)


def test_a_week_that_a_roll_falls_into_is_joined_from_bars_that_show_both_contracts():
    bars = continuous(24 * 28, {24 * 9: 1.5})
    utc = get_instrument("BTCUSDT").session
    week = Timeframe.parse("1w")
    weekly = resample_bars(bars, week, session=utc)
    levels = RollAdjustment.measure(
        {"1h": bars, "1w": weekly}, dates(bars, [24 * 9]), anchor=bars.index[0], instrument=GC
    )
    expected = resample_bars(levels.adjusted(bars, HOUR), week, session=utc)
    got = levels.adjusted(weekly, week, (bars, HOUR))
    pd.testing.assert_frame_equal(got, expected, check_exact=True, check_freq=False)
    alone = levels.adjusted(weekly, week)
    assert (alone["close"] != expected["close"]).sum() == 1


def test_a_roll_is_measured_in_the_finest_timeframe_that_shows_it():
    bars = continuous(24 * 40, {24 * 12: 1.3, 24 * 25: 0.6})
    daily = resample_bars(bars, Timeframe.parse("1d"), session=get_instrument("BTCUSDT").session)
    daily["close"] *= 1.001  # settlements are not last trades
    daily["high"] = daily[["high", "close"]].max(axis=1)
    late = bars.iloc[24 * 20 :]
    levels = RollAdjustment.measure(
        {"1d": daily, "1h": late}, dates(bars, [24 * 12, 24 * 25]), anchor=late.index[0], instrument=GC
    )
    fine, coarse = bars["close"].iloc[24 * 25 - 1], daily["close"].iloc[11]
    assert levels.levels[2] == fine / bars["open"].iloc[24 * 25]
    assert levels.levels[0] == 1.0 / (coarse / daily["open"].iloc[12])


# ---------------------------------------------------------------- what is traded


def test_rules_see_adjusted_prices_and_fills_the_traded_ones():
    bars = continuous(300, {150: 1.4})
    here = feed(bars, [150])
    adjusted = adjust(bars, dates(bars, [150]))
    same = feed_from_bars(adjusted, instrument=GC, timeframe="1h")
    for reference in (
        price_field("close", "1h"),
        price_field("high", "4h"),
        make_reference("ema", {"timeperiod": 20}, timeframe="1h"),
        make_reference("atr", {}, timeframe="2h"),
    ):
        np.testing.assert_array_equal(here.columns.column(reference), same.columns.column(reference))
    np.testing.assert_array_equal(here.close, bars["close"].to_numpy())
    assert np.flatnonzero(here.rolls).tolist() == [150]
    raw = feed_from_bars(bars, instrument=GC, timeframe="1h", roll_dates=dates(bars, [150]), adjust="none")
    np.testing.assert_array_equal(seen(raw), bars["close"].to_numpy())
    assert raw.price_scale is None


def test_stops_by_atr_stand_in_traded_prices():
    """After a roll that doubles the price a stop of one ATR is as far away as the traded bars range."""
    bars = continuous(400, {200: 2.0})
    bars["high"], bars["low"] = bars[["open", "close"]].max(axis=1) + 0.5, bars[["open", "close"]].min(axis=1) - 0.5
    play = {
        "name": "stopped",
        "timeframe": "1h",
        "entry": {"long": {"all": ["volume > 0.001"]}},
        "risk": {
            "size": {"contracts": 1},
            "stop": {"atr": 1.0, "timeperiod": 14},
            "take_profit": {"atr": 1.0, "timeperiod": 14},
        },
    }
    here = feed(bars, [200], start=0)
    trades = backtest(play, here, costs=Costs.zero(), cash=1e9).trades
    late = trades[(trades["entry_time"] > bars.index[230]) & (trades["exit_reason"] == "stop")]
    ranges = feed_from_bars(bars.iloc[200:], instrument=GC, timeframe="1h")
    atr = ranges.columns.column(make_reference("atr", {"timeperiod": 14}, timeframe="1h"))
    at = bars.index.get_indexer(late["entry_time"]) - 200
    distance = (late["entry_price"] - late["exit_price"]).to_numpy() / atr[at - 1]
    assert len(late) > 10
    assert np.median(distance) == pytest.approx(1.0, abs=0.25)  # some open beyond their stop


# ---------------------------------------------------------------- real series


def real(symbol: str, label: str) -> pd.DataFrame:
    return read_bars_file(REAL / f"{symbol}_{label}.parquet")


def real_rolls(symbol: str) -> pd.DatetimeIndex:
    rows = pd.read_csv(REAL / "roll_dates.csv").query("symbol == @symbol")
    return pd.DatetimeIndex(pd.to_datetime(rows["effective_utc"], utc=True)).as_unit("us")


@needs_real_bars
@pytest.mark.parametrize("symbol", ["ZS", "GC", "CL"])
def test_real_timeframes_differ_by_no_more_than_traded_prices_do(symbol):
    hourly = real(symbol, "1h")["2024-06":"2025-06"]
    higher = {label: real(symbol, label)[:"2025-06"] for label in ("4h", "1d")}
    settings = {"instrument": get_instrument(symbol), "timeframe": "1h", "start": 100, "roll_dates": real_rolls(symbol)}
    adjusted = feed_from_bars(hourly, higher=higher, **settings)
    raw = feed_from_bars(hourly, higher=higher, adjust="none", **settings)
    for label in ("4h", "1d"):
        level = [np.nanmedian(seen(one) - seen(one, timeframe=label)) for one in (adjusted, raw)]
        assert abs(level[0] - level[1]) < 0.002 * hourly["close"].median()
        above = [np.nanmean(seen(one) > seen(one, timeframe=label)) for one in (adjusted, raw)]
        assert above[0] == pytest.approx(above[1], abs=0.05)


@needs_real_bars
@pytest.mark.parametrize("symbol", ["ZS", "GC", "CL"])
def test_real_trades_do_not_depend_on_how_much_of_the_days_was_imported(symbol):
    hourly, daily = real(symbol, "1h")["2024-10":"2025-06"], real(symbol, "1d")[:"2025-06"]
    play = {
        "name": "over_the_day",
        "timeframe": "1h",
        "features": {
            "day": {"price": "close", "timeframe": "1d"},
            "middle": {"indicator": "midprice", "timeperiod": 3, "timeframe": "1d"},
        },
        "entry": {"long": {"all": ["close > day"]}, "short": {"all": ["close < middle"]}},
        "risk": {"size": {"contracts": 1}, "stop": {"atr": 2}},
    }
    runs = [
        backtest(
            play, hourly, instrument=symbol, higher={"1d": daily[first:]}, roll_dates=real_rolls(symbol), cash=1e6
        ).trades
        for first in ("2020", "2022", "2024", "2024-09")
    ]
    assert len(runs[0]) > 20
    for trades in runs[1:]:
        pd.testing.assert_frame_equal(trades, runs[0], check_exact=True)
