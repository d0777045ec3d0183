"""Stress test of one Play on one dataset: what small changes of costs, orders, parameters and bars do."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forge_core.engine.costs import Costs
from forge_core.engine.simulate import Simulation, simulate
from forge_core.evidence.markets.market import Market
from forge_core.evidence.robustness.probes import (
    COST_FACTORS,
    DELAYS,
    START_SHIFTS,
    delayed,
    drawdown_probes,
    noisy,
    trade_probes,
)
from forge_core.feeds.feed import Feed
from forge_core.judging.neighbours import neighbours
from forge_core.metrics.catalog import METRIC_INDEX
from forge_core.plays.model import Play
from forge_core.reports import charts, html

SLIPPAGES = (1.0, 5.0, 10.0)  # bps more a fill
NOISES = 5
_SEED = 1
_FIGURES = ("sharpe", "total_return", "max_drawdown", "total_trades")


@dataclass(frozen=True)
class Stress:
    """One variant of a Play's backtest; figures are None where the variant has none, or where they are undefined."""

    kind: str
    variant: str
    sharpe: float | None = None
    total_return: float | None = None
    max_drawdown: float | None = None
    total_trades: int | None = None


def stress_test(
    play: Play, market: Market, *, costs: Costs | None = None, cash: float = 100_000.0, seed: int = _SEED
) -> list[Stress]:
    """Return the Play's own figures first, then each variant.

    Costs at 0 to 3 times; more slippage; orders 1 to 4 bars late; the start 5 to 60 trade dates later; each number of
    the Play one step away; bars with noise of 10 % of ATR; without the best trades; largest drawdown of the trades in
    other orders and of blocks of days. Raises the errors of a backtest.
    """
    return list(_variants(play, market, costs or Costs.of(market.instrument), cash, seed))


def _variants(play: Play, market: Market, costs: Costs, cash: float, seed: int) -> Iterator[Stress]:
    feed = market.feed()

    def run(kind: str, variant: str, other: Play, bars: Feed, terms: Costs) -> Stress:
        return _figures(kind, variant, simulate(other, bars, costs=terms, cash=cash))

    own = simulate(play, feed, costs=costs, cash=cash, record=True)
    yield _figures("own", "unchanged", own)
    for factor in COST_FACTORS:
        if factor != 1.0:
            scaled = Costs(**{name: value * factor for name, value in costs.model_dump().items()})
            yield run("costs", f"x {factor:g}", play, feed, scaled)
    for bps in SLIPPAGES:
        more = costs.model_copy(update={"slippage_bps": costs.slippage_bps + bps})
        yield run("slippage", f"{bps:g} bps more", play, feed, more)
    for bars in DELAYS:
        late = delayed({"": feed}, bars)[""]
        yield run("delay", f"{bars} bar{'s' * (bars > 1)} late", play, late, costs)
    days = market.days
    for shift in START_SHIFTS:
        if days.size > 2 * shift:
            yield run("start", f"{shift} trade dates later", play, market.window(int(days[shift]), None).feed(), costs)
    for label, other in neighbours(play):
        yield run("parameter", label, other, feed, costs)
    rng = np.random.default_rng([seed, 1])
    for number in range(1, NOISES + 1):
        yield run("noise", f"10 % of ATR, draw {number}", play, noisy(market, rng).feed(), costs)
    if own.metrics[METRIC_INDEX["total_trades"]]:
        for probe in trade_probes([own], cash):
            yield Stress("trades", probe.variant, total_return=probe.total_return, total_trades=probe.trades)
        for probe in drawdown_probes([own], cash, seed):
            yield Stress("order", probe.variant, max_drawdown=probe.drawdown)


def _figures(kind: str, variant: str, run: Simulation) -> Stress:
    values = [float(run.metrics[METRIC_INDEX[name]]) for name in _FIGURES]
    sharpe, total_return, drawdown, trades = (None if np.isnan(value) else value for value in values)
    return Stress(kind, variant, sharpe, total_return, drawdown, int(trades or 0))


def stress_table(rows: list[Stress]) -> pd.DataFrame:
    """Return the variants as a table."""
    return pd.DataFrame([vars(row) for row in rows])


def stress_page(play: Play, dataset: str, rows: list[Stress]) -> str:
    """Return a page with the picture and the table of a stress test."""
    own = rows[0]
    kinds = list(dict.fromkeys(row.kind for row in rows if row.sharpe is not None))
    groups = []
    for number, kind in enumerate(kinds):
        values = [row.sharpe for row in rows if row.kind == kind and row.sharpe is not None]
        places = number + np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else np.array([float(number)])
        color = charts.ORANGE if kind == "own" else charts.BLUE
        groups.append((kind, color, places, np.array(values)))
    cells = [(row.kind, row.variant, *map(_text, (row.sharpe, row.total_return, row.max_drawdown)),
              "" if row.total_trades is None else f"{row.total_trades:,}") for row in rows]  # fmt: skip
    return html.page(
        f"Stress test of {play.name} on {dataset}",
        [
            html.heading(f"Stress test of {play.name} on {dataset}", 1),
            html.paragraph(summary(rows), "lead"),
            charts.scatter_chart(
                "Sharpe ratio of every variant",
                groups,
                xlabel=", ".join(f"{number} {kind}" for number, kind in enumerate(kinds)),
                ylabel="Sharpe ratio",
                radius=7,
            ),
            html.table(("kind", "variant", "sharpe", "total return", "max drawdown", "trades"), cells, sortable=True),
            html.paragraph(f"Own Sharpe ratio: {_text(own.sharpe)}."),
        ],
    )


def summary(rows: list[Stress]) -> str:
    """Return in one sentence how many variants still earn, and the worst of each kind."""
    own, others = rows[0], [row for row in rows[1:] if row.total_return is not None]
    losing = [row for row in others if (row.total_return or 0.0) <= 0.0]
    text = f"{len(others) - len(losing)} of {len(others)} variants earn; the Play itself {_percent(own.total_return)}"
    if losing:
        worst = min(losing, key=lambda row: row.total_return or 0.0)
        text += f". Worst: {worst.kind}, {worst.variant}, {_percent(worst.total_return)}"
    return text + "."


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1%}"


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
