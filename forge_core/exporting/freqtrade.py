"""Export of a Play as a freqtrade strategy."""

import re
from collections.abc import Mapping
from importlib.metadata import version

from forge_core.exporting.python_file import column_source
from forge_core.exporting.support import column_names, feature_faults, number, refuse, warmup
from forge_core.features.reference import FeatureRef
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.plays.describe import describe_column, describe_play, describe_rule
from forge_core.plays.model import Group, Play, Rule, Trend

_FILE = '''"""{name}, exported from Forge {version}. See docs/exporting.md for what is the same and what differs.

{rules}
"""

from datetime import timedelta

import numpy as np
from freqtrade.strategy import IStrategy
from talib import abstract


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


class {title}(IStrategy):
    """{name}"""

    INTERFACE_VERSION = 3
    timeframe = {timeframe!r}
    can_short = {can_short}
    startup_candle_count = {warmup}
    process_only_new_candles = True
    use_exit_signal = True
    exit_profit_only = False
    ignore_roi_if_entry_signal = False
    minimal_roi = {{"0": {target}}}
    stoploss = {stop}
    trailing_stop = False
    max_bars = {max_bars}

    def populate_indicators(self, dataframe, metadata):
        """Compute the signals once, as columns."""
        prices = {{name: dataframe[name].to_numpy(float) for name in ("open", "high", "low", "close", "volume")}}
        no = np.zeros(len(dataframe), bool)
        late = np.arange(len(dataframe)) >= {warmup}
{columns}
        with np.errstate(invalid="ignore"):
{groups}
        clash = entry_long & entry_short
        go_long, go_short = entry_long & ~clash & ~exit_long, entry_short & ~clash & ~exit_short
        dataframe["go"] = ({go}) & late
        dataframe["leave"] = ({leave}) & late
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        """Enter where the Play's entry is true."""
        dataframe.loc[dataframe["go"], {enter!r}] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        """Leave where the Play's exit or the entry of the other side is true."""
        dataframe.loc[dataframe["leave"], {exit_!r}] = 1
        return dataframe

    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        """Leave after ``max_bars`` bars."""
        held = (current_time - trade.open_date_utc) / timedelta(seconds={seconds})
        return "max_bars" if self.max_bars is not None and held >= self.max_bars else None
'''


def freqtrade_strategy(play: Play, instrument: Instrument) -> str:
    """Return the source of a freqtrade strategy; raises ConfigError naming what it cannot express.

    Costs, stake and leverage belong to freqtrade's configuration. ``instrument`` is not written.
    """
    risk = play.risk
    faults = feature_faults(play)
    sides = [side for side, group in (("long", play.entry_long), ("short", play.entry_short)) if group is not None]
    opened = [side for side in sides if play.sides in ("both", side)]
    if len(opened) > 1:
        faults.append("entries of both sides (a reversal on one bar); use `sides: long` or `sides: short`")
    levels = {"stop": risk.stop, "take_profit": risk.take_profit}
    faults += [f"a {name} by {d.kind}" for name, d in levels.items() if d is not None and d.kind != "percent"]
    if risk.trailing is not None:
        faults.append("a trailing stop that follows the bars before")
    if risk.cooldown:
        faults.append("a cooldown (use the CooldownPeriod protection)")
    if risk.size.kind in ("risk", "contracts"):
        faults.append(f"a size by {risk.size.kind}")
    refuse(play, "a freqtrade strategy", faults)
    (side,) = opened
    names = column_names(play)
    groups = []
    for place in ("entry_long", "entry_short", "exit_long", "exit_short"):
        group: Group | None = getattr(play, place)
        if group is None:
            groups.append(f"            {place} = no")
        else:
            groups.append(f"            # {describe_rule(group, play.timeframe)}")
            groups.append(f"            {place} = {_rule(group, names)}")
    return _FILE.format(
        name=play.name,
        title=class_name(play),
        version=version("forge-evolve"),
        rules=describe_play(play),
        timeframe=play.timeframe,
        can_short=side == "short",
        warmup=warmup(play),
        target=number(10.0 if risk.take_profit is None else risk.take_profit.value),
        stop=number(-0.99 if risk.stop is None else -risk.stop.value),
        max_bars=risk.max_bars,
        columns="\n".join(f"        {name} = {column_source(reference)}  # {describe_column(reference, play.timeframe)}"
                          for reference, name in names.items()),
        groups="\n".join(groups),
        go=f"go_{side}",
        leave=f"exit_{side} | go_{'short' if side == 'long' else 'long'}",
        enter=f"enter_{side}",
        exit_=f"exit_{side}",
        seconds=Timeframe.parse(play.timeframe).microseconds // 1_000_000,
    )  # fmt: skip


def class_name(play: Play) -> str:
    """Return the name of the strategy's class."""
    words = re.findall(r"[A-Za-z0-9]+", play.name)
    return "".join(word[0].upper() + word[1:] for word in ("Forge", *words))


def _rule(rule: Rule, names: Mapping[FeatureRef, str]) -> str:
    if isinstance(rule, Group):
        inner = ", ".join(_rule(one, names) for one in rule.rules)
        if rule.at_least == len(rule.rules):
            return f"np.logical_and.reduce([{inner}])"
        if rule.at_least == 1:
            return f"np.logical_or.reduce([{inner}])"
        return f"np.sum([{inner}], axis=0) >= {rule.at_least}"
    if isinstance(rule, Trend):
        return f"{rule.direction}({names[rule.feature]}, {rule.bars})"
    right = names[rule.right] if isinstance(rule.right, FeatureRef) else f"np.full(len(no), {number(rule.right)})"
    left = names[rule.left]
    if rule.operator in ("crosses_above", "crosses_below"):
        return f"{rule.operator}({left}, {right})"
    return f"({left} {rule.operator} {right})"
