"""Columns of other symbols: only their closed bars are seen, the last known one for a stated time."""

import numpy as np
import pandas as pd
import pytest

from forge_core.engine.backtest import GENERIC_INSTRUMENT, backtest
from forge_core.errors import ConfigError, PlayError
from forge_core.evolution.search.mirror import mirror_reference
from forge_core.features.column import ReferenceBars
from forge_core.features.registry import make_reference
from forge_core.features.scale import Scale
from forge_core.features.transforms import apply_transform
from forge_core.feeds.build import feed_from_bars
from forge_core.market.bars.model import resample_bars
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.timeframes import Timeframe
from forge_core.plays.canonical import play_hash
from forge_core.plays.describe import describe_column
from forge_core.plays.parser import parse_play, play_to_dict, play_to_yaml
from tests.features.sample_bars import same, walk
from tests.plays.example import change, refusal

OTHER = "BTCUSDT"
ATR = "  atr: {indicator: atr}\n"


def frame(seed: int, freq: str = "15min", start: str = "2024-01-01", size: int = 420) -> pd.DataFrame:
    index = pd.date_range(start, periods=size, freq=freq, tz="UTC", unit="us", name="timestamp")
    return pd.DataFrame(walk(seed, size), index=index)


def columns(own, other, max_age=3, timeframe="15m"):
    references = {OTHER: ReferenceBars(other, max_age)}
    return feed_from_bars(own, instrument=GENERIC_INSTRUMENT, timeframe=timeframe, references=references).columns


def column(name, timeframe="15m", **keys):
    return make_reference(name, keys.pop("params", {}), timeframe=timeframe, symbol=OTHER, **keys)


def merged(own, values, length, max_age):
    """The last value known at each close, by way of pandas, NaN from ``max_age`` missing bars on."""
    closes = pd.DataFrame({"at": own.index + pd.Timedelta("15min")})
    known = pd.DataFrame({"at": values.index + length, "since": values.index + length, "value": values.to_numpy()})
    found = pd.merge_asof(closes, known, on="at")
    return found["value"].where(found["at"] - found["since"] < (1 + max_age) * length).to_numpy()


@pytest.mark.parametrize("max_age", [0, 3, 30])
@pytest.mark.parametrize("timeframe", ["15m", "1h", "4h"])
def test_the_last_closed_bar_counts_until_its_age(timeframe, max_age):
    own, other = frame(1), frame(2, start="2024-01-01 03:00")
    keep = np.random.default_rng(4).random(len(other)) < 0.8
    keep[100:160] = False
    other = other[keep]
    length = Timeframe.parse(timeframe).timedelta
    bars = other if timeframe == "15m" else resample_bars(other, Timeframe.parse(timeframe), session=Session())
    got = columns(own, {"15m": other}, max_age).column(column("close", timeframe))
    assert same(got, merged(own, bars["close"], length, max_age))
    assert np.isnan(got).any()


def test_an_indicator_is_computed_on_the_other_symbols_own_bars():
    own, other = frame(1), frame(2).drop(frame(2).index[50:60])
    reference = column("ema", params={"timeperiod": 7}, transform="slope:5")
    got = columns(own, {"15m": other}, 100).column(reference)
    alone = feed_from_bars(other, instrument=GENERIC_INSTRUMENT, timeframe="15m").columns
    plain = alone.column(make_reference("ema", {"timeperiod": 7}, timeframe="15m", transform="slope:5"))
    assert same(got, merged(own, pd.Series(plain, other.index), pd.Timedelta("15min"), 100))
    assert np.isnan(got[: columns(own, {"15m": other}).warmup(reference)]).all()


def test_a_stated_coarser_timeframe_is_used_and_not_resampled():
    hourly = frame(7, "1h", size=105)
    got = columns(frame(1), {"15m": frame(2), "1h": hourly}).column(column("close", "1h"))
    assert set(got[~np.isnan(got)]) <= set(hourly["close"])


def test_the_ratio_of_closes_is_of_bars_closed_at_the_same_time():
    own, other = frame(1), frame(2).drop(frame(2).index[200:220])
    source = columns(own, {"15m": other}, 3)
    known = merged(own, other["close"], pd.Timedelta("15min"), 3)
    expected = own["close"].to_numpy() / known
    assert same(source.column(column("relative")), expected)
    assert np.isnan(expected[205:220]).all()
    score = source.column(column("relative", transform="zscore:20"))
    assert same(score, apply_transform(expected, own["close"].to_numpy(), Scale("ratio"), "zscore:20"))


@pytest.mark.parametrize(
    "reference", [column("rsi"), column("ema", "1h"), column("relative"), column("relative", "1h")]
)
def test_no_value_depends_on_later_bars_of_either_symbol(reference):
    own, other = frame(1), frame(2)
    whole = columns(own, {"15m": other}).column(reference)
    for cut in (60, 215, 400):
        end = own.index[cut]
        changed = pd.concat([other[other.index < end], 3.0 * frame(9)[frame(9).index >= end]])
        later = pd.concat([own[own.index < end], 3.0 * frame(8)[frame(8).index >= end]])
        assert same(columns(later, {"15m": changed}).column(reference)[:cut], whole[:cut])
        assert same(columns(own[:cut], {"15m": other[other.index < end]}).column(reference), whole[:cut])
        # a bar that has not closed at the last close is not seen
        assert same(columns(own[:cut], {"15m": other}).column(reference), whole[:cut])


def test_a_symbol_that_the_data_do_not_have_is_refused():
    feed = feed_from_bars(frame(1), instrument=GENERIC_INSTRUMENT, timeframe="15m")
    with pytest.raises(PlayError, match=r"the data have no bars of BTCUSDT \(references: none\)"):
        feed.columns.column(column("rsi"))


# ---------------------------------------------------------------- in a Play


def with_feature(text: str, rule: str) -> str:
    return change(ATR, f"{ATR}  x: {text}\n").replace("long: fast > slow", f"long: {rule}")


def test_other_symbols_are_read_written_and_described():
    play = parse_play(with_feature("{indicator: rsi, symbol: BTCUSDT}", "x > 50"))
    assert play.features["x"] == column("rsi")
    assert parse_play(play_to_yaml(play)) == play
    assert play_to_dict(play)["features"]["x"]["symbol"] == OTHER
    assert describe_column(column("rsi", "1h"), "15m") == "rsi(14)@1h@BTCUSDT"
    assert column("rsi").canonical == "rsi.real(timeperiod=14)@15m/BTCUSDT"
    other = parse_play(with_feature("{indicator: rsi, symbol: ETHUSDT}", "x > 50"))
    own = parse_play(with_feature("{indicator: rsi}", "x > 50"))
    assert len({play_hash(play), play_hash(other), play_hash(own)}) == 3
    ratio = parse_play(with_feature("{relative: {to: BTCUSDT}, transform: {zscore: 50}, timeframe: 1h}", "x < -2"))
    assert parse_play(play_to_yaml(ratio)) == ratio
    assert play_to_dict(ratio)["features"]["x"]["relative"] == {"to": OTHER}
    assert describe_column(ratio.features["x"], "15m") == "zscore(relative(BTCUSDT)@1h, 50)"
    assert mirror_reference(column("relative")) == column("relative")


@pytest.mark.parametrize(
    ("feature", "rule", "why"),
    [
        ("{indicator: ema, symbol: BTCUSDT}", "close > x", "are of different symbols"),
        ("{indicator: atr, symbol: BTCUSDT}", "atr > x", "are of different symbols"),
        ("{relative: {to: BTCUSDT}}", "close > x", "are of different symbols"),
        ("{relative: {to: BTCUSDT}, symbol: ETHUSDT}", "x rising 2", "takes no symbol"),
        ("{calendar: hour, symbol: ETHUSDT}", "x > 9.5", "takes no symbol"),
        ("{relative: BTCUSDT}", "x rising 2", "relative"),
        ("{indicator: ema, symbol: 'a b'}", "x rising 2", "symbol"),
        ("{relative: {to: BTCUSDT}, timeperiod: 3}", "x rising 2", "unknown parameter 'timeperiod'"),
    ],
)
def test_comparisons_that_mean_nothing_are_refused(feature, rule, why):
    assert why in refusal(with_feature(feature, rule))


@pytest.mark.parametrize("rule", ["x > rsi", "x rising 3", "x crosses_above 50"])
def test_bounded_columns_of_two_symbols_are_comparable(rule):
    parse_play(with_feature("{indicator: rsi, symbol: BTCUSDT}", rule))


def test_a_backtest_of_frames_takes_other_symbols():
    play = """
name: filtered
timeframe: 15m
features: {x: {indicator: rsi, timeperiod: 5, symbol: BTCUSDT}}
entry: {long: x crosses_above 50}
exit: {long: x crosses_below 50}
"""
    result = backtest(play, frame(1), references={OTHER: frame(2)})
    assert len(result.trades) > 3
    with pytest.raises(PlayError, match="no bars of BTCUSDT"):
        backtest(play, frame(1))
    with pytest.raises(ConfigError, match="unknown symbol 'BTCUSDTX'"):
        backtest(play, frame(1), references={"BTCUSDTX": frame(2)})
