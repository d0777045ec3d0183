"""A Play becomes a genome and comes back as the same Play, or is refused naming what the space lacks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge_core.errors import PlayError
from forge_core.evolution.search.encoding import encode
from forge_core.evolution.search.genome import QUORUMS, Genome, at_least
from forge_core.evolution.search.search_space import build_space
from forge_core.evolution.spec.space import SpaceSpec
from forge_core.plays.canonical import play_hash
from forge_core.plays.parser import parse_play, play_to_yaml

from .test_genome import drawn, genome_of, random_values


@settings(max_examples=60, deadline=None)
@given(drawn)
def test_what_a_genome_decodes_to_can_be_encoded(case: tuple[Genome, tuple[int, ...]]) -> None:
    genome, values = case
    play = genome.decode(values)
    again = encode(genome, parse_play(play_to_yaml(play)))
    assert play_hash(genome.decode(again)) == play_hash(play)


def sparse_values(genome: Genome, seed: int) -> tuple[int, ...]:
    """Genes with most slots off, so that both sides, mirrored or not, fit several ways."""
    rng = np.random.default_rng(seed)
    values = random_values(genome, seed)
    off = [gene.name.endswith("_role") and rng.random() < 0.7 for gene in genome.genes]
    return tuple(0 if is_off else value for is_off, value in zip(off, values, strict=True))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([1, 2, 3, 5, 7]), st.sampled_from(["both", "long", "short"]), st.integers(0, 2**32))
def test_of_few_rules_too(level: int, sides: str, seed: int) -> None:
    genome = genome_of(level, sides)
    play = genome.decode(sparse_values(genome, seed))
    assert play_hash(genome.decode(encode(genome, play))) == play_hash(play)


def test_quorums_reach_from_any_to_all() -> None:
    for rules in range(1, 60):
        steps = [at_least(quorum, rules) for quorum in range(QUORUMS)]
        assert steps == sorted(steps)
        assert (steps[0], steps[-1]) == (1, rules)


PLAY = """
name: mine
timeframe: 15m
features:
  fast: {{indicator: ema, timeperiod: {period}}}
  slow: {{indicator: ema, timeperiod: 50, timeframe: {timeframe}}}
  rsi: {{indicator: rsi, timeperiod: 14}}
entry:
  long: {entry}
exit:
  long: "rsi > 70"
risk: {risk}
"""

OWN = {
    "indicator_slots": 3,
    "timeframes": ["15m", "1h"],
    "indicators": {"ema": {"timeperiod": [20, 50]}, "rsi": {"timeperiod": [14]}},
}


def own_play(
    *, period: int = 20, timeframe: str = "1h", risk: str = "{stop: {atr: 2}}", entry: str | None = None
) -> str:
    entry = entry or '{all: ["close > slow", "fast rising 3"]}'
    return PLAY.format(period=period, timeframe=timeframe, risk=risk, entry=entry)


def own_genome(**changes) -> Genome:
    return Genome(build_space(SpaceSpec(**OWN | changes), timeframe="15m", sides="long"))


@pytest.mark.parametrize("entry", ['{all: ["close > slow", "fast rising 3"]}', '{any: ["slow < close", "rsi < 30"]}'])
def test_a_play_of_ones_own(entry: str) -> None:
    play = parse_play(own_play(entry=entry))
    genome = own_genome()
    assert play_hash(genome.decode(encode(genome, play))) == play_hash(play)


@pytest.mark.parametrize(
    ("play", "space", "message"),
    [
        ({"period": 21}, {}, r"entry.long: `ema.*`: of ema the space has timeperiod 20; timeperiod 50"),
        ({"timeframe": "4h"}, {}, r"entry.long: .*the space reads the timeframes 15m, 1h"),
        ({"risk": "{stop: {atr: 2.2}}"}, {}, r"risk.stop: atr 2.2 of 14 bars is none of percent 0.005"),
        ({"risk": "{stop: {atr: 2}, max_bars: 7}"}, {}, r"risk.max_bars: 7 is none of 3, 5"),
        ({"risk": "{stop: {atr: 2}, size: {fraction: 0.5}}"}, {}, r"risk.size: a space leaves it at its default"),
        ({"risk": "{stop: {atr: 2}, cooldown: 5}"}, {}, r"risk.cooldown"),
        ({"entry": '{all: ["fast >= slow", "fast rising 3"]}'}, {}, r"the space's operators are >, <"),
        ({"entry": '{all: ["fast > slow"]}'}, {}, r"the space does not set this column against that"),
        ({}, {"indicator_slots": 2}, r"exit.long: no slot of the space is left for `rsi"),
        ({}, {"indicators": {"ema": {"timeperiod": [20, 50]}}}, r"exit.long: .* the space has no column rsi"),
        (
            {"entry": '{all: ["fast rising 3", {any: ["close > slow", "rsi < 30"]}]}'},
            {},
            r"entry.long: a group of rules within another",
        ),
    ],
)
def test_what_a_space_cannot_express_is_named(play: dict, space: dict, message: str) -> None:
    with pytest.raises(PlayError, match=message):
        encode(own_genome(**space), parse_play(own_play(**play)))


def test_the_timeframe_and_the_sides_must_be_the_studys() -> None:
    genome = Genome(build_space(SpaceSpec(**OWN), timeframe="15m", sides="short"))
    with pytest.raises(PlayError, match=r"entry.long: the study's sides are short"):
        encode(genome, parse_play(own_play()))
    hourly = Genome(build_space(SpaceSpec(**OWN | {"timeframes": ["1h"]}), timeframe="1h", sides="long"))
    with pytest.raises(PlayError, match="it trades on 15m, the study on 1h"):
        encode(hourly, parse_play(own_play()))
