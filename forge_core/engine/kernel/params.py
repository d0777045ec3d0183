"""Scalar parameters of one backtest, packed into one float64 vector for the kernel.

Entries are indexes, so that numba sees constants; only ``pack_params`` fills them.
"""

import math
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.errors import ConfigError, unknown
from forge_core.feeds.feed import Feed
from forge_core.plays.model import Distance, Play

Policy = Literal["pessimistic", "ohlc_path", "replay"]
RollMode = Literal["prev_open", "prev_close"]
_POLICIES: tuple[str, ...] = get_args(Policy)
_ROLL_MODES: tuple[str, ...] = get_args(RollMode)

(
    CASH,
    MULTIPLIER,
    LOT,
    SLIPPAGE_FRACTION,
    SLIPPAGE_PRICE,
    COMMISSION_FRACTION,
    COMMISSION_UNIT,
    INITIAL_MARGIN,
    MAX_LEVERAGE,
    MAINTENANCE,
    LIQUIDATION_FEE,
    BORROW_PER_MICROSECOND,
    BAR_MICROSECONDS,
    START,
    FIRST_SIGNAL,
    MAX_BARS,
    COOLDOWN,
    LONG_ALLOWED,
    SHORT_ALLOWED,
    SIZE_KIND,
    SIZE_VALUE,
    STOP_KIND,
    STOP_VALUE,
    TARGET_KIND,
    TARGET_VALUE,
    TRAIL_KIND,
    TRAIL_VALUE,
    POLICY,
    ROLL_MODE,
    ROLLOVER,
    TICK_NUMERATOR,  # the tick as a fraction, so that whole numbers of ticks round to the nearest float
    TICK_DENOMINATOR,  # 0: levels are not rounded
    TARGET_BEYOND,  # distance beyond the target at which it fills
    WATCHES_EQUITY,  # 1: equity is checked at the bar's worst price
    MAINTENANCE_MONEY,  # maintenance margin of one unit, money
    VOLUME_SHARE,  # largest share of a bar's volume; infinite: no limit
) = range(36)

PARAMS_SIZE = 36

NO_DISTANCE, PERCENT, ABSOLUTE, ATR = range(4)
SIZE_FRACTION, SIZE_NOTIONAL, SIZE_CONTRACTS, SIZE_RISK = range(4)
PESSIMISTIC, OHLC_PATH, REPLAY = range(3)
PREV_OPEN, PREV_CLOSE = range(2)

_SIZES = {"fraction": SIZE_FRACTION, "notional": SIZE_NOTIONAL, "contracts": SIZE_CONTRACTS, "risk": SIZE_RISK}
_YEAR_MICROSECONDS = 365 * 86_400e6


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
) -> NDArray[np.float64]:
    """Return the parameter vector, shape ``(PARAMS_SIZE,)``; raises ConfigError for an unknown policy or bad cash."""
    if policy not in _POLICIES:
        raise ConfigError(unknown("same-bar policy", policy, _POLICIES))
    if roll_mode not in _ROLL_MODES:
        raise ConfigError(unknown("roll mode", roll_mode, _ROLL_MODES))
    if not (math.isfinite(cash) and cash > 0):
        raise ConfigError(f"cash is {cash!r}: a backtest starts with a positive amount")
    instrument, risk = feed.instrument, play.risk
    borrows = instrument.kind in ("spot", "index")
    params = np.zeros(PARAMS_SIZE)
    params[CASH] = cash
    params[MULTIPLIER] = instrument.multiplier
    params[LOT] = instrument.lot
    params[SLIPPAGE_FRACTION] = costs.slippage_bps / 10_000
    params[SLIPPAGE_PRICE] = costs.slippage_ticks * instrument.tick
    params[COMMISSION_FRACTION] = costs.commission_bps / 10_000
    params[COMMISSION_UNIT] = costs.commission_per_contract
    params[INITIAL_MARGIN] = instrument.initial_margin
    params[MAX_LEVERAGE] = instrument.max_leverage
    params[MAINTENANCE] = instrument.maintenance_margin_rate
    params[LIQUIDATION_FEE] = instrument.liquidation_fee_rate
    params[BORROW_PER_MICROSECOND] = costs.borrow_rate / _YEAR_MICROSECONDS if borrows else 0.0
    params[BAR_MICROSECONDS] = feed.bar_microseconds
    params[START] = feed.start
    params[FIRST_SIGNAL] = first_signal
    params[MAX_BARS] = np.inf if risk.max_bars is None else risk.max_bars
    params[COOLDOWN] = risk.cooldown
    params[LONG_ALLOWED] = play.sides != "short"
    params[SHORT_ALLOWED] = play.sides != "long"
    params[SIZE_KIND] = _SIZES[risk.size.kind]
    params[SIZE_VALUE] = risk.size.value
    params[STOP_KIND], params[STOP_VALUE] = _distance(risk.stop, instrument.tick)
    params[TARGET_KIND], params[TARGET_VALUE] = _distance(risk.take_profit, instrument.tick)
    params[TRAIL_KIND], params[TRAIL_VALUE] = _distance(risk.trailing, instrument.tick)
    params[POLICY] = _POLICIES.index(policy)
    params[ROLL_MODE] = _ROLL_MODES.index(roll_mode)
    params[ROLLOVER] = rollover
    tick = Fraction(str(instrument.tick))
    params[TICK_NUMERATOR] = tick.numerator
    params[TICK_DENOMINATOR] = tick.denominator if fills.levels == "tick" else 0.0
    params[TARGET_BEYOND] = instrument.tick if fills.target == "through" else 0.0
    isolated = instrument.maintenance_margin_rate > 0
    params[WATCHES_EQUITY] = fills.margin == "intrabar" and not isolated
    params[MAINTENANCE_MONEY] = instrument.maintenance_per_contract
    params[VOLUME_SHARE] = fills.volume_share if fills.volume_share and feed.has_volume else np.inf
    return params


def _distance(distance: Distance | None, tick: float) -> tuple[int, float]:
    if distance is None:
        return NO_DISTANCE, 0.0
    if distance.kind == "ticks":
        return ABSOLUTE, distance.value * tick
    return (ATR if distance.kind == "atr" else PERCENT), distance.value
