"""The worked examples of docs/fill_contract.md, read from the page and computed anew through the public face."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import forge_core
from forge_core.feeds.build import feed_from_bars
from forge_core.market.reference.instruments import Instrument

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fill_contract.md"
SIGNALS = {"": 0.0, "long": 1.0, "short": 2.0, "exit": 3.0}
COLUMNS = {
    "entry": "entry_time",
    "exit": "exit_time",
    "side": "side",
    "quantity": "quantity",
    "entry price": "entry_price",
    "exit price": "exit_price",
    "reason": "exit_reason",
    "bars": "bars_held",
    "gross": "gross_pnl",
    "commission": "commission",
    "financing": "financing",
    "net": "net_pnl",
}


@dataclass(frozen=True)
class Example:
    """One example of the page: its settings, the rows of its two tables as text, and its equity, if it states it."""

    title: str
    settings: dict
    bars: list[dict[str, str]]
    trades: list[dict[str, str]]
    equity: list[str]
    metrics: dict[str, str]


def read_examples() -> list[Example]:
    """Read the page's last section; what an example does not set is set at the section's head."""
    head, *parts = PAGE.read_text().split("\n## Worked examples\n")[1].split("\n### ")
    defaults = yaml.safe_load(yaml_block(head))
    return [read_example(part, defaults) for part in parts]


def read_example(text: str, defaults: dict) -> Example:
    bars, *traded = tables(text)
    metrics = re.search(r"^Metrics: (.*)$", text, re.MULTILINE)
    equity = re.search(r"^Equity at the closes: (.*)$", text, re.MULTILINE)
    return Example(
        title=text.splitlines()[0],
        settings=defaults | yaml.safe_load(yaml_block(text)),
        bars=bars,
        trades=traded[0] if traded else [],
        equity=equity[1].split(", ") if equity else [],
        metrics=dict(pair.split(" ") for pair in metrics[1].split(", ")) if metrics else {},
    )


def yaml_block(text: str) -> str:
    return text.split("```yaml\n")[1].split("```")[0]


def tables(text: str) -> list[list[dict[str, str]]]:
    """Return the Markdown tables of ``text``, each a list of rows by column name."""
    found = []
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def moment(clock: str) -> pd.Timestamp:
    return pd.Timestamp(f"2024-01-01 {clock}", tz="UTC")


def backtest(example: Example) -> forge_core.BacktestResult:
    index = pd.DatetimeIndex([moment(row["time"]) for row in example.bars], name="timestamp").as_unit("us")
    columns = {name: [float(row[name]) for row in example.bars] for name in ("open", "high", "low", "close")}
    bars = pd.DataFrame({**columns, "volume": [SIGNALS[row["queues"]] for row in example.bars]}, index=index)
    settings = example.settings
    feed = feed_from_bars(bars, instrument=Instrument(**settings["instrument"]), timeframe="1h")
    volume = [float(row.get("volume", 0)) for row in example.bars]
    feed = replace(feed, volume=np.array(volume))  # rules read the signals from the columns
    if "funding" in example.bars[0]:
        feed = replace(feed, funding=np.array([float(row["funding"]) for row in example.bars]))
    switches = pd.DatetimeIndex([moment(clock) for clock in settings["switches"]]) if "switches" in settings else None
    play = {
        "name": "worked_example",
        "timeframe": "1h",
        "entry": {
            "long": {"all": ["volume >= 1", "volume <= 1"]},
            "short": {"all": ["volume >= 2", "volume <= 2"]},
        },
        "exit": {"long": {"all": ["volume >= 3"]}, "short": {"all": ["volume >= 3"]}},
        "risk": settings["risk"],
        **{key: settings[key] for key in ("when", "flat_by") if key in settings},
    }
    return forge_core.backtest(
        play,
        feed,
        costs=forge_core.Costs(**settings["costs"]),
        cash=settings["cash"],
        policy=settings.get("policy", "pessimistic"),
        roll_dates=switches,
        fills=forge_core.FillRules(**settings.get("fills", {})),
    )


def assert_shown(actual: object, shown: str, what: str) -> None:
    """The page's text is the value, rounded to as many decimals as the page shows."""
    if isinstance(actual, pd.Timestamp):
        assert f"{actual:%H:%M}" == shown, what
    elif isinstance(actual, str):
        assert actual == shown, what
    else:
        decimals = len(shown.partition(".")[2])
        exact = 1e-9 if decimals < 4 else 0.5 * 10**-decimals  # short numbers are meant exactly
        assert float(actual) == pytest.approx(float(shown), rel=0, abs=exact * 1.000001), what


EXAMPLES = read_examples()


def test_the_page_has_its_examples():
    assert len(EXAMPLES) >= 20
    assert sum(len(example.trades) for example in EXAMPLES) >= 25
    assert {name for example in EXAMPLES for name in example.metrics} >= {"rejected_orders", "volume_capped", "cagr"}


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.title for example in EXAMPLES])
def test_worked_example(example):
    result = backtest(example)
    assert len(result.trades) == len(example.trades)
    for number, shown in enumerate(example.trades):
        assert shown.keys() == COLUMNS.keys()
        for heading, name in COLUMNS.items():
            assert_shown(result.trades[name].iloc[number], shown[heading], f"{name} of trade {number}")
    for name, shown in example.metrics.items():
        if shown == "-":
            assert result.metrics[name] is None, name
        else:
            assert_shown(result.metrics[name], shown, name)
    if example.equity:
        assert len(result.equity) == len(example.equity)
        for bar, shown in enumerate(example.equity):
            assert_shown(result.equity.iloc[bar], shown, f"equity at the close of bar {bar}")
