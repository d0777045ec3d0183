"""The classic strategies: when they signal, what they refuse, what they find odd, and that they do not look ahead."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from forge_core.engine.backtest import backtest
from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.errors import ConfigError
from forge_core.feeds.build import feed_from_bars
from forge_core.market.reference.instruments import Instrument
from forge_core.plays.classic import classic_strategies, get_strategy
from forge_core.plays.classic.strategy import ClassicStrategy, Options, Period, column, when
from forge_core.plays.model import Group
from forge_core.plays.parser import parse_play, play_to_yaml
from forge_core.plays.validation import check_play
from tests.market.bar_tables import walk

ANY_VOLUME = FillRules(volume_share=None)  # the simulated volume is small
SHARE = Instrument(symbol="SIMSHARE", kind="spot", tick=0.01)
BARS = walk(2_500, "1h", seed=3)
close, high, low = BARS["close"], BARS["high"], BARS["low"]


def crosses_above(left: pd.Series, right: pd.Series | float) -> pd.Series:
    before = right.shift(1) if isinstance(right, pd.Series) else right
    return (left > right) & (left.shift(1) <= before)


def crosses_below(left: pd.Series, right: pd.Series | float) -> pd.Series:
    before = right.shift(1) if isinstance(right, pd.Series) else right
    return (left < right) & (left.shift(1) >= before)


def ema(values: pd.Series, period: int) -> pd.Series:
    """TA-Lib's: it begins with the plain mean of the first ``period`` values."""
    values = values.dropna()
    seeded = pd.concat([pd.Series([values.iloc[:period].mean()], [values.index[period - 1]]), values.iloc[period:]])
    return seeded.ewm(alpha=2 / (period + 1), adjust=False).mean().reindex(BARS.index)


def rsi_signals(smoothing: str) -> tuple[pd.Series, pd.Series]:
    move = close.diff()
    gain, loss = move.clip(lower=0), -move.clip(upper=0)
    if smoothing == "sma":
        gain, loss = gain.rolling(14).mean(), loss.rolling(14).mean()
    else:
        gain, loss = (
            pd.concat([part.iloc[1:15].mean() + 0 * part.iloc[14:15], part.iloc[15:]]) for part in (gain, loss)
        )
        gain, loss = (part.ewm(alpha=1 / 14, adjust=False).mean().reindex(BARS.index) for part in (gain, loss))
    rsi = 100 - 100 / (1 + gain / loss)
    return crosses_below(rsi, 30.0), crosses_above(rsi, 70.0)


def ema_signals() -> tuple[pd.Series, pd.Series]:
    return crosses_above(ema(close, 9), ema(close, 21)), crosses_below(ema(close, 9), ema(close, 21))


def macd_signals() -> tuple[pd.Series, pd.Series]:
    begin = close.iloc[26 - 12 :]  # TA-Lib begins both averages at the same bar
    fast, slow = ema(begin, 12), ema(close, 26)
    line = (fast - slow).dropna()
    signal = ema(line, 9).reindex(line.index)
    above, below = crosses_above(line, signal), crosses_below(line, signal)
    return above.reindex(BARS.index, fill_value=False), below.reindex(BARS.index, fill_value=False)


def bollinger_signals() -> tuple[pd.Series, pd.Series]:
    middle, width = close.rolling(20).mean(), 2 * close.rolling(20).std(ddof=0)
    return crosses_above(close, middle - width), crosses_below(close, middle + width)


def ichimoku_signals() -> tuple[pd.Series, pd.Series]:
    def middle(period):
        return (high.rolling(period).max() + low.rolling(period).min()) / 2

    tenkan, kijun = middle(9), middle(26)
    a, b = ((tenkan + kijun) / 2).shift(26), middle(52).shift(26)
    above, below = (close > a) & (close > b), (close < a) & (close < b)
    return crosses_above(tenkan, kijun) & above, crosses_below(tenkan, kijun) & below


EXPECTED = {
    "rsi": (get_strategy("rsi")(), lambda: rsi_signals("sma")),
    "rsi_wilder": (get_strategy("rsi")(smoothing="wilder"), lambda: rsi_signals("wilder")),
    "ema": (get_strategy("ema")(), ema_signals),
    "macd": (get_strategy("macd")(), macd_signals),
    "bollinger": (get_strategy("bollinger")(), bollinger_signals),
    "ichimoku": (get_strategy("ichimoku")(), ichimoku_signals),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_it_trades_on_the_documents_signals_and_stays_in_the_market(name):
    """Signals by the definition in pandas; filled at the next open, each reversing the one before."""
    strategy, signals = EXPECTED[name]
    long, short = signals()
    wanted, side = [], 0
    for i in range(100, len(BARS) - 1):
        signal = 1 if long.iloc[i] else -1 if short.iloc[i] else 0
        if signal and signal != side:
            side = signal
            wanted.append((BARS.index[i + 1], side, BARS["open"].iloc[i + 1]))
    result = backtest(strategy.play("1h"), BARS, instrument=SHARE, costs=Costs.zero(), fills=ANY_VOLUME)
    trades = result.trades
    assert len(wanted) > 10
    assert list(zip(trades["entry_time"], trades["side"], trades["entry_price"], strict=True)) == wanted
    assert (trades["exit_time"].iloc[:-1].to_numpy() == trades["entry_time"].iloc[1:].to_numpy()).all()
    assert set(trades["exit_reason"].iloc[:-1]) == {"reversal"}
    assert trades["exit_reason"].iloc[-1] == "end_of_data"
    assert (trades["quantity"] == 1).all()


@pytest.mark.parametrize("name", EXPECTED)
def test_bars_to_come_change_no_signal(name):
    strategy, _ = EXPECTED[name]
    cut = 1_500
    noise = walk(len(BARS), "1h", seed=99)
    changed = pd.concat([BARS.iloc[:cut], noise.iloc[cut:]])
    play = strategy.play("1h")
    trades = [
        backtest(play, bars, instrument=SHARE, costs=Costs.zero()).trades for bars in (BARS, changed, BARS.iloc[:cut])
    ]
    entered = [table[table["entry_time"] < BARS.index[cut]][["entry_time", "side", "entry_price"]] for table in trades]
    assert len(entered[0]) > 5
    for other in entered[1:]:
        pd.testing.assert_frame_equal(entered[0], other)


def test_no_order_before_the_warm_up_and_lead_in_bars_count():
    play = get_strategy("ema")(short_period=3, long_period=5).play("1h")
    first = backtest(play, BARS, instrument=SHARE).trades["entry_time"].iloc[0]
    assert first > BARS.index[100]
    late = feed_from_bars(BARS, instrument=SHARE, timeframe="1h", start=150)
    assert BARS.index[150] < backtest(play, late).trades["entry_time"].iloc[0] < BARS.index[170]
    early = get_strategy("ema")(short_period=3, long_period=5).play("1h", Options(warmup_bars=0))
    assert backtest(early, BARS, instrument=SHARE).trades["entry_time"].iloc[0] < BARS.index[40]


def test_options_say_how_it_is_traded():
    strategy = get_strategy("ema")(short_period=3, long_period=8)
    trailing = backtest(strategy.play("1h", Options(trailing_stop=0.01)), BARS, instrument=SHARE).trades
    assert "trailing_stop" in set(trailing["exit_reason"])
    long = backtest(
        strategy.play("1h", Options(sides="long", contracts=3.0)), BARS, instrument=SHARE, fills=ANY_VOLUME
    ).trades
    assert set(long["side"]) == {1}
    assert (long["quantity"] == 3).all()


@pytest.mark.parametrize(
    ("name", "parameters", "reason"),
    [
        ("rsi", {"period": 0}, "greater than or equal to 2"),
        ("rsi", {"period": 1.5}, "integer"),
        ("rsi", {"lower": 70, "upper": 30}, "lower 70 must be below upper 30"),
        ("rsi", {"lower": 50, "upper": 50}, "lower 50 must be below upper 50"),
        ("rsi", {"upper": 100}, "less than 100"),
        ("rsi", {"smoothing": "ema"}, "'sma' or 'wilder'"),
        ("ema", {"short_period": 30, "long_period": 20}, "short_period 30 must be below long_period 20"),
        ("macd", {"fast_period": 26, "slow_period": 26}, "fast_period 26 must be below slow_period 26"),
        ("bollinger", {"deviations": 0}, "greater than 0"),
        ("ichimoku", {"kijun_period": 60}, "tenkan_period 9 < kijun_period 60 < senkou_period 52 must hold"),
        ("ichimoku", {"displacement": -1}, "greater than or equal to 0"),
        ("ema", {"long": 20}, "Extra inputs"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_with_the_reason(name, parameters, reason):
    with pytest.raises(ValidationError, match=reason):
        get_strategy(name)(**parameters)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("rsi", {"period": 3}, "all noise"),
        ("rsi", {"period": 80}, "nearly always about 50"),
        ("rsi", {"lower": 55}, "same side of 50"),
        ("rsi", {"lower": 5}, "hardly ever"),
        ("rsi", {"lower": 45, "upper": 55}, "all the time"),
        ("ema", {"short_period": 20, "long_period": 22}, "so close"),
        ("ema", {"short_period": 2}, "hardly smooths"),
        ("ema", {"long_period": 300}, "too seldom"),
        ("macd", {"fast_period": 20}, "differ by noise"),
        ("macd", {"signal_period": 30}, "slower than"),
        ("bollinger", {"period": 5}, "mostly noise"),
        ("bollinger", {"deviations": 0.5}, "all the time"),
        ("bollinger", {"deviations": 4}, "hardly ever"),
        ("ichimoku", {"displacement": 5}, "its usual value"),
        ("ichimoku", {"tenkan_period": 20}, "so close"),
    ],
)
def test_valid_but_unusual_parameters_give_a_warning(name, parameters, words):
    assert any(words in text for text in get_strategy(name)(**parameters).oddities())
    assert list(get_strategy(name)().oddities()) == []


def test_every_strategy_makes_a_sound_play_that_can_be_written_down():
    assert {"rsi", "ema", "macd", "bollinger", "ichimoku"} <= set(classic_strategies())
    for name, strategy in classic_strategies().items():
        play = strategy().play("15m", Options(trailing_stop=0.03))
        check_play(play)
        assert parse_play(play_to_yaml(play)).entry_long == play.entry_long
        assert play.name.startswith(name)


def test_an_unknown_strategy_is_told_by_its_neighbour():
    with pytest.raises(ConfigError, match="unknown strategy 'bolinger' \\(did you mean 'bollinger'"):
        get_strategy("bolinger")


def test_a_new_strategy_is_one_class():
    class Breakout(ClassicStrategy):
        name: ClassVar[str] = "breakout_of_the_tests"
        period: Period = 20

        def entries(self, timeframe: str) -> tuple[Group, Group]:
            ends = [column("sma", timeframe, timeperiod=self.period + k) for k in (0, 1)]
            return when(ends[0], ">", ends[1]), when(ends[0], "<", ends[1])

    assert get_strategy("breakout_of_the_tests") is Breakout
    trades = backtest(Breakout(period=5).play("1h"), BARS, instrument=SHARE).trades
    assert len(trades) > 10
    assert np.isfinite(trades["net_pnl"]).all()


def test_two_strategies_of_one_name_are_refused():
    known = list(classic_strategies().values())

    class Other(ClassicStrategy):
        name: ClassVar[str] = "ema"

        def entries(self, timeframe: str) -> tuple[Group, Group]:
            return known[0]().entries(timeframe)

    try:
        with pytest.raises(ConfigError, match=r"duplicate strategy name 'ema': .* rename one of them"):
            classic_strategies()
    finally:
        Other.name = "other_of_the_tests"
    assert set(known) < set(classic_strategies().values())
