"""What a Play would do now: the order that the last closed bar queues, and the values of every rule."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from forge_core.engine.backtest import backtest
from forge_core.engine.costs import Costs
from forge_core.engine.signals.program import link_play
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import make_reference
from forge_core.feeds.feed import Feed
from forge_core.plays.describe import describe_rule
from forge_core.plays.model import Compare, Distance, Group, Play, Rule, Trend
from forge_core.simd.lanes64 import LANES

Order = Literal["none", "enter long", "enter short", "close"]
_NONE: Order = "none"
_SIDE_NAMES = {1: "long", -1: "short", 0: "flat"}


@dataclass(frozen=True)
class RuleState:
    """One rule at the last closed bar: ``values`` and those of the bar before, None where undefined."""

    group: str
    rule: str
    values: tuple[float | None, ...]
    before: tuple[float | None, ...]
    true: bool


@dataclass(frozen=True)
class Signal:
    """The order queued at the close of the last bar, ``order``, to be filled at the next open, and its ``reason``.

    ``position`` is the one held at that close, with its entry. ``groups``: whether entry and exit of each side are
    true. ``levels``: distance of stop, target and trail from a fill at the close, in money.
    """

    play: str
    symbol: str
    closed: pd.Timestamp
    close: float
    position: str
    entered: pd.Timestamp | None
    entry_price: float | None
    bars_held: int
    order: Order
    reason: str
    groups: dict[str, bool]
    rules: tuple[RuleState, ...]
    levels: dict[str, float | None]

    def document(self) -> dict[str, Any]:
        """Return the signal as JSON-able data."""
        document = asdict(self)
        document["closed"] = self.closed.isoformat()
        document["entered"] = None if self.entered is None else self.entered.isoformat()
        return document


def signal(play: Play, feed: Feed, *, costs: Costs | None = None, cash: float = 100_000.0) -> Signal:
    """Return the order that ``play`` queues at the close of the last bar of ``feed``.

    The position is that of a backtest up to this bar. Rules are those of docs/fill_contract.md, step 4. Raises the
    errors of ``backtest``.
    """
    result = backtest(play, feed, costs=costs, cash=cash)
    program = link_play(play, feed)
    last = len(feed) - 1
    names = ("entry long", "entry short", "exit long", "exit short")
    given = (play.entry_long, play.entry_short, play.exit_long, play.exit_short)
    words = program.bitmaps.reshape(len(names), -1)
    truths = [bool(int(row[last // LANES]) >> (last % LANES) & 1) for row in words]  # `when` and `flat_by` included
    side, entered, price, held, last_exit = _position(result.trades, feed)
    if len(result.trades) and result.trades["exit_reason"].iloc[-1] == "ruin":
        order, reason = _NONE, "the backtest ended in ruin"
    elif last < program.first_signal:
        order, reason = _NONE, f"warm-up: {program.first_signal - last} more bars until the first order"
    else:
        order, reason = _order(play, truths, side, held, last - last_exit)
    rules = [
        state
        for name, group in zip(names, given, strict=True)
        if group is not None
        for state in _states(name, group, feed, play.timeframe)
    ]
    distances = {"stop": play.risk.stop, "take_profit": play.risk.take_profit, "trailing": play.risk.trailing}
    return Signal(
        play=play.name,
        symbol=feed.instrument.symbol,
        closed=pd.Timestamp(int(feed.time[last]) + feed.bar_microseconds, unit="us", tz="UTC"),
        close=float(feed.close[last]),
        position=_SIDE_NAMES[side],
        entered=entered,
        entry_price=price,
        bars_held=held,
        order=order,
        reason=reason,
        groups=dict(zip(names, truths, strict=True)),
        rules=tuple(rules),
        levels={name: _level(distance, feed) for name, distance in distances.items() if distance is not None},
    )


def _position(trades: pd.DataFrame, feed: Feed) -> tuple[int, pd.Timestamp | None, float | None, int, int]:
    """Return side, entry time and price, bars held with the last one, and the bar of the last exit (or far before)."""
    rows: list[dict[str, Any]] = trades.to_dict("records")  # type: ignore[assignment]
    if rows and rows[-1]["exit_reason"] == "end_of_data":
        held = rows.pop()
        first = held
        while rows and first["switch"] and rows[-1]["exit_reason"] == "roll" and rows[-1]["side"] == held["side"]:
            first = rows.pop()
        entry = _bar(feed, first["entry_time"])
        return held["side"], first["entry_time"], float(held["entry_price"]), len(feed) - entry, -len(feed)
    if not rows:
        return 0, None, None, 0, -len(feed)
    return 0, None, None, 0, _bar(feed, rows[-1]["exit_time"])


def _bar(feed: Feed, moment: pd.Timestamp) -> int:
    return int(np.searchsorted(feed.time, moment.value // 1_000, side="right")) - 1


def _order(play: Play, truths: list[bool], side: int, held: int, since_exit: int) -> tuple[Order, str]:
    enter_long, enter_short, leave_long, leave_short = truths
    if enter_long and enter_short:
        enter_long = enter_short = False
        clash = "both entries are true, so neither counts"
    else:
        clash = ""
    if enter_long and leave_long:
        enter_long, clash = False, "the entry's own exit rule is true, so it does not count"
    if enter_short and leave_short:
        enter_short, clash = False, "the entry's own exit rule is true, so it does not count"
    if side:
        other = enter_short if side > 0 else enter_long
        if other:
            allowed = play.sides in ("both", _SIDE_NAMES[-side]) and not play.risk.cooldown
            if allowed:
                return ("enter short" if side > 0 else "enter long"), "reversal: the entry of the other side is true"
            return "close", "the entry of the other side is true"
        if leave_long if side > 0 else leave_short:
            return "close", "the exit rule is true" if play.flat_by is None else "the exit rule or flat_by is true"
        if play.risk.max_bars is not None and held >= play.risk.max_bars:
            return "close", f"held for {held} bars, at most {play.risk.max_bars}"
        return "none", clash or f"the {_SIDE_NAMES[side]} position is held; its stop and target stay live"
    for entry, name in ((enter_long, "long"), (enter_short, "short")):
        if not entry:
            continue
        if play.sides not in ("both", name):
            return "none", f"the {name} entry is true, but {name} positions are not opened (sides: {play.sides})"
        if since_exit < play.risk.cooldown:
            return "none", f"cooldown: {since_exit} of {play.risk.cooldown} bars since the last exit"
        return ("enter long" if name == "long" else "enter short"), f"the {name} entry is true"
    return "none", clash or "no entry is true"


def _states(name: str, rule: Rule, feed: Feed, timeframe: str) -> list[RuleState]:
    if isinstance(rule, Group):
        return [state for inner in rule.rules for state in _states(name, inner, feed, timeframe)]
    if isinstance(rule, Trend):
        now, before = _values(rule.feature.streak(), feed)
        wanted = rule.bars if rule.direction == "rising" else -rule.bars
        true = now is not None and (now >= wanted if wanted > 0 else now <= wanted)
        return [RuleState(name, describe_rule(rule, timeframe), (now,), (before,), true)]
    left, right = _values(rule.left, feed), _values(rule.right, feed)
    text = describe_rule(rule, timeframe)
    return [RuleState(name, text, (left[0], right[0]), (left[1], right[1]), _compare(rule, left, right))]


def _values(operand: FeatureRef | float, feed: Feed) -> tuple[float | None, float | None]:
    """Return an operand at the last bar and at the bar before."""
    if not isinstance(operand, FeatureRef):
        return float(operand), float(operand)
    column = feed.columns.column(operand)
    now, before = (float(column[place]) if len(column) >= -place else np.nan for place in (-1, -2))
    return (None if np.isnan(now) else now), (None if np.isnan(before) else before)


def _compare(rule: Compare, left: tuple[float | None, float | None], right: tuple[float | None, float | None]) -> bool:
    (a, a_before), (b, b_before) = left, right
    if a is None or b is None:
        return False
    match rule.operator:
        case ">":
            return a > b
        case "<":
            return a < b
        case ">=":
            return a >= b
        case "<=":
            return a <= b
        case "crosses_above":
            return a_before is not None and b_before is not None and a > b and a_before <= b_before
        case "crosses_below":
            return a_before is not None and b_before is not None and a < b and a_before >= b_before


def _level(distance: Distance, feed: Feed) -> float | None:
    """Return the distance of a level from a fill at the last close; None while the ATR is undefined."""
    close = abs(float(feed.close[-1]))
    if distance.kind == "percent":
        return distance.value * close
    if distance.kind == "ticks":
        return distance.value * feed.instrument.tick
    reference = make_reference("atr", {"timeperiod": distance.timeperiod}, timeframe=feed.timeframe)
    atr = float(feed.columns.column(reference)[-1])
    scale = 1.0 if feed.price_scale is None else float(feed.price_scale[-1])
    return None if np.isnan(atr) else distance.value * atr / scale
