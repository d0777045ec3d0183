"""Sources ccxt and yahoo: what their libraries return becomes bars, and a library that is missing is told."""

import http.server
import json
import sys
import threading
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest

from forge_core.errors import ConfigError, DataError
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.protocol import Request
from forge_core.market.sources.providers.ccxt import CcxtSource, rows_to_bars
from forge_core.market.sources.providers.yahoo import YahooSource, history_to_bars
from forge_core.market.sources.refresh import refresh_bars
from forge_core.market.store.bar_store import BarStore
from tests.extras import import_extra
from tests.market.bar_tables import same_bars, walk

BARS = walk(2_500, "1h", "2024-01-01").round(2)
KRAKEN = {"source": "ccxt", "source_symbol": "BTC/USDT", "source_options": {"exchange": "kraken"}}


def request(timeframe, start, now, stored=()):
    times = pd.DatetimeIndex(stored, tz="UTC").as_unit("us").asi8 if len(stored) else np.empty(0, dtype=np.int64)
    now = pd.Timestamp(now, tz="UTC")
    return Request(Timeframe.parse(timeframe), pd.Timestamp(start, tz="UTC"), now, now, times)


def candles(bars: pd.DataFrame) -> list[list]:
    """Return bars as ``fetch_ohlcv`` does: milliseconds, open, high, low, close, volume."""
    times = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    return [[int(t), *row] for t, row in zip(times, bars.to_numpy().tolist(), strict=True)]


def test_candles_become_bars_and_the_one_that_is_open_is_left_out():
    rows = candles(BARS[:50])
    changed = [*rows[:-1], [*rows[-2][:-1], 1e6], rows[-1]]  # pages overlap: the newest version counts
    bars = rows_to_bars(changed, request("1h", "2024-01-01", BARS.index[49].tz_localize(None)), source="x")
    expected = BARS[:49].copy()
    expected.iloc[-1, -1] = 1e6
    same_bars(bars, expected)
    assert rows_to_bars([], request("1h", "2024-01-01", "2024-02-01"), source="x").empty


@pytest.mark.parametrize("missing", ["ccxt", "yfinance"])
def test_a_library_that_is_missing_is_told_with_what_installs_it(home, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    extra = {"ccxt": "ccxt", "yfinance": "yahoo"}[missing]
    options = KRAKEN if extra == "ccxt" else {"source": "yahoo", "source_options": {}}
    instrument = get_instrument("BTCUSDT").model_copy(update=options)
    with pytest.raises(
        ConfigError, match=rf"source {extra} needs the package {missing}.*pip install 'forge-evolve\[{extra}\]'"
    ):
        refresh_bars(instrument, home)


@pytest.fixture
def exchange_server():
    """A server that answers as Binance's public interface does, 1,000 klines at most; yields its address and counts."""
    rows, asked = candles(BARS), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            asked.append(query)
            since = int(query["startTime"])
            page = [row for row in rows if row[0] >= since][: min(1000, int(query["limit"]))]
            klines = [[r[0], *(f"{v:.8f}" for v in r[1:]), r[0] + 3_599_999, "0", 1, "0", "0", "0"] for r in page]
            status, body = (429, {"code": -1003}) if len(asked) == 1 else (200, klines)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.fixture
def exchange(home, exchange_server, monkeypatch):
    """Source ccxt whose exchange is the server above, its markets known already."""
    import_extra("ccxt", extra="ccxt")
    options = {**KRAKEN, "source_options": {"exchange": "binance"}}
    source = CcxtSource(get_instrument("BTCUSDT").model_copy(update=options), home)
    url, asked = exchange_server
    source.exchange.urls["api"]["public"] = url
    market = {
        "id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "type": "spot", "spot": True,
        "swap": False, "future": False, "option": False, "contract": False, "linear": None, "inverse": None,
        "precision": {"amount": 1e-5, "price": 0.01}, "limits": {}, "active": True,
    }  # fmt: skip
    source.exchange.set_markets({"BTC/USDT": market})
    monkeypatch.setattr("forge_core.market.sources.providers.ccxt._LONGEST_WAIT", 0.01)
    return source, asked


@pytest.mark.extras
def test_ccxt_itself_is_asked_page_by_page_and_again_after_a_rate_limit(exchange):
    source, asked = exchange
    assert {"1m", "1h", "1d"} <= set(source.timeframes())
    assert "1M" not in source.timeframes()
    told = []
    now = BARS.index[-1].tz_localize(None) + pd.Timedelta(minutes=90)
    (fetched,) = source.fetch(request("1h", "2023-12-20", now), told.append)
    same_bars(fetched.bars, BARS)
    assert len(asked) == 4  # one refused, three pages
    assert told == ["BTCUSDT 1h: binance returned 2500 bars"]
    assert fetched.origin.startswith("binance by ccxt ")


@pytest.mark.extras
def test_ccxt_is_asked_only_for_what_lacks_at_the_ends(exchange):
    source, asked = exchange
    now = BARS.index[-1].tz_localize(None) + pd.Timedelta(minutes=90)
    stored = BARS.index[:2_400].tz_localize(None)
    (fetched,) = source.fetch(request("1h", "2024-01-01", now, stored), print)
    same_bars(fetched.bars, BARS[2_400:])
    assert [int(query["startTime"]) for query in asked] == [int(BARS.index[2_400].timestamp() * 1000)] * 2
    assert list(source.fetch(request("1h", "2024-01-01", now, BARS.index.tz_localize(None)), print)) == []


@pytest.mark.extras
def test_an_exchange_that_ccxt_does_not_know_is_told(home):
    import_extra("ccxt", extra="ccxt")
    options = {**KRAKEN, "source_options": {"exchange": "kraaken"}}
    with pytest.raises(ConfigError, match=r"BTCUSDT: unknown exchange 'kraaken' \(did you mean 'kraken'\?\)"):
        CcxtSource(get_instrument("BTCUSDT").model_copy(update=options), home)
    with pytest.raises(ConfigError, match="source_options of ccxt: exchange is missing"):
        CcxtSource(get_instrument("BTCUSDT").model_copy(update={**KRAKEN, "source_options": {}}), home)


def history(bars: pd.DataFrame, zone: str, name: str) -> pd.DataFrame:
    """Return bars as ``Ticker.history`` does: the exchange's zone, capital names, whole volumes, an adjusted close."""
    frame = bars.rename(columns=str.capitalize).set_axis(
        pd.DatetimeIndex(bars.index).tz_convert(zone).rename(name), axis=0
    )
    frame["Volume"] = frame["Volume"].astype("int64")
    frame.insert(4, "Adj Close", frame["Close"] * 0.97)
    return frame


def test_daily_history_is_stamped_with_its_trade_date_and_today_is_left_out():
    index = pd.date_range("2024-03-01", periods=12, freq="D", tz="America/New_York")  # over the change of the clocks
    bars = walk(12, "1d").set_axis(index.tz_convert("UTC"), axis=0)
    got = history_to_bars(
        history(bars, "America/New_York", "Date"), request("1d", "2024-01-01", "2024-03-12 19:00"), source="ZS 1d"
    )
    expected = bars[:11].set_axis(
        pd.date_range("2024-03-01", periods=11, tz="UTC", unit="us", name="timestamp"), axis=0
    )
    same_bars(got, expected)


def test_hourly_history_keeps_its_half_hours_and_loses_the_quote_of_the_moment():
    day = pd.date_range("2024-03-11 09:30", periods=7, freq="h", tz="America/New_York")
    quote = pd.DatetimeIndex(["2024-03-12 10:12:43"], tz="America/New_York")
    index = day.append(pd.DatetimeIndex(["2024-03-12 09:30"], tz="America/New_York")).append(quote)
    bars = walk(9, "1h").set_axis(index.tz_convert("UTC"), axis=0)
    got = history_to_bars(
        history(bars, "America/New_York", "Datetime"), request("1h", "2024-03-01", "2024-03-12 14:12:45"), source="x"
    )
    same_bars(got, bars[:7].set_axis(pd.DatetimeIndex(bars.index[:7]).as_unit("us").rename("timestamp"), axis=0))
    assert history_to_bars(pd.DataFrame(), request("1h", "2024-03-01", "2024-03-12"), source="x").empty


class RecordedTicker:
    """Stands in for ``yfinance.Ticker``: this machine need not reach Yahoo."""

    asked: ClassVar[list[dict]] = []

    def __init__(self, name: str) -> None:
        self.name = name

    def history(self, **options):
        RecordedTicker.asked.append({"name": self.name, **options})
        index = pd.date_range(options["start"].normalize(), options["end"], freq="D", tz="UTC").tz_localize(None)
        bars = walk(len(index), "1d").set_axis(index.tz_localize("America/New_York").tz_convert("UTC"), axis=0)
        return history(bars, "America/New_York", "Date")


@pytest.mark.extras
def test_yahoo_is_asked_by_its_own_name_for_raw_prices_as_far_back_as_it_goes(home, monkeypatch):
    yfinance = import_extra("yfinance", extra="yahoo")
    monkeypatch.setattr(yfinance, "Ticker", RecordedTicker)
    RecordedTicker.asked.clear()
    soybeans = get_instrument("ZS").model_copy(update={"source": "yahoo", "source_symbol": "ZS=F"})
    now = pd.Timestamp("2024-03-12 19:00", tz="UTC")
    since = pd.Timestamp("2024-01-01", tz="UTC")
    (report,) = refresh_bars(soybeans, home, timeframes=["1d"], since=since, now=now)
    assert report.inserted == 71
    with BarStore(home.store) as store:
        assert [str(moment.date()) for moment in store.span("ZS", "1d")] == ["2024-01-01", "2024-03-11"]
    (asked,) = RecordedTicker.asked
    assert (asked["name"], asked["auto_adjust"], asked["interval"]) == ("ZS=F", False, "1d")
    told = []
    refresh_bars(soybeans, home, timeframes=["15m"], since=since, now=now, log=told.append)
    assert told[0] == "ZS 15m: Yahoo has no 15m bars before 2024-01-13"
    assert RecordedTicker.asked[-1]["start"] == now - pd.Timedelta(days=59)


@pytest.mark.extras
def test_yahoo_that_fails_is_told_and_its_settings_are_put_back(home, monkeypatch):
    yfinance = import_extra("yfinance", extra="yahoo")

    class Failing(RecordedTicker):
        def history(self, **options):
            raise (yfinance.exceptions.YFRateLimitError() if self.name == "ZS" else ConnectionError("no route"))

    monkeypatch.setattr(yfinance, "Ticker", Failing)
    before = yfinance.config.debug.hide_exceptions
    for name, fault in (("", "YFRateLimitError"), ("ZS=F", "no route")):
        soybeans = get_instrument("ZS").model_copy(update={"source": "yahoo", "source_symbol": name})
        with pytest.raises(DataError, match=rf"ZS 1d: source yahoo failed .*{fault}.*no bars were stored"):
            refresh_bars(soybeans, home, timeframes=["1d"], since=pd.Timestamp("2024-01-01", tz="UTC"))
    assert yfinance.config.debug.hide_exceptions == before
    assert YahooSource(get_instrument("ZS"), home).timeframes() == ["5m", "15m", "30m", "1h", "1d"]
