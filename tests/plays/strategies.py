"""Random Plays, always valid, over the whole registry of features, and small groups of rules.

Hypothesis draws a seed and the standard library's generator the Play: Hypothesis alone is slow at structures so large.
"""

import random
from collections import defaultdict
from dataclasses import replace

from hypothesis import strategies as st

from forge_core.features.order import difference_of
from forge_core.features.reference import FeatureRef
from forge_core.features.registry import all_features, column_scale
from forge_core.plays.constant import constant_result
from forge_core.plays.model import Compare, Distance, Group, Play, Risk, Rule, Size, Trend

EXECUTION, HIGHER = "15m", "1h"
OTHER = "BTCUSDT"  # another symbol
OPERATORS = (">", "<", ">=", "<=", "crosses_above", "crosses_below")
NAMES = ("fast", "slow", "ema_5", "sma_55_1h", "on", "_x")  # two are names that features without one are given


def _columns() -> dict[str, list[FeatureRef]]:
    """Every output of every feature, twice and as z-score, by what it may be compared with."""
    by_scale: dict[str, list[FeatureRef]] = defaultdict(list)
    chance = random.Random(1)
    for definition in all_features():
        choices = definition.combinations()
        for output in definition.outputs:
            own = definition.name if output.scale.kind == "unbounded" else ""
            for i, timeframe in enumerate((EXECUTION, HIGHER)):
                params = definition.resolve(choices[7 * i % len(choices)])
                symbol = OTHER if definition.kind == "relative" else ""
                column = FeatureRef(definition.name, params, output.name, timeframe, symbol=symbol)
                by_scale[f"{output.scale} {own}"].append(column)
                if definition.kind != "calendar" and i == 0:
                    score = replace(column, transform="zscore:50", symbol=symbol or chance.choice(("", OTHER)))
                    by_scale[f"{column_scale(score)} "].append(score)
    return by_scale


COLUMNS = _columns()
SCALES = sorted(COLUMNS)
ALL_COLUMNS = [column for scale in SCALES for column in COLUMNS[scale]]


def random_compare(chance: random.Random) -> Compare:
    """A column against a column of its scale, or against a number that it can fall on either side of."""
    scale = chance.choice(SCALES)
    left = chance.choice(COLUMNS[scale])
    operator = chance.choice(OPERATORS)
    others = [column for column in COLUMNS[scale] if column != left]
    right = chance.choice(others) if others and chance.random() < 0.5 else None
    if right and not constant_result(left, operator, right) and not difference_of(left, right):
        return Compare(left, operator, right)
    if scale.startswith("bounded"):
        low, high = (float(bound) for bound in scale.split()[1].split(".."))
        return Compare(left, operator, chance.uniform(low, high))
    number = chance.choice([float(chance.randrange(-100, 100)), chance.uniform(-1, 1), chance.gauss(0, 1) * 1e12, 1e-9])
    return Compare(left, operator, 1e-12 + abs(number) if "at least 0" in scale else number)


def random_group(chance: random.Random, depth: int = 1) -> Group:
    """One to four rules, of which any number must hold, and groups among them."""
    rules: list[Rule] = []
    for _ in range(chance.randint(1, 4)):
        if depth < 4 and chance.random() < 0.25:
            rules.append(random_group(chance, depth + 1))
        elif chance.random() < 0.2:
            rules.append(Trend(chance.choice(ALL_COLUMNS), chance.choice(("rising", "falling")), chance.randint(1, 9)))
        else:
            rules.append(random_compare(chance))
    return Group(chance.randint(1, len(rules)), tuple(rules))


def random_distance(chance: random.Random) -> Distance | None:
    return chance.choice(
        [
            None,
            Distance("percent", chance.uniform(1e-4, 0.99)),
            Distance("atr", chance.uniform(0.1, 20), chance.choice((14, 50))),
            Distance("ticks", float(chance.randint(1, 1000))),
        ]
    )


def random_risk(chance: random.Random) -> Risk:
    stop = random_distance(chance)
    sizes = [Size(), Size("fraction", 0.5), Size("notional", 1e4), Size("contracts", 1.0)]
    return Risk(
        size=chance.choice([*sizes, Size("risk", 0.01)] if stop else sizes),
        stop=stop,
        take_profit=random_distance(chance),
        trailing=random_distance(chance),
        max_bars=chance.randint(1, 1000),
        cooldown=chance.choice((0, 5)),
    )


def random_play(seed: int) -> Play:
    """A valid Play; its features have names of their own, or none as if it came out of a genome."""
    chance = random.Random(seed)
    sides = chance.choice(("both", "long", "short"))
    long = random_group(chance) if sides != "short" or chance.random() < 0.5 else None
    short = random_group(chance) if sides == "short" or long is None or chance.random() < 0.5 else None
    leave = [random_group(chance) if chance.random() < 0.5 else None for _ in range(2)]
    return Play(
        name=chance.choice(("x", "on", "1e3", "ema_cross.v2")),  # some are no text to YAML unless quoted
        timeframe=EXECUTION,
        entry_long=long,
        entry_short=short,
        exit_long=leave[0] if long and sides != "short" else None,
        exit_short=leave[1] if short and sides != "long" else None,
        risk=random_risk(chance),
        sides=sides,
        warmup_bars=chance.choice((0, 100)),
        features={name: chance.choice(ALL_COLUMNS) for name in chance.sample(NAMES, chance.randint(0, 4))},
    )


def plays() -> st.SearchStrategy[Play]:
    return st.integers(0, 2**32 - 1).map(random_play)


def grouped(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Group]:
    """One to three rules, of which any number must hold."""
    lists = st.lists(rules, min_size=1, max_size=3)
    return lists.flatmap(lambda rules: st.integers(1, len(rules)).map(lambda k: Group(k, tuple(rules))))
