"""Export of a Play as one plain Python file that needs numpy, pandas and TA-Lib alone."""

from collections.abc import Mapping
from importlib.metadata import version

from talib import abstract

from forge_core.engine.costs import Costs
from forge_core.exporting.support import column_names, feature_faults, number, refuse, warmup
from forge_core.features.reference import PRICE_FIELDS, FeatureRef
from forge_core.features.registry import get_feature
from forge_core.market.reference.instruments import Instrument
from forge_core.plays.describe import describe_column, describe_play, describe_rule
from forge_core.plays.model import Distance, Group, Play, Rule, Trend

_HEAD = '''"""{name}, exported from Forge {version}: signals and a backtest in plain Python.

{rules}

Fills are those of Forge's contract with relaxed rules (docs/exporting.md): orders queued at a close fill at the next
open, levels are exact, a target fills once it is touched, a bar that reaches stop and target takes the stop, and volume
does not limit an entry.

Usage: python {name}.py bars.csv   (columns timestamp, open, high, low, close, volume; open times in UTC)
"""

import sys

import numpy as np
import pandas as pd
from talib import abstract

CASH = 100_000.0
COMMISSION_BPS = {commission}  # a side, of the notional
SLIPPAGE_BPS = {slippage}  # a fill
BORROW_RATE = {borrow}  # a year, for shorts
LOT = {lot}
TICK = {tick}
LEVERAGE = {leverage}
TIMEFRAME = pd.Timedelta({timeframe!r})
WARMUP = {warmup}  # bars before the first order

SIZE = {size}
STOP, TARGET, TRAIL = {stop}, {target}, {trail}  # kind, value, ATR period
MAX_BARS, COOLDOWN = {max_bars}, {cooldown}
OPENS_LONG, OPENS_SHORT = {opens_long}, {opens_short}


def signals(bars):
    """Return the columns of the rules, and long entry, short entry, long exit and short exit as boolean arrays."""
    prices = {{name: bars[name].to_numpy(float) for name in ("open", "high", "low", "close", "volume")}}
{columns}
    no = np.zeros(len(bars), bool)
    with np.errstate(invalid="ignore"):
{groups}
    return entry_long, entry_short, exit_long, exit_short

'''

_BODY = '''
def ta(name, prices, output, **parameters):
    """Return one output of a TA-Lib function as floats."""
    found = abstract.Function(name)(prices, **parameters)
    return np.asarray(found[output] if isinstance(found, list | tuple) else found, float)


def before(x):
    """Return the values of the bar before."""
    return np.concatenate([[np.nan], x[:-1]])


def crosses_above(x, y):
    """Return where x is above y now and was not at the bar before."""
    return (x > y) & (before(x) <= before(y))


def crosses_below(x, y):
    """Return where x is below y now and was not at the bar before."""
    return (x < y) & (before(x) >= before(y))


def rising(x, bars):
    """Return where each of the last ``bars`` steps was up."""
    up = np.concatenate([[False], np.diff(x) > 0])
    return np.array([up[max(i - bars + 1, 0) : i + 1].sum() == bars for i in range(len(x))])


def falling(x, bars):
    """Return where each of the last ``bars`` steps was down."""
    return rising(-x, bars)


def constant(bars, value):
    """Return a column of one value."""
    return np.full(len(bars), value)


def distance(level, price, atr):
    """Return the distance of a level from a price in money; None without the level."""
    if level is None:
        return None
    kind, value, _ = level
    return value * (abs(price) if kind == "percent" else atr[level] if kind == "atr" else TICK)


def run(bars):
    """Return the trades of the strategy on ``bars`` (DataFrame with open times in UTC as its index)."""
    open_, high, low, close = (bars[name].to_numpy(float) for name in ("open", "high", "low", "close"))
    prices = {"high": high, "low": low, "close": close}
    levels = {level for level in (STOP, TARGET, TRAIL) if level is not None and level[0] == "atr"}
    ranges = {level: abstract.Function("ATR")(prices, timeperiod=level[2]) for level in levels}
    entry_long, entry_short, exit_long, exit_short = signals(bars)
    slip, fee = SLIPPAGE_BPS / 1e4, COMMISSION_BPS / 1e4
    balance, side, order, reason, last_exit = CASH, 0, None, "", -len(bars)
    quantity = entry = stop = target = extreme = 0.0
    entry_bar, paid, financing, atr, trades = 0, 0.0, 0.0, {}, []

    def leave(i, price, why, at_close=False):
        nonlocal balance, side, last_exit
        commission = quantity * abs(price) * fee
        gross = side * quantity * (price - entry)
        balance += gross - commission
        trades.append(
            {
                "entry_time": bars.index[entry_bar],
                "entry_price": entry,
                "exit_time": bars.index[i] + (TIMEFRAME if at_close else pd.Timedelta(0)),
                "exit_price": price,
                "side": side,
                "quantity": quantity,
                "exit_reason": why,
                "net_pnl": gross - commission - paid - financing,
            }
        )
        side, last_exit = 0, i

    for i in range(len(bars)):
        if (balance + side * quantity * (open_[i] - entry) if side else balance) <= 0:
            if side:
                leave(i, open_[i] - side * abs(open_[i]) * slip, "ruin")
            break
        if order is not None:
            if side:
                leave(i, open_[i] - side * abs(open_[i]) * slip, reason)
            if order:
                price = open_[i] + order * abs(open_[i]) * slip
                atr = {level: values[i - 1] for level, values in ranges.items()}
                away = [distance(level, price, atr) for level in (STOP, TARGET, TRAIL)]
                if all(d is None or d > 0 for d in away):  # NaN is not above zero
                    unit, cost = abs(price) / LEVERAGE, abs(price) * fee
                    most = balance / (unit + cost)
                    kind, value = SIZE
                    size = {
                        "fraction": lambda: value * balance / (abs(price) + cost),
                        "notional": lambda: value / abs(price),
                        "contracts": lambda: value if value <= most else 0.0,
                        "risk": lambda: value * balance / away[0],
                    }[kind]()
                    quantity = np.floor(min(size, most) / LOT + 1e-9) * LOT
                    if quantity > 0:
                        side, entry, entry_bar, extreme = order, price, i, price
                        stop = None if away[0] is None else entry - side * away[0]
                        target = None if away[1] is None else entry + side * away[1]
                        paid, financing = quantity * abs(price) * fee, 0.0
                        balance -= paid
        order = None
        if side:
            adverse = [] if stop is None else [(stop, "stop")]
            if TRAIL is not None:
                adverse.append((extreme - side * distance(TRAIL, extreme, atr), "trailing_stop"))
            level, why = max(adverse, key=lambda pair: side * pair[0], default=(None, ""))
            worst, best = (low[i], high[i]) if side > 0 else (high[i], low[i])
            if level is not None and side * open_[i] <= side * level:
                leave(i, open_[i] - side * abs(open_[i]) * slip, why)
            elif target is not None and side * open_[i] >= side * target:
                leave(i, open_[i], "take_profit")
            elif level is not None and side * worst <= side * level:
                leave(i, level - side * abs(level) * slip, why)
            elif target is not None and side * best >= side * target:
                leave(i, target, "take_profit")
            else:
                extreme = max(extreme, high[i]) if side > 0 else min(extreme, low[i])
        if side < 0 and BORROW_RATE:
            since = bars.index[i] if i == entry_bar else bars.index[i - 1] + TIMEFRAME
            days = (bars.index[i] + TIMEFRAME - since) / pd.Timedelta(days=1)
            charge = BORROW_RATE * quantity * abs(close[i]) * days / 365
            financing += charge
            balance -= charge
        if i == len(bars) - 1:
            if side:
                leave(i, close[i] - side * abs(close[i]) * slip, "end_of_data", at_close=True)
            break
        if (balance + side * quantity * (close[i] - entry) if side else balance) <= 0:
            if side:
                leave(i, close[i] - side * abs(close[i]) * slip, "ruin", at_close=True)
            break
        if i < WARMUP:
            continue
        long_, short = entry_long[i], entry_short[i]
        if long_ and short:
            long_ = short = False
        long_, short = long_ and not exit_long[i], short and not exit_short[i]
        if side:
            other, opens = (short, OPENS_SHORT) if side > 0 else (long_, OPENS_LONG)
            if other:
                order, reason = (-side if opens and not COOLDOWN else 0), "reversal"
            elif exit_long[i] if side > 0 else exit_short[i]:
                order, reason = 0, "exit"
            elif MAX_BARS is not None and i - entry_bar + 1 >= MAX_BARS:
                order, reason = 0, "max_bars"
        elif (long_ and OPENS_LONG or short and OPENS_SHORT) and i - last_exit >= COOLDOWN:
            order = 1 if long_ else -1
    return pd.DataFrame(trades)


if __name__ == "__main__":
    table = pd.read_csv(sys.argv[1], parse_dates=["timestamp"]).set_index("timestamp")
    result = run(table)
    print(result.to_string())
    print(f"net profit {result['net_pnl'].sum() if len(result) else 0.0:,.2f}")
'''


def python_file(play: Play, instrument: Instrument, costs: Costs | None = None) -> str:
    """Return the source of a plain Python file; raises ConfigError naming what it cannot express."""
    costs = costs or Costs.of(instrument)
    faults = feature_faults(play)
    if instrument.kind in ("future", "perpetual"):
        faults.append(f"{instrument.kind}s (margin, rolls, funding), which {instrument.symbol} is")
    faults += [
        f"{name.replace('_', ' ')} {value:g}"
        for name, value in costs.model_dump().items()
        if value and name in ("commission_per_contract", "slippage_ticks")
    ]
    refuse(play, "a plain Python file", faults)
    risk = play.risk
    names = column_names(play)
    groups = []
    for side in ("entry_long", "entry_short", "exit_long", "exit_short"):
        group: Group | None = getattr(play, side)
        if group is None:
            groups.append(f"        {side} = no")
        else:
            groups.append(f"        # {describe_rule(group, play.timeframe)}")
            groups.append(f"        {side} = {_group(group, names)}")
    head = _HEAD.format(
        name=play.name,
        version=version("forge-evolve"),
        rules=describe_play(play),
        commission=number(costs.commission_bps),
        slippage=number(costs.slippage_bps),
        borrow=number(costs.borrow_rate if instrument.kind in ("spot", "index") else 0.0),
        lot=number(instrument.lot),
        tick=number(instrument.tick),
        leverage=number(instrument.max_leverage),
        timeframe=_timedelta(play.timeframe),
        warmup=warmup(play),
        size=repr((risk.size.kind, float(risk.size.value))),
        stop=_distance(risk.stop),
        target=_distance(risk.take_profit),
        trail=_distance(risk.trailing),
        max_bars=risk.max_bars,
        cooldown=risk.cooldown,
        opens_long=play.sides != "short",
        opens_short=play.sides != "long",
        columns="\n".join(f"    {name} = {column_source(reference)}  # {describe_column(reference, play.timeframe)}"
                          for reference, name in names.items()),
        groups="\n".join(groups),
    )  # fmt: skip
    return head + _BODY


def column_source(reference: FeatureRef) -> str:
    """Return the expression of a column."""
    if reference.name in PRICE_FIELDS:
        return f'prices["{reference.name}"]'
    outputs = [output.name for output in get_feature(reference.name).outputs]
    function = abstract.Function(reference.name.upper())  # type: ignore[attr-defined]  # missing from its stubs
    assert list(function.info["output_names"]) == outputs
    given = "".join(f", {key}={value!r}" for key, value in reference.params)
    return f'ta("{reference.name.upper()}", prices, {outputs.index(reference.output)}{given})'


def _group(rule: Rule, table: Mapping[FeatureRef, str]) -> str:
    if isinstance(rule, Group):
        inner = ", ".join(_group(one, table) for one in rule.rules)
        if rule.at_least == len(rule.rules):
            return f"np.logical_and.reduce([{inner}])"
        if rule.at_least == 1:
            return f"np.logical_or.reduce([{inner}])"
        return f"np.sum([{inner}], axis=0) >= {rule.at_least}"
    if isinstance(rule, Trend):
        return f"{rule.direction}({table[rule.feature]}, {rule.bars})"
    right = table[rule.right] if isinstance(rule.right, FeatureRef) else f"constant(bars, {number(rule.right)})"
    left = table[rule.left]
    if rule.operator in ("crosses_above", "crosses_below"):
        return f"{rule.operator}({left}, {right})"
    return f"({left} {rule.operator} {right})"


def _distance(distance: Distance | None) -> str:
    return repr(None if distance is None else (distance.kind, float(distance.value), distance.timeperiod))


def _timedelta(label: str) -> str:
    units = {"m": "min", "h": "h", "d": "D", "w": "W"}
    return label[:-1] + units[label[-1]]
