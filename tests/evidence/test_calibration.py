"""The tests of evidence where the truth is known: a small version of `python -m benchmarks evidence`."""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulated import fair_bars
from benchmarks.suites.evidence import SEARCHES, examine, experiment, proportion, table
from forge_core.evidence.markets.market import Market
from forge_core.evidence.searches.luck import luck_search
from forge_core.market.reference.instruments import Instrument

MARKETS = 60


def rows(truth: str, count: int) -> list[dict]:
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(examine, [truth] * count, range(1_000, 1_000 + count)))


@pytest.mark.long
@pytest.mark.parametrize("truth", ["fair", "drift", "index"])
def test_luck_and_confirmed_have_their_size_where_nothing_can_be_earned(truth: str) -> None:
    found = table(rows(truth, MARKETS))
    print(truth, found)
    for test in ("luck", "confirmed"):
        hits = int(found[test]["significant"])
        assert stats.binomtest(hits, MARKETS, 0.05, alternative="greater").pvalue > 0.001
    assert found["probabilistic"]["share"] > 0.9  # a test without correction calls nearly every champion real


@pytest.mark.long
def test_a_large_edge_is_found() -> None:
    found = table(rows("edge 90", 12))
    print(found)
    assert found["luck"]["share"] > 0.5


def test_a_luck_search_of_a_simulated_market_depends_on_its_number_alone() -> None:
    bars = fair_bars(500, np.random.default_rng(3), edge=60.0)
    spot = Instrument(symbol="SIM", kind="spot", tick=0.0001, lot=0.0001)
    market = {"SIM": Market(spot, "1d", bars, {}, bars.index[200])}
    small = experiment(1, population=8, generations=2)
    first, again = (luck_search(small, market, 3) for _ in range(2))
    assert first.score == again.score
    assert first.evaluated == again.evaluated > 0
    assert SEARCHES == 19


def test_proportions_have_exact_intervals() -> None:
    found = proportion(1, 20)
    assert (found["share"], found["markets"]) == (0.05, 20)
    assert found["low"] == pytest.approx(0.00127, abs=1e-5)  # Clopper and Pearson's table
    assert found["high"] == pytest.approx(0.24873, abs=1e-5)
