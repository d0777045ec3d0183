"""The catalog and the instruments that come with Forge, and what a faulty catalog is told."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from forge_core.errors import ConfigError
from forge_core.evolution.search.search_space import space_timeframes
from forge_core.evolution.spec.space import SpaceSpec
from forge_core.market.reference.catalog import get_dataset_spec, load_catalog
from forge_core.market.reference.instruments import load_instruments
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.protocol import Request
from forge_core.market.sources.providers.sample import SampleSource
from forge_core.paths import Home

SHIPPED = [
    *(f"SP500_{name}" for name in ("FULL_CYCLE", "2000_2011", "2012_2018", "BEAR_2000", "BULL_2003", "BEAR_2008")),
    *(f"SP500_{name}" for name in ("BULL_2013", "RANGE_2015")),
    *(f"NASDAQ_{name}" for name in ("FULL_CYCLE", "2000_2011", "2012_2018", "DOTCOM_BUST", "VOLATILE_2000")),
    *(f"NASDAQ_{name}" for name in ("BULL_2003", "RANGE_2015", "BULL_2016")),
]
SAMPLE = [get_dataset_spec(name) for name in SHIPPED]  # a user may have added others


def test_the_named_datasets_are_there():
    assert {
        "BTCUSDT_FULL_CYCLE", "BTCUSDT_BEAR_2022", "BTCUSDT_BULL_2024", "SOLUSDT_VOLATILE", "ETHUSDT_RANGE",
        "SP500_FULL_CYCLE", "SP500_BEAR_2008", "SP500_BULL_2013", "NASDAQ_DOTCOM_BUST",
    } <= set(load_catalog())  # fmt: skip
    spec = get_dataset_spec("BTCUSDT_FULL_CYCLE")
    assert (spec.start, spec.end) == (datetime(2021, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    assert spec.timeframes == ["15m", "1h", "4h", "1d"]


@pytest.mark.parametrize(
    "space", [{"level": 10}, {"preset": "mtf_full"}, {"preset": "mtf_light"}, {"level": 6}], ids=str
)
def test_shipped_datasets_have_the_timeframes_that_every_level_and_preset_reads(space):
    for name in ("BTCUSDT_FULL_CYCLE", "ETHUSDT_FULL_CYCLE", "BTCUSDTPERP_BULL_2023"):
        spec = get_dataset_spec(name)
        wanted = SpaceSpec.model_validate(space)
        labels = space_timeframes(wanted, spec.timeframes[0], spec.timeframes)
        assert len(labels) == wanted.base.timeframes


@pytest.mark.parametrize("spec", SAMPLE, ids=lambda spec: spec.name)
def test_a_regime_of_the_sample_is_what_its_name_says(spec):
    times = np.empty(0, dtype=np.int64)
    start, end = pd.Timestamp(spec.start), pd.Timestamp(spec.end)
    asked = Request(Timeframe.parse("1d"), start, end, end, times)
    ((bars, *_),) = SampleSource(load_instruments()[spec.symbol], Home.current()).fetch(asked, print)
    close = bars["close"][(bars.index >= spec.start) & (bars.index < spec.end)]
    change = close.iloc[-1] / close.iloc[0] - 1
    logs = np.log(close).diff().dropna()
    volatility = logs.std() * 252**0.5
    assert f"{100 * change:+.0f} %" in spec.characteristics
    assert f"volatility {100 * volatility:.0f} %" in spec.characteristics
    if spec.regime == "bear":
        assert change < -0.3
    elif spec.regime == "bull":
        assert change > 0.3
        assert volatility < 0.2
    elif spec.regime == "range":
        assert abs(change) < 0.03
        assert close.max() / close.min() < 1.25
    elif spec.regime == "volatile":
        assert volatility > 0.4


def test_the_sample_has_train_and_holdout_halves_that_do_not_meet():
    for symbol in ("SP500", "NASDAQ"):
        assert get_dataset_spec(f"{symbol}_2000_2011").end == get_dataset_spec(f"{symbol}_2012_2018").start


@pytest.mark.parametrize(
    ("symbol", "tick_value", "trade_date_opens"),
    [
        ("ZS", 12.5, "19:00"), ("ZC", 12.5, "19:00"), ("ZW", 12.5, "19:00"), ("GC", 10.0, "17:00"),
        ("SI", 25.0, "17:00"), ("CL", 10.0, "17:00"), ("NG", 10.0, "17:00"), ("ES", 12.5, "17:00"),
        ("NQ", 5.0, "17:00"), ("YM", 5.0, "17:00"), ("6E", 6.25, "17:00"),
    ],
)  # fmt: skip
def test_a_tick_of_a_future_is_worth_what_the_exchange_says(symbol, tick_value, trade_date_opens):
    spec = load_instruments()[symbol]
    assert spec.tick * spec.multiplier == pytest.approx(tick_value)
    assert (spec.session.timezone, spec.session.opens) == ("America/Chicago", trade_date_opens)
    assert spec.annualization == 252
    assert spec.positive_prices == (symbol != "CL")


@pytest.mark.parametrize(
    "symbol",
    [
        "SP500",
        "NASDAQ",
        "BTCUSDT",
        "ETHUSDT",
        "SOLUSDT",
        "BTCUSDTPERP",
        "ZS",
        "ZC",
        "ZW",
        "GC",
        "SI",
        "CL",
        "NG",
        "ES",
        "NQ",
        "YM",
        "6E",
    ],
)
def test_no_instrument_that_comes_with_forge_trades_for_nothing(symbol):
    spec = load_instruments()[symbol]
    assert spec.commission_bps + spec.commission_per_contract > 0
    assert spec.slippage_bps + spec.slippage_ticks > 0


def test_an_unknown_dataset_is_answered_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"unknown dataset 'BTCUSDT_BEAR_2023' \(did you mean 'BTCUSDT_BEAR_2022'\?\)"
    ):
        get_dataset_spec("BTCUSDT_BEAR_2023")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"symbol": "BTC"}, r"dataset D: unknown symbol 'BTC'"),
        ({"start": "2025-01-01"}, r"catalog.yaml:\d: datasets.D: the end 2024-01-01 is not after the start 2025-01-01"),
        ({"start": "someday"}, r"datasets.D.start: not a date of the form 2021-01-01, got 'someday'"),
        ({"start": "7"}, r"datasets.D.start: not a date of the form 2021-01-01"),
        ({"timeframes": "[1h, 15m]"}, r"datasets.D.timeframes: timeframes are listed once each, finest first"),
        ({"timeframes": "[15m, 15m]"}, r"listed once each"),
        ({"timeframes": "[45m, 1h]"}, r"1h is not a multiple of the first timeframe 45m"),
        ({"timeframes": "[15min]"}, r"timeframe '15min' is not one of the form"),
        ({"timeframes": "[]"}, r"datasets.D.timeframes"),
        ({"regime": "sideways"}, r"datasets.D.regime: .*, got 'sideways'"),
        ({"colour": "red"}, r"unknown key 'datasets.D.colour'"),
        ({"name": "../D"}, r"dataset '../D' is not allowed"),
    ],
)
def test_a_faulty_catalog_is_told_what_and_where(tmp_path, change, match):
    entry = {"symbol": "BTCUSDT", "start": "2023-01-01", "end": "2024-01-01", "timeframes": "[15m]", "regime": "bull"}
    path = tmp_path / "catalog.yaml"
    path.write_text("datasets:\n  D:\n" + "".join(f"    {k}: {v}\n" for k, v in {**entry, **change}.items()))
    with pytest.raises(ConfigError, match=match):
        load_catalog(path)


def test_a_missing_catalog_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.yaml is missing: it names the datasets"):
        load_catalog(tmp_path / "nowhere.yaml")


def test_times_in_a_catalog_are_utc(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(
        "datasets:\n  D: {symbol: BTCUSDT, start: 2023-01-01T12:30:00+02:00, end: '2023-02-01', "
        "timeframes: [1h], regime: bull}"
    )
    spec = load_catalog(path)["D"]
    assert spec.start == datetime(2023, 1, 1, 10, 30, tzinfo=UTC)
    assert spec.end == datetime(2023, 2, 1, tzinfo=UTC)
