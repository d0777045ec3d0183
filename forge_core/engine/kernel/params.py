"""Scalar parameters of one backtest, one record for the kernel."""

import math
from fractions import Fraction
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.errors import ConfigError, unknown
from forge_core.feeds.feed import Feed
from forge_core.plays.model import Distance, Play
from forge_core.simd.compiled import compiled
from forge_core.simd.memory import RecordLayout, records_at

Policy = Literal["pessimistic", "ohlc_path", "replay"]
RollMode = Literal["prev_open", "prev_close"]
_POLICIES: tuple[str, ...] = get_args(Policy)
_ROLL_MODES: tuple[str, ...] = get_args(RollMode)

PARAMS = RecordLayout(
    cash=float,
    multiplier=float,
    lot=float,
    slippage_fraction=float,
    slippage_price=float,
    commission_fraction=float,
    commission_unit=float,
    initial_margin=float,
    max_leverage=float,
    maintenance=float,  # rate of isolated margin
    liquidation_fee=float,
    borrow_per_microsecond=float,
    bar_microseconds=int,
    start=int,  # first bar traded
    end=int,  # the bar after the last
    first_signal=int,
    max_bars=int,
    cooldown=int,
    long_allowed=int,
    short_allowed=int,
    size_kind=int,
    size_value=float,
    stop_kind=int,
    stop_value=float,
    target_kind=int,
    target_value=float,
    trail_kind=int,
    trail_value=float,
    policy=int,
    roll_mode=int,
    rollover=int,
    tick_numerator=float,  # the tick as a fraction, so that whole numbers of ticks round to the nearest float
    tick_denominator=float,  # 0: levels are not rounded
    ticks_per_unit=float,
    target_beyond=float,  # distance beyond the target at which it fills
    watches_equity=int,  # 1: equity is checked at the bar's worst price
    maintenance_money=float,  # maintenance margin of one unit, money
    volume_share=float,  # largest share of a bar's volume; infinite: no limit
)
_PARAMS = PARAMS.dtype

NO_DISTANCE, PERCENT, ABSOLUTE, ATR = range(4)
SIZE_FRACTION, SIZE_NOTIONAL, SIZE_CONTRACTS, SIZE_RISK = range(4)
PESSIMISTIC, OHLC_PATH, REPLAY = range(3)
PREV_OPEN, PREV_CLOSE = range(2)

_SIZES = {"fraction": SIZE_FRACTION, "notional": SIZE_NOTIONAL, "contracts": SIZE_CONTRACTS, "risk": SIZE_RISK}
_YEAR_MICROSECONDS = 365 * 86_400e6
_NEVER = 2**62


def pack_params(
    play: Play,
    feed: Feed,
    costs: Costs,
    *,
    cash: float,
    policy: Policy,
    roll_mode: RollMode,
    rollover: bool,
    first_signal: int,
    fills: FillRules,
) -> NDArray[np.void]:
    """Return the parameters, an array of one record; raises ConfigError for an unknown policy or bad cash."""
    if policy not in _POLICIES:
        raise ConfigError(unknown("same-bar policy", policy, _POLICIES))
    if roll_mode not in _ROLL_MODES:
        raise ConfigError(unknown("roll mode", roll_mode, _ROLL_MODES))
    if not (math.isfinite(cash) and cash > 0):
        raise ConfigError(f"cash is {cash!r}: a backtest starts with a positive amount")
    instrument, risk = feed.instrument, play.risk
    borrows = instrument.kind in ("spot", "index")
    stop_kind, stop_value = _distance(risk.stop, instrument.tick)
    target_kind, target_value = _distance(risk.take_profit, instrument.tick)
    trail_kind, trail_value = _distance(risk.trailing, instrument.tick)
    numerator, denominator = _fraction(instrument.tick)
    isolated = instrument.maintenance_margin_rate > 0
    return PARAMS.pack(
        cash=cash,
        multiplier=instrument.multiplier,
        lot=instrument.lot,
        slippage_fraction=costs.slippage_bps / 10_000,
        slippage_price=costs.slippage_ticks * instrument.tick,
        commission_fraction=costs.commission_bps / 10_000,
        commission_unit=costs.commission_per_contract,
        initial_margin=instrument.initial_margin,
        max_leverage=instrument.max_leverage,
        maintenance=instrument.maintenance_margin_rate,
        liquidation_fee=instrument.liquidation_fee_rate,
        borrow_per_microsecond=costs.borrow_rate / _YEAR_MICROSECONDS if borrows else 0.0,
        bar_microseconds=feed.bar_microseconds,
        start=feed.start,
        end=len(feed),
        first_signal=first_signal,
        max_bars=_NEVER if risk.max_bars is None else risk.max_bars,
        cooldown=risk.cooldown,
        long_allowed=play.sides != "short",
        short_allowed=play.sides != "long",
        size_kind=_SIZES[risk.size.kind],
        size_value=risk.size.value,
        stop_kind=stop_kind,
        stop_value=stop_value,
        target_kind=target_kind,
        target_value=target_value,
        trail_kind=trail_kind,
        trail_value=trail_value,
        policy=_POLICIES.index(policy),
        roll_mode=_ROLL_MODES.index(roll_mode),
        rollover=rollover,
        tick_numerator=numerator,
        tick_denominator=denominator if fills.levels == "tick" else 0.0,
        ticks_per_unit=denominator / numerator,
        target_beyond=instrument.tick if fills.target == "through" else 0.0,
        watches_equity=fills.margin == "intrabar" and not isolated,
        maintenance_money=instrument.maintenance_per_contract,
        volume_share=fills.volume_share if fills.volume_share and feed.has_volume else np.inf,
    )


@compiled
def params_at(number):
    """Return the parameters at an address."""
    return records_at(number, 1, _PARAMS)[0]


@cache
def _fraction(tick: float) -> tuple[float, float]:
    """Return numerator and denominator of the decimal number ``tick``."""
    fraction = Fraction(str(tick))
    return float(fraction.numerator), float(fraction.denominator)


def _distance(distance: Distance | None, tick: float) -> tuple[int, float]:
    if distance is None:
        return NO_DISTANCE, 0.0
    if distance.kind == "ticks":
        return ABSOLUTE, distance.value * tick
    return (ATR if distance.kind == "atr" else PERCENT), distance.value
