"""The measured Plays: level 5 as YAML, the other levels and presets generated to the same pattern.

The numbers of indicator columns, structure columns and timeframes are those of the search-space levels in
``evolution.spec.space``. Every column is used by a rule of both entries.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TIMEFRAMES = ("15m", "1h", "4h", "1d")
_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Level:
    """A search-space level: columns by kind, timeframes, and the design budget of a run that computes its columns."""

    name: str
    indicators: int
    structures: int
    timeframes: int
    budget_mb: float
    budget_seconds: float


LEVELS = (
    Level("1 trivial", 2, 0, 1, 20, 0.5),
    Level("3 basic", 6, 1, 1, 35, 1.2),
    Level("5 standard", 12, 2, 2, 70, 3.5),
    Level("7 advanced", 20, 3, 3, 140, 8.0),
    Level("10 maximum", 40, 6, 4, 400, 30.0),
    Level("mtf_light", 18, 1, 3, 120, 4.0),
    Level("mtf_standard", 30, 2, 3, 200, 7.0),
    Level("mtf_advanced", 45, 3, 3, 350, 12.0),
    Level("mtf_heavy", 60, 4, 3, 500, 20.0),
    Level("mtf_full", 60, 4, 4, 700, 30.0),
)

# name, parameter, its values, output, rule of a long entry, rule of a short entry
_INDICATORS: tuple[tuple[str, str, tuple[int, ...], str | None, str, str], ...] = (
    ("ema", "timeperiod", (50, 100, 200), None, "close > {}", "close < {}"),
    ("rsi", "timeperiod", (14, 21, 28), None, "{} > 55", "{} < 45"),
    ("macd", "slowperiod", (26, 34, 50), "macdhist", "{} > 0", "{} < 0"),
    ("adx", "timeperiod", (14, 21, 28), None, "{} > 20", "{} > 20"),
    ("cci", "timeperiod", (20, 34, 55), None, "{} > 50", "{} < -50"),
    ("mfi", "timeperiod", (14, 21, 28), None, "{} > 55", "{} < 45"),
    ("sma", "timeperiod", (55, 89, 144), None, "close > {}", "close < {}"),
    ("willr", "timeperiod", (14, 28, 55), None, "{} > -40", "{} < -60"),
    ("roc", "timeperiod", (10, 20, 34), None, "{} > 0", "{} < 0"),
    ("stoch", "fastk_period", (14, 21, 34), "slowk", "{} > 60", "{} < 40"),
    ("aroonosc", "timeperiod", (14, 21, 28), None, "{} > 20", "{} < -20"),
    ("kama", "timeperiod", (20, 34, 55), None, "close > {}", "close < {}"),
    ("cmo", "timeperiod", (14, 21, 28), None, "{} > 10", "{} < -10"),
    ("bbands", "timeperiod", (20, 34, 55), "middleband", "close > {}", "close < {}"),
    ("natr", "timeperiod", (14, 21, 28), None, "{} > 0.2", "{} > 0.2"),
    ("linearreg", "timeperiod", (34, 55, 89), None, "close > {}", "close < {}"),
    ("trix", "timeperiod", (9, 14, 20), None, "{} > 0", "{} < 0"),
    ("donchian", "timeperiod", (20, 34, 55), "middleband", "close > {}", "close < {}"),
    ("ppo", "slowperiod", (26, 34, 50), None, "{} > 0", "{} < 0"),
    ("wma", "timeperiod", (34, 55, 89), None, "close > {}", "close < {}"),
)

# name, output, long rule, short rule
_STRUCTURES = (
    ("range", "position", "{} > 0.6", "{} < 0.4"),
    ("trend", "state", "{} > 0.5", "{} < -0.5"),
    ("swings", "last_low", "close > {}", "close < {}"),
    ("breaks", "direction", "{} > 0.5", "{} < -0.5"),
    ("fibonacci", "level_500", "close > {}", "close < {}"),
    ("zones", "support", "close > {}", "close < {}"),
)


def level_play(level: Level) -> str:
    """Return the Play of a level as YAML."""
    if level.name.startswith("5 "):
        return level_5()
    features: dict[str, dict[str, Any]] = {}
    long, short = [], []
    for number in range(level.indicators):
        name, parameter, values, output, buys, sells = _INDICATORS[number % len(_INDICATORS)]
        feature = f"{name}_{number}"
        features[feature] = {
            "indicator": name,
            parameter: values[number // len(_INDICATORS)],
            "timeframe": TIMEFRAMES[number % level.timeframes],
            **({"output": output} if output else {}),
        }
        long.append(buys.format(feature))
        short.append(sells.format(feature))
    for number in range(level.structures):
        name, output, buys, sells = _STRUCTURES[number]
        features[name] = {"structure": name, "output": output, "timeframe": TIMEFRAMES[number % level.timeframes]}
        long.append(buys.format(name))
        short.append(sells.format(name))
    entry_count = math.ceil(0.8 * len(long))
    exit_count = math.ceil(0.5 * len(long))
    return yaml.safe_dump(
        {
            "name": "level_" + level.name.replace(" ", "_"),
            "timeframe": TIMEFRAMES[0],
            "features": features,
            "entry": {"long": {"at_least": entry_count, "of": long}, "short": {"at_least": entry_count, "of": short}},
            "exit": {"long": {"at_least": exit_count, "of": short}, "short": {"at_least": exit_count, "of": long}},
            "risk": {"size": {"contracts": 1}},
            "warmup_bars": 200,
        },
        sort_keys=False,
    )


def level_5() -> str:
    """Return the level-5 Play as YAML: 12 indicator and 2 structure columns on 15m and 1h."""
    return (_FOLDER / "level_5.yaml").read_text(encoding="utf-8")


def level_5_with_stops() -> str:
    """Return the level-5 Play with a stop, a target, a trailing stop and fractional size (Forge only)."""
    play = yaml.safe_load(level_5())
    play["risk"] = {
        "size": {"fraction": 1.0},
        "stop": {"atr": 3.0},
        "take_profit": {"percent": 0.06},
        "trailing": {"percent": 0.03},
    }
    return yaml.safe_dump(play, sort_keys=False)
