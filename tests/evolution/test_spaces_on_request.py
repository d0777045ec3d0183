"""Calendar features and transforms in search spaces: drawn where a study asks, nothing changed where it does not."""

import random

import pytest

from forge_core.errors import ConfigError
from forge_core.evolution.search.encoding import encode
from forge_core.evolution.search.genome import Genome
from forge_core.evolution.search.search_space import build_space
from forge_core.evolution.spec.space import SpaceSpec
from forge_core.features.registry import get_feature
from forge_core.plays.canonical import play_hash
from forge_core.plays.rules import columns
from forge_core.plays.validation import check_play


def genome_of(**space) -> Genome:
    return Genome(build_space(SpaceSpec(level=3, **space), timeframe="1h", sides="both"))


def drawn(genome: Genome, count: int = 300):
    chance = random.Random(5)
    for _ in range(count):
        genes = tuple(chance.randrange(gene.size) for gene in genome.genes)
        yield genes, genome.decode(genes)


def references(play):
    groups = (play.entry_long, play.entry_short, play.exit_long, play.exit_short)
    return [reference for group in groups if group for reference in columns(group)]


def test_a_space_that_does_not_ask_is_the_same():
    plain = build_space(SpaceSpec(level=3), timeframe="1h", sides="both")
    said = build_space(SpaceSpec(level=3, calendar=False, transforms=[]), timeframe="1h", sides="both")
    assert plain.fingerprint() == said.fingerprint()
    assert SpaceSpec(level=3, calendar=False, transforms=[]).model_dump() == SpaceSpec(level=3).model_dump()
    assert {"calendar", "transforms"}.isdisjoint(SpaceSpec(level=3).model_dump())
    assert not any(
        r.transform or get_feature(r.name).kind == "calendar" for _, p in drawn(Genome(plain)) for r in references(p)
    )


def test_a_space_that_asks_draws_valid_plays_of_all_of_them_and_takes_them_as_seeds():
    genome = genome_of(calendar=True, transforms=["distance", "zscore", "percentile_rank", "slope", "lag"])
    seen = set()
    for number, (_, play) in enumerate(drawn(genome)):
        check_play(play)
        for reference in references(play):
            seen.add(reference.transform.partition(":")[0] or get_feature(reference.name).kind)
        if number < 25:
            assert play_hash(genome.decode(encode(genome, play))) == play_hash(play)
    assert seen >= {"calendar", "distance", "zscore", "percentile_rank", "slope", "lag", "indicator", "price"}


def test_the_document_says_what_was_asked_for():
    asked = SpaceSpec(level=1, calendar=True, transforms=["zscore"]).model_dump(mode="json")
    assert (asked["calendar"], asked["transforms"]) == (True, ["zscore"])
    assert genome_of().space.fingerprint() != genome_of(transforms=["lag"]).space.fingerprint()


@pytest.mark.parametrize(("transforms", "why"), [(["zscor"], "did you mean 'zscore'"), (["lag", "lag"], "duplicate")])
def test_unknown_transforms_are_refused(transforms, why):
    with pytest.raises((ValueError, ConfigError), match=why):
        SpaceSpec(level=1, transforms=transforms)


def test_a_space_with_references_draws_columns_of_other_symbols_and_their_ratio():
    genome = genome_of(references=["BTCUSDT"], transforms=["zscore"])
    seen = set()
    for number, (_, play) in enumerate(drawn(genome)):
        check_play(play)
        seen |= {(get_feature(r.name).kind, r.symbol) for r in references(play)}
        if number < 25:
            assert play_hash(genome.decode(encode(genome, play))) == play_hash(play)
    assert seen >= {("indicator", "BTCUSDT"), ("structure", "BTCUSDT"), ("relative", "BTCUSDT"), ("indicator", "")}
    assert ("relative", "") not in seen
