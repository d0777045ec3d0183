"""The luck test: the whole search repeated in markets where the direction of a bar cannot be known.

H0: directions are fair coins (``markets.mirrored``). A search of the same space, budget, constraints, costs and
islands runs in each mirrored market; the p-value is ``(1 + as good) / (searches + 1)``, never 0 (Phipson and Smyth,
Permutation P-values Should Never Be Zero, 2010). The test is sequential: once ``STOP`` searches were as good it ends
with p = STOP / searches (Besag and Clifford, Sequential Monte Carlo p-values, Biometrika 78(2), 1991).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forge_core.evidence.markets.market import Market
from forge_core.evidence.markets.mirrored import mirrored_markets
from forge_core.evidence.searches.experiment import Experiment
from forge_core.evolution.search.loop import Found

STOP = 3
"""Searches as good as the study's after which nothing can become of the champion any more."""


@dataclass(frozen=True)
class LuckResult:
    """``searches`` that count, those ``as_good`` among them, the ``p`` value, and whether it ``stopped`` early."""

    p: float
    searches: int
    as_good: int
    stopped: bool


def luck_seeds(study_seed: int, number: int) -> tuple[np.random.Generator, int]:
    """Return the coins' generator and the search's seed of luck search ``number`` (from 1)."""
    coins, search = np.random.SeedSequence([study_seed, number]).spawn(2)
    return np.random.default_rng(coins), int(search.generate_state(1, np.uint64)[0] >> 1)


def luck_market(markets: Mapping[str, Market], study_seed: int, number: int) -> dict[str, Market]:
    """Return the mirrored markets of luck search ``number``."""
    return mirrored_markets(markets, luck_seeds(study_seed, number)[0])


def luck_search(experiment: Experiment, markets: Mapping[str, Market], number: int, workers: int = 1) -> Found:
    """Run luck search ``number`` (from 1): a function of the search, the real markets and the number alone."""
    coins, seed = luck_seeds(experiment.search.seed, number)
    return experiment.seeded(seed).run(mirrored_markets(markets, coins), workers)


def luck_result(score: float, scores: Sequence[float | None], planned: int) -> LuckResult | None:
    """Return the result of the luck searches 1, 2, ... so far, None while it is open.

    ``score``: the study's own; ``scores``: those of the searches in their order, None where nothing was feasible (no
    Play there was as good). Searches after the one that ended the test do not count, whenever they ended.
    """
    as_good = 0
    for searches, other in enumerate(scores[:planned], 1):
        as_good += other is not None and other >= score
        if as_good == STOP:
            return LuckResult(STOP / searches, searches, as_good, searches < planned)
    if len(scores) < planned or not planned:
        return None
    return LuckResult((1 + as_good) / (planned + 1), planned, as_good, False)
