"""Export of a Play as a Pine v6 strategy for TradingView."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from forge_core.exporting.support import feature_faults, number, play_columns, refuse, warmup
from forge_core.features.reference import PRICE_FIELDS, FeatureRef
from forge_core.market.reference.instruments import Instrument
from forge_core.plays.describe import describe_column, describe_play, describe_rule
from forge_core.plays.model import Compare, Distance, Group, Play, Rule, Trend

Params = Mapping[str, Any]
Outputs = Callable[[str, Params], tuple[list[str], dict[str, str]]]


def _single(template: str) -> Outputs:
    return lambda name, params: ([f"{name} = {template.format(**params)}"], {"real": name})


def _bbands(name: str, params: Params) -> tuple[list[str], dict[str, str]]:
    lines = [
        f"{name}m = ta.sma(close, {params['timeperiod']})",
        f"{name}d = ta.stdev(close, {params['timeperiod']})",
        f"{name}u = {name}m + {params['nbdevup']} * {name}d",
        f"{name}l = {name}m - {params['nbdevdn']} * {name}d",
    ]
    return lines, {"upperband": f"{name}u", "middleband": f"{name}m", "lowerband": f"{name}l"}


def _macd(name: str, params: Params) -> tuple[list[str], dict[str, str]]:
    periods = ", ".join(str(params[key]) for key in ("fastperiod", "slowperiod", "signalperiod"))
    line = f"[{name}m, {name}s, {name}h] = ta.macd(close, {periods})"
    return [line], {"macd": f"{name}m", "macdsignal": f"{name}s", "macdhist": f"{name}h"}


def _stoch(name: str, params: Params) -> tuple[list[str], dict[str, str]]:
    lines = [
        f"{name}k = ta.sma(ta.stoch(close, high, low, {params['fastk_period']}), {params['slowk_period']})",
        f"{name}d = ta.sma({name}k, {params['slowd_period']})",
    ]
    return lines, {"slowk": f"{name}k", "slowd": f"{name}d"}


def _dmi(place: int) -> Outputs:
    def outputs(name: str, params: Params) -> tuple[list[str], dict[str, str]]:
        period = params["timeperiod"]
        return [f"[{name}0, {name}1, {name}2] = ta.dmi({period}, {period})"], {"real": f"{name}{place}"}

    return outputs


_FEATURES: Mapping[str, Outputs] = {
    "sma": _single("ta.sma(close, {timeperiod})"),
    "ema": _single("ta.ema(close, {timeperiod})"),
    "wma": _single("ta.wma(close, {timeperiod})"),
    "rsi": _single("ta.rsi(close, {timeperiod})"),
    "atr": _single("ta.atr({timeperiod})"),
    "natr": _single("100 * ta.atr({timeperiod}) / close"),
    "cci": _single("ta.cci(hlc3, {timeperiod})"),
    "mfi": _single("ta.mfi(hlc3, {timeperiod})"),
    "roc": _single("ta.roc(close, {timeperiod})"),
    "mom": _single("ta.mom(close, {timeperiod})"),
    "willr": _single("ta.wpr({timeperiod})"),
    "linearreg": _single("ta.linreg(close, {timeperiod}, 0)"),
    "stddev": _single("{nbdev} * ta.stdev(close, {timeperiod})"),
    "max": _single("ta.highest(close, {timeperiod})"),
    "min": _single("ta.lowest(close, {timeperiod})"),
    "obv": _single("ta.obv"),
    "bbands": _bbands,
    "macd": _macd,
    "stoch": _stoch,
    "plus_di": _dmi(0),
    "minus_di": _dmi(1),
    "adx": _dmi(2),
}

_SCRIPT = """//@version=6
// {name}, exported from Forge {version}.
{rules}
// Orders are placed at the close and fill at the next open. Levels are measured from the close of the signal; Forge
// measures percent levels from the fill. Slippage in bps is part of the commission here. See docs/exporting.md.
strategy("{name}", overlay = true, initial_capital = 100000, pyramiding = 0, default_qty_type = {size_kind},
     default_qty_value = {size}, commission_type = strategy.commission.percent, commission_value = {commission},
     slippage = {slippage}, process_orders_on_close = false, calc_on_every_tick = false)

{columns}

{groups}

bool clash = entryLong and entryShort
bool goLong = entryLong and not clash and not exitLong
bool goShort = entryShort and not clash and not exitShort
int closed = strategy.closedtrades
int sinceExit = closed > 0 ? bar_index - strategy.closedtrades.exit_bar_index(closed - 1) : 1000000
int held = strategy.opentrades > 0 ? bar_index - strategy.opentrades.entry_bar_index(0) + 1 : 0
bool openLong = false
bool openShort = false

if bar_index >= {warmup}
    if strategy.position_size > 0
        if goShort
            openShort := {reverse_short}
            if not openShort
                strategy.close("long", comment = "reversal")
        else if exitLong{max_bars}
            strategy.close("long")
    else if strategy.position_size < 0
        if goLong
            openLong := {reverse_long}
            if not openLong
                strategy.close("short", comment = "reversal")
        else if exitShort{max_bars}
            strategy.close("short")
    else if sinceExit >= {cooldown}
        openLong := goLong and {opens_long}
        openShort := goShort and {opens_short}

if openLong
    strategy.entry("long", strategy.long){long_levels}
if openShort
    strategy.entry("short", strategy.short){short_levels}
"""


def pine_script(play: Play, instrument: Instrument) -> str:
    """Return a Pine v6 strategy; raises ConfigError naming what it cannot express."""
    faults = feature_faults(play, frozenset(_FEATURES) | frozenset(PRICE_FIELDS))
    for reference in play_columns(play):
        averages = {key: value for key, value in reference.params if key.endswith("matype") and value}
        faults += [f"{key} {value} of {describe_column(reference, play.timeframe)}" for key, value in averages.items()]
    if play.risk.size.kind == "risk":
        faults.append("a size by risk")
    if instrument.commission_per_contract:
        faults.append(f"commission per contract {instrument.commission_per_contract:g}")
    refuse(play, "a Pine strategy", faults)
    lines, names = _columns(play)
    groups = []
    for side, title in (
        ("entry_long", "entryLong"),
        ("entry_short", "entryShort"),
        ("exit_long", "exitLong"),
        ("exit_short", "exitShort"),
    ):
        group: Group | None = getattr(play, side)
        if group is None:
            groups.append(f"bool {title} = false")
        else:
            rules: list[str] = []
            text = _rule(group, names, title, rules)
            groups += [f"// {describe_rule(group, play.timeframe)}", *rules, f"bool {title} = {text}"]
    risk = play.risk
    both = play.sides == "both" and not risk.cooldown
    kind = {"fraction": "strategy.percent_of_equity", "notional": "strategy.cash", "contracts": "strategy.fixed"}
    size = 100 * risk.size.value if risk.size.kind == "fraction" else risk.size.value
    return _SCRIPT.format(
        name=play.name,
        version=version("forge-evolve"),
        rules="\n".join(f"// {line}" for line in describe_play(play).splitlines()),
        size_kind=kind[risk.size.kind],
        size=number(size),
        commission=number((instrument.commission_bps + instrument.slippage_bps) / 100),
        slippage=round(instrument.slippage_ticks),
        columns="\n".join(lines),
        groups="\n".join(groups),
        warmup=warmup(play),
        reverse_short=_flag(both),
        reverse_long=_flag(both),
        max_bars="" if risk.max_bars is None else f" or held >= {risk.max_bars}",
        cooldown=risk.cooldown,
        opens_long=_flag(play.sides != "short"),
        opens_short=_flag(play.sides != "long"),
        long_levels=_levels(play, "long"),
        short_levels=_levels(play, "short"),
    )


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _columns(play: Play) -> tuple[list[str], dict[FeatureRef, str]]:
    lines: list[str] = []
    outputs: dict[tuple[str, tuple[Any, ...]], dict[str, str]] = {}
    names: dict[FeatureRef, str] = {}
    for reference in play_columns(play):
        if reference.name in PRICE_FIELDS:
            names[reference] = reference.name
            continue
        base = reference.name, reference.params
        if base not in outputs:
            found, outputs[base] = _FEATURES[reference.name](f"c{len(outputs) + 1}", dict(reference.params))
            lines += [f"// {describe_column(reference, play.timeframe)}", *found]
        names[reference] = outputs[base][reference.output]
    distances = (play.risk.stop, play.risk.take_profit, play.risk.trailing)
    periods = dict.fromkeys(d.timeperiod for d in distances if d is not None and d.kind == "atr")
    lines += [f"atr{period} = ta.atr({period})" for period in periods]
    return lines, names


def _rule(rule: Rule, names: Mapping[FeatureRef, str], title: str, lines: list[str]) -> str:
    """Return a rule as an expression of variables, which ``lines`` declare.

    ``and`` and ``or`` are lazy in Pine v6, but a call that reads earlier bars must run on every bar.
    """
    if isinstance(rule, Group):
        inner = [_rule(one, names, title, lines) for one in rule.rules]
        if rule.at_least == len(inner):
            return f"({' and '.join(inner)})"
        if rule.at_least == 1:
            return f"({' or '.join(inner)})"
        return f"({' + '.join(f'({one} ? 1 : 0)' for one in inner)} >= {rule.at_least})"
    variable = f"{title}{len(lines) + 1}"
    if isinstance(rule, Trend):
        name, sign = names[rule.feature], ">" if rule.direction == "rising" else "<"
        steps = [f"{name}[{bar}] {sign} {name}[{bar + 1}]" for bar in range(rule.bars)]
        lines.append(f"bool {variable} = {' and '.join(steps)}")
    else:
        lines.append(f"bool {variable} = {_compare(rule, names)}")
    return variable


def _compare(rule: Compare, names: Mapping[FeatureRef, str]) -> str:
    left = names[rule.left]
    right = names[rule.right] if isinstance(rule.right, FeatureRef) else number(rule.right)
    if rule.operator == "crosses_above":
        return f"ta.crossover({left}, {right})"
    if rule.operator == "crosses_below":
        return f"ta.crossunder({left}, {right})"
    return f"{left} {rule.operator} {right}"


def _levels(play: Play, side: str) -> str:
    """Return the order of stop, target and trail, in ticks from the fill; live from the entry bar on."""
    risk = play.risk
    given = []
    if risk.stop is not None or risk.trailing is not None:
        distances = [_ticks(distance) for distance in (risk.stop, risk.trailing) if distance is not None]
        given.append(f"loss = {distances[0] if len(distances) == 1 else f'math.min({distances[0]}, {distances[1]})'}")
    if risk.take_profit is not None:
        given.append(f"profit = {_ticks(risk.take_profit)}")
    if risk.trailing is not None:
        given.append(f"trail_points = 1, trail_offset = {_ticks(risk.trailing)}")
    if not given:
        return ""
    return f'\n    strategy.exit("{side} level", "{side}", {", ".join(given)})'


def _ticks(distance: Distance) -> str:
    if distance.kind == "ticks":
        return number(distance.value)
    if distance.kind == "atr":
        return f"{number(distance.value)} * atr{distance.timeperiod} / syminfo.mintick"
    return f"{number(distance.value)} * close / syminfo.mintick"
