"""What the targets of an export can express: every part of a Play that a target cannot is named."""

from collections.abc import Iterator, Mapping

import numpy as np
import talib

from forge_core.errors import ConfigError
from forge_core.features.reference import PRICE_FIELDS, FeatureRef
from forge_core.features.registry import get_feature
from forge_core.plays.describe import describe_column
from forge_core.plays.model import Compare, Group, Play, Rule, Trend
from forge_core.plays.rules import columns

SIDES = ("entry_long", "entry_short", "exit_long", "exit_short")
TALIB = frozenset(name.lower() for name in talib.get_functions())


def play_columns(play: Play) -> list[FeatureRef]:
    """Return the columns that a Play's rules read, each once, in order."""
    groups = [getattr(play, side) for side in SIDES]
    return list(dict.fromkeys(reference for group in groups if group is not None for reference in columns(group)))


def play_rules(play: Play) -> Iterator[Compare | Trend]:
    """Yield every rule of a Play."""
    for side in SIDES:
        group = getattr(play, side)
        if group is not None:
            yield from _leaves(group)


def _leaves(rule: Rule) -> Iterator[Compare | Trend]:
    if isinstance(rule, Group):
        for inner in rule.rules:
            yield from _leaves(inner)
    else:
        yield rule


def warmup(play: Play) -> int:
    """Return the first bar (from 0) after the warm-up of every column that the Play reads, its ATR included."""
    bars = [get_feature(reference.name).lookback(dict(reference.params)) for reference in play_columns(play)]
    risk = play.risk
    periods = [d.timeperiod for d in (risk.stop, risk.take_profit, risk.trailing) if d is not None and d.kind == "atr"]
    bars += [get_feature("atr").lookback({"timeperiod": period}) for period in periods]
    return max([play.warmup_bars, *bars])


def feature_faults(play: Play, known: frozenset[str] | None = None) -> list[str]:
    """Return hours, and the columns that are no indicator of TA-Lib (or of ``known``) on the Play's own bars."""
    faults = ["entries at some hours alone (when)"] if play.when is not None and play.when.restricts else []
    faults += ["a time of day at which positions are closed (flat_by)"] if play.flat_by is not None else []
    for reference in play_columns(play):
        text = describe_column(reference, play.timeframe)
        if reference.transform:
            faults.append(f"the transform of {text}")
        if reference.symbol:
            faults.append(f"the column {text} of another symbol")
        if reference.timeframe != play.timeframe:
            faults.append(f"the column {text} of another timeframe")
        if reference.name not in PRICE_FIELDS and reference.name not in (TALIB if known is None else known):
            faults.append(f"the {get_feature(reference.name).kind} {text}")
    return faults


def refuse(play: Play, target: str, faults: list[str]) -> None:
    """Raise ConfigError naming all ``faults``, if there are any."""
    if faults:
        listed = "; ".join(dict.fromkeys(faults))
        raise ConfigError(f"Play {play.name!r} cannot be exported to {target}, which does not express: {listed}")


def column_names(play: Play) -> Mapping[FeatureRef, str]:
    """Return an identifier for each column of a Play: ``c1``, ``c2`` ...; bar fields keep their names."""
    names: dict[FeatureRef, str] = {}
    for reference in play_columns(play):
        made = len([name for name in names.values() if name not in PRICE_FIELDS])
        names[reference] = reference.name if reference.name in PRICE_FIELDS else f"c{made + 1}"
    return names


def number(value: float) -> str:
    """Return a number as source text without loss of precision."""
    return repr(float(np.float64(value)))
