"""Small feeds written by hand: a few bars, the signals of each close as letters, and both engines to run them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forge_core.engine.kernel.exit_reasons import EXIT_REASONS
from forge_core.engine.simulate import simulate
from forge_core.features.column import Column
from forge_core.features.quantized import open_quantized, quantize
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Feed
from forge_core.market.reference.instruments import Instrument
from forge_core.metrics.catalog import METRICS
from forge_core.plays.model import Compare, Group, Play, Risk
from tests.engine.reference_engine import ReferenceResult, reference_backtest

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_704_067_200_000_000  # 2024-01-01 00:00 UTC

SPOT = Instrument(symbol="SIMSPOT", kind="spot", tick=0.5, lot=0.01)
PERPETUAL = Instrument(symbol="SIMPERP", kind="perpetual", tick=0.5, lot=0.01, max_leverage=10.0)
FUTURE = Instrument(
    symbol="SIMFUT", kind="future", tick=0.25, multiplier=10.0, initial_margin=100.0, positive_prices=False
)

# (open, high, low, close, signals): L and S enter, l and s exit.
Row = tuple[float, float, float, float, str]


@dataclass(frozen=True)
class Columns:
    """Columns known beforehand; each warms up until ``warmups`` says."""

    values: Mapping[FeatureRef, np.ndarray]
    warmups: Mapping[FeatureRef, int]

    def column(self, reference: FeatureRef) -> np.ndarray:
        return self.values[reference]

    def quantized_column(self, reference: FeatureRef) -> Column:
        values = self.values[reference]
        return Column(values, open_quantized(quantize(values), values.size))

    def warmup(self, reference: FeatureRef) -> int:
        return self.warmups.get(reference, 0)


def signal(letter: str) -> FeatureRef:
    names = {"L": "enter_long", "S": "enter_short", "l": "exit_long", "s": "exit_short"}
    return FeatureRef(names[letter], (), "real", "1h")


def atr_reference(timeperiod: int = 14) -> FeatureRef:
    return FeatureRef("atr", (("timeperiod", timeperiod),), "real", "1h")


def when(letter: str) -> Group:
    return Group(1, (Compare(signal(letter), ">", 0.0),))


def hand_feed(
    rows: Sequence[Row],
    *,
    instrument: Instrument = SPOT,
    start: int = 0,
    atr: Sequence[float] | None = None,
    rolls: Sequence[int] = (),
    funding: Sequence[float] | None = None,
    hours: Sequence[float] | None = None,
    bar_hours: float = 1.0,
    columns: Mapping[FeatureRef, Sequence[float]] | None = None,
    volume: Sequence[float] | None = None,
    warmups: Mapping[FeatureRef, int] | None = None,
) -> Feed:
    """A feed of hourly bars (``hours`` since T0 where they are not one after the other), by default without volume."""
    count = len(rows)
    hours = [k * bar_hours for k in range(count)] if hours is None else hours
    time = np.array([T0 + round(h * HOUR) for h in hours], np.int64)
    prices = [np.array([row[k] for row in rows], float) for k in range(4)]
    values = {signal(x): np.array([x in row[4] for row in rows], float) for x in "LSls"}
    values[atr_reference()] = np.array(atr if atr is not None else [np.nan] * count, float)
    values |= {reference: np.array(column, float) for reference, column in (columns or {}).items()}
    rolling = np.zeros(count, np.bool_)
    rolling[list(rolls)] = True
    if funding is None and instrument.kind == "perpetual":
        funding = [0.0] * count
    return Feed(
        instrument=instrument,
        timeframe="1h",
        bar_microseconds=round(bar_hours * HOUR),
        time=time,
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        volume=np.zeros(count) if volume is None else np.array(volume, float),
        day=time // DAY,
        start=start,
        columns=Columns(values, warmups or {}),
        rolls=rolling if len(rolls) else None,
        funding=None if funding is None else np.array(funding, float),
    )


def hand_play(risk: Risk, **changes) -> Play:
    rules = {"entry_long": when("L"), "entry_short": when("S"), "exit_long": when("l"), "exit_short": when("s")}
    return Play("by_hand", "1h", **{**rules, "risk": risk, **changes})


def kernel_backtest(play: Play, feed: Feed, *, cash: float, **settings) -> ReferenceResult:
    """The real engine's result in the reference's form."""
    result = simulate(play, feed, cash=cash, record=True, **settings)
    columns = {name: result.trades[name].tolist() for name in result.trades.dtype.names}
    columns["exit_reason"] = [EXIT_REASONS[code] for code in columns["exit_reason"]]
    columns["switch"] = [bool(flag) for flag in columns["switch"]]
    trades = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    metrics = dict(zip((metric.name for metric in METRICS), result.metrics.tolist(), strict=True))
    ambiguous = round(metrics["ambiguity_rate"] * len(trades)) if trades else 0
    ruined = metrics["cagr"] == -1
    return ReferenceResult(
        trades,
        result.equity.tolist(),
        ambiguous,
        ruined,
        exposed=round(metrics["exposure"] * len(result.equity)),
        rejected=int(metrics["rejected_orders"]),
        capped=int(metrics["volume_capped"]),
        metrics=metrics,
        daily_returns=result.daily_returns.tolist(),
    )


ENGINES: dict[str, Callable[..., ReferenceResult]] = {"reference": reference_backtest, "kernel": kernel_backtest}
