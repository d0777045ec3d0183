"""Report pages: complete, self-contained, escaped."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import forge_core
from forge_core.cli.main import app
from forge_core.reports import charts, html
from forge_core.reports.play import play_page, reproduction
from tests.reports.bars import walk
from tests.reports.test_figures import PLAY

VOID = {"meta", "br", "hr", "img"}


class Checker(HTMLParser):
    """Collects texts and fails on tags that do not close each other."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "href"), (tag, value)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert "nan" not in " ".join(checker.texts).lower().split()
    return checker


@pytest.fixture(scope="module")
def result():
    return forge_core.backtest(PLAY, walk())


def test_the_page_has_every_trade_and_needs_no_network(result, tmp_path):
    page = result.to_html(tmp_path / "page.html").read_text()
    checker = checked(page)
    listed = page.split(f"All {len(result.trades):,} trades")[1]
    assert listed.count("<tr>") == len(result.trades) + 1
    for word in ("Rules", "YAML", "Terms", "Equity", "Drawdown", "Exposure by month", "Worst drawdowns", "Costs"):
        assert any(word in text for text in checker.texts), word
    for word in ("By exit reason", "By side", "By weekday of entry", "By hour of entry, UTC", "buy and hold"):
        assert any(word in text for text in checker.texts), word
    segments = [
        path for path in re.findall(r' d="([^"]+)"', page) if path.count("M") > 1 and "L" in path and "h0" not in path
    ]
    assert sum(path.count("M") for path in segments) >= len(result.trades)  # none is left out of the chart


def test_every_text_is_escaped(result):
    evil = "<script>alert('x')</script>"
    feed = replace(result.feed, instrument=result.feed.instrument.model_copy(update={"symbol": evil}))
    page = play_page(replace(result, feed=feed, source=evil))
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert" in page
    assert "<img" not in html.table(["<img>"], [["<img>"]]) + html.cards([("<img>", "<img>")]) + html.code("<img>")
    assert "<b>x" not in charts.empty_chart("<b>x</b>")


def test_a_result_without_trades_is_a_page_too(result):
    play = PLAY.replace("fast crosses_above slow", "fast > 1e9").replace("fast crosses_below slow", "fast > 1e9")
    empty = forge_core.backtest(play, walk())
    assert empty.trades.empty
    page = play_page(empty)
    checked(page)
    assert "There was no trade." in page


def test_the_command_of_a_report_reproduces_it(tmp_path, monkeypatch):
    original = forge_core.backtest("studies/plays/ema_cross.yaml", "SP500_BEAR_2008", cash=50_000, policy="ohlc_path")
    page = original.to_html(tmp_path / "first.html").read_text()
    command = reproduction(original, True)
    (yaml,) = re.findall(r"<pre><code>(name: .*?)</code></pre>", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "play.yaml").write_text(yaml.replace("&gt;", ">").replace("&lt;", "<").replace("&#x27;", "'"))
    outcome = CliRunner().invoke(app, command.split()[1:])
    assert outcome.exit_code == 0, outcome.output
    assert (tmp_path / "report.html").read_text() == page


def test_other_terms_are_given_as_a_call(result):
    assert reproduction(result, True).startswith("forge_core.backtest('play.yaml', bars, cash=100000")
    relaxed = forge_core.backtest(
        PLAY, walk(), costs=forge_core.Costs(commission_bps=3), fills=forge_core.FillRules.relaxed()
    )
    call = reproduction(relaxed, False)
    assert "Costs(commission_bps=3.0)" in call
    given = {"forge_core": forge_core, "bars": walk()}
    again = eval(call.replace("'play.yaml'", "PLAY"), given | {"PLAY": PLAY})
    pd.testing.assert_frame_equal(again.trades, relaxed.trades)


def test_ticks_are_round_and_inside():
    for low, high in ((0.0, 1.0), (-3.2, 17.0), (99_000.0, 101_000.0), (0.0001, 0.00013)):
        ticks = charts.nice_ticks(low, high, 5)
        assert 3 <= len(ticks) <= 11
        assert low - 1e-12 <= ticks[0]
        assert ticks[-1] <= high + 1e-12
    assert charts.nice_ticks(1.0, 1.0, 5) == [1.0]


def test_a_chart_keeps_the_extremes_of_a_long_curve():
    values = np.zeros(100_000)
    values[54_321] = 9.0
    curve = pd.Series(values, index=pd.date_range("2024-01-01", periods=100_000, freq="min"))
    drawn = charts.time_chart("x", [charts.Line("", curve)])
    (path,) = re.findall(r'd="(M[\d.,\- ]+)"[^>]*stroke="#2b59c3"', drawn)
    heights = [float(pair.split(",")[1]) for pair in path[1:].split()]
    assert len(heights) < 4_000
    assert min(heights) < 20  # the peak is near the top
