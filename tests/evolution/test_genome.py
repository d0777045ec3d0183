"""Every genome of every search space decodes to a Play that makes sense."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.evolution.search.genome import OPERANDS, Genome
from forge_core.evolution.search.mirror import mirror_rule
from forge_core.evolution.search.search_space import build_space
from forge_core.evolution.spec.space import LEVELS, MTF_PRESETS, SpaceSpec
from forge_core.features.reference import FeatureRef
from forge_core.plays.canonical import play_hash
from forge_core.plays.model import Compare, Distance, Group, Play, Rule, Trend
from forge_core.plays.parser import parse_play, play_to_yaml
from forge_core.plays.validation import check_play

TIMEFRAMES = ["15m", "1h", "4h", "1d"]
PRESETS = [*LEVELS, *MTF_PRESETS]


@cache
def genome_of(preset: int | str, sides: str = "both") -> Genome:
    base = {"level": preset} if isinstance(preset, int) else {"preset": preset}
    return Genome(build_space(SpaceSpec(**base), timeframe="15m", sides=sides, available=TIMEFRAMES))


def genome_of_daily(level: int) -> Genome:
    spec = SpaceSpec(level=level, timeframes=["1d", "1w"])
    return Genome(build_space(spec, timeframe="1d", sides="both", available=["1d", "1w"]))


def random_values(genome: Genome, seed: int) -> tuple[int, ...]:
    sizes = [gene.size for gene in genome.genes]
    return tuple(int(v) for v in np.random.default_rng(seed).integers(0, sizes))


genomes = st.tuples(st.sampled_from(PRESETS), st.sampled_from(["both", "long", "short"])).map(lambda a: genome_of(*a))
drawn = st.tuples(genomes, st.integers(0, 2**32)).map(lambda a: (a[0], random_values(*a)))


def columns(rule: Rule | None) -> set[FeatureRef]:
    match rule:
        case Group(_, rules):
            return set().union(*(columns(inner) for inner in rules))
        case Trend(feature, _, _):
            return {feature}
        case Compare(left, _, right):
            return {left, right} if isinstance(right, FeatureRef) else {left}
    return set()


@settings(max_examples=200, deadline=None)
@given(drawn)
def test_every_genome_decodes_to_a_valid_play(case: tuple[Genome, tuple[int, ...]]) -> None:
    genome, values = case
    play = genome.decode(values)
    check_play(play)
    space = genome.space
    assert play.sides == space.sides
    assert play.entry_long or play.entry_short
    assert play.entry_long is None or space.sides != "short"
    assert play.entry_short is None or space.sides != "long"
    ways_out = [play.risk.stop, play.risk.take_profit, play.risk.trailing, play.risk.max_bars]
    for entry, leave, opposite in (
        (play.entry_long, play.exit_long, play.entry_short),
        (play.entry_short, play.exit_short, play.entry_long),
    ):
        assert entry is None or leave or opposite or any(ways_out)
        assert entry is not None or leave is None
    used = set().union(*(columns(g) for g in (play.entry_long, play.entry_short, play.exit_long, play.exit_short)))
    assert {column.timeframe for column in used} <= set(space.timeframes)


@settings(max_examples=30, deadline=None)
@given(drawn)
def test_a_decoded_play_survives_its_yaml(case: tuple[Genome, tuple[int, ...]]) -> None:
    genome, values = case
    play = genome.decode(values)
    assert play_hash(parse_play(play_to_yaml(replace(play, name="again")))) == play_hash(play)


@settings(max_examples=100, deadline=None)
@given(drawn, st.integers(0, 2**32))
def test_genes_of_a_slot_that_is_off_are_ignored(case: tuple[Genome, tuple[int, ...]], seed: int) -> None:
    genome, values = case
    named = dict(zip((gene.name for gene in genome.genes), values, strict=True))
    roles = [name for name in named if name.endswith("_role")]
    named[roles[0]] = 2 if genome.space.sides == "both" else 1  # an entry, so that nothing has to be repaired
    for role in roles[1:]:
        named[role] = 0
    others = dict(zip(named, random_values(genome, seed), strict=True))
    changed = {
        name: others[name] if any(name.startswith(role.removesuffix("role")) for role in roles[1:]) else value
        for name, value in named.items()
    } | {role: named[role] for role in roles}
    assert play_hash(genome.decode(tuple(changed.values()))) == play_hash(genome.decode(tuple(named.values())))


def test_equal_hashes_mean_equal_plays() -> None:
    genome = genome_of(1, "long")
    by_hash: dict[str, set[tuple]] = {}
    for seed in range(3000):
        play = genome.decode(random_values(genome, seed))
        # level 1 has two slots: order within a group is all that the hash may overlook
        groups = tuple(
            frozenset(group.rules) | {group.at_least} if group else None for group in (play.entry_long, play.exit_long)
        )
        by_hash.setdefault(play_hash(play), set()).add((groups, play.risk))
    assert all(len(plays) == 1 for plays in by_hash.values())
    assert len(by_hash) > 2500


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PRESETS), st.integers(0, 2**32))
def test_the_mirror_gene_makes_short_the_mirror_of_long(preset: int | str, seed: int) -> None:
    genome = genome_of(preset)
    values = list(random_values(genome, seed))
    values[[gene.name for gene in genome.genes].index("mirror")] = 1
    play = genome.decode(values)
    for long, short in ((play.entry_long, play.entry_short), (play.exit_long, play.exit_short)):
        assert (long is None) == (short is None)
        if long is not None and short is not None:
            assert mirror_rule(long) == short
            assert mirror_rule(short) == long


@settings(max_examples=100, deadline=None)
@given(drawn)
def test_a_mirror_image_of_a_mirror_image_is_the_rule(case: tuple[Genome, tuple[int, ...]]) -> None:
    play = case[0].decode(case[1])
    for group in (play.entry_long, play.entry_short, play.exit_long, play.exit_short):
        assert group is None or mirror_rule(mirror_rule(group)) == group


def rule(text: str, **features: dict) -> Rule:
    """One rule, read from a Play's YAML."""
    given = {"name": "one", "timeframe": "1h", "features": features, "entry": {"long": text}}
    play = parse_play(given | {"risk": {"max_bars": 5}})
    assert play.entry_long is not None
    return play.entry_long.rules[0]


RSI = {"rsi": {"indicator": "rsi", "timeperiod": 14}}
EMA = {"slow": {"indicator": "ema", "timeperiod": 50}}
BANDS = {"bands": {"indicator": "bbands", "timeperiod": 20, "nbdevup": 2.5, "nbdevdn": 1.5}}
TURNED = {"bands": {"indicator": "bbands", "timeperiod": 20, "nbdevup": 1.5, "nbdevdn": 2.5}}
AROON = {"aroon": {"indicator": "aroon", "timeperiod": 14}}
PLUS = {"plus": {"indicator": "plus_di", "timeperiod": 14}, "minus": {"indicator": "minus_di", "timeperiod": 14}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rule("rsi crosses_above 30", **RSI), rule("rsi crosses_below 70", **RSI)),
        (rule("close > slow", **EMA), rule("close < slow", **EMA)),
        (rule("slow rising 3", **EMA), rule("slow falling 3", **EMA)),
        (rule("close > bands.upperband", **BANDS), rule("close < bands.lowerband", **TURNED)),
        (rule("macd.macdhist > 0", macd={"indicator": "macd"}), rule("macd.macdhist < 0", macd={"indicator": "macd"})),
        (rule("cci < -100", cci={"indicator": "cci"}), rule("cci > 100", cci={"indicator": "cci"})),
        (rule("willr < -80", willr={"indicator": "willr"}), rule("willr > -20", willr={"indicator": "willr"})),
        (rule("aroon.aroonup > 70", **AROON), rule("aroon.aroondown > 70", **AROON)),
        (rule("plus > 25", **PLUS), rule("minus > 25", **PLUS)),
        (rule("adx > 25", adx={"indicator": "adx"}), rule("adx > 25", adx={"indicator": "adx"})),
        (rule("natr > 1", natr={"indicator": "natr"}), rule("natr > 1", natr={"indicator": "natr"})),
        (
            rule("close crosses_above zone.resistance", zone={"structure": "zones"}),
            rule("close crosses_below zone.support", zone={"structure": "zones"}),
        ),
        (
            rule("close > p90", p90={"indicator": "percentile", "percentile": 90}),
            rule("close < p10", p10={"indicator": "percentile", "percentile": 10}),
        ),
    ],
    ids=lambda rule: str(rule.feature if isinstance(rule, Trend) else rule.left),
)
def test_mirror_images(one: Rule, other: Rule) -> None:
    assert mirror_rule(one) == other
    assert mirror_rule(other) == one


def test_every_choice_of_a_space_can_be_reached() -> None:
    """No constant, partner, close, timeframe, operator, stop or quorum is out of the genes' reach."""
    spec = SpaceSpec(
        indicator_slots=1,
        timeframes=["1h", "4h"],
        indicators={"ema": {"timeperiod": [10, 20, 50]}, "rsi": {"timeperiod": [14]}},
    )
    genome = Genome(build_space(spec, timeframe="1h", sides="long"))
    rules = set()
    for seed in range(6000):
        play = genome.decode(random_values(genome, seed))
        rules |= set(play.entry_long.rules)
    compares = [rule for rule in rules if isinstance(rule, Compare)]
    assert {r.right for r in compares if not isinstance(r.right, FeatureRef)} == {float(v) for v in range(10, 91, 5)}
    partners = {(r.left.params, r.right.params) for r in compares if isinstance(r.right, FeatureRef)}
    periods = [(("timeperiod", p),) for p in (10, 20, 50)]
    assert partners == {(a, b) for a in periods for b in periods if a != b} | {((), p) for p in periods}
    assert {(r.direction, r.bars) for r in rules if isinstance(r, Trend)} == {
        (direction, bars) for direction in ("rising", "falling") for bars in (1, 2, 3, 4, 5)
    }
    assert {c.timeframe for r in rules for c in columns(r) if c.name != "close"} == {"1h", "4h"}


def test_risk_genes_reach_every_distance() -> None:
    genome = genome_of(1)
    plays = [genome.decode(random_values(genome, seed)) for seed in range(4000)]
    risk = genome.space.risk
    for name in ("stop", "take_profit", "trailing"):
        grid = getattr(risk, name)
        every = {Distance("percent", v) for v in grid.percent} | {Distance("atr", v, 14) for v in grid.atr} | {None}
        assert {getattr(play.risk, name) for play in plays} == every
    assert {play.risk.max_bars for play in plays} == {None, *risk.max_bars}


def test_a_play_without_any_way_out_is_given_a_time_limit() -> None:
    genome = genome_of(1, "long")
    play = genome.decode([0] * len(genome.genes))  # every slot off, no stop, no target, no limit
    assert play.entry_long is not None
    assert play.risk.max_bars == genome.space.risk.max_bars[-1]


def test_the_quorum_runs_from_any_to_all() -> None:
    genome = genome_of(5, "long")
    names = [gene.name for gene in genome.genes]
    values = dict(zip(names, random_values(genome, 1), strict=True))
    values |= {name: 1 for name in names if name.endswith("role")}
    found = []
    for quorum in range(6):
        group = genome.decode((values | {"entry_quorum": quorum}).values()).entry_long
        found.append(group.at_least)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (1, len(group.rules))


@pytest.mark.parametrize("wrong", [[], [0], None])
def test_values_that_do_not_fit_are_refused(wrong: list[int] | None) -> None:
    genome = genome_of(3)
    values = [gene.size for gene in genome.genes] if wrong is None else wrong
    with pytest.raises(ValueError, match=r"genes|must lie between 0 and"):
        genome.decode(values)


def test_names_are_unique_and_only_choices_are_genes() -> None:
    for preset in PRESETS:
        genome = genome_of(preset)
        assert len({gene.name for gene in genome.genes}) == len(genome.genes)
        assert all(gene.size > 1 for gene in genome.genes)
        kinds = {kind for slot in genome.space.slots for column in slot.columns for kind in column.comparisons}
        assert kinds <= {"constant", "close", "sibling", "partner"}
        assert all(len(c.constants) <= OPERANDS // 3 + 1 for slot in genome.space.slots for c in slot.columns)


def test_a_play_keeps_its_timeframe_and_is_hashable() -> None:
    play: Play = genome_of(5).decode(random_values(genome_of(5), 9))
    assert play.timeframe == "15m"
    assert len(play_hash(play)) == 16
