"""One search and the terms it trades on, to be repeated on any bars."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import psutil

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.engine.kernel.params import Policy
from forge_core.engine.terms import Terms
from forge_core.evidence.markets.market import Market
from forge_core.evolution.search.assessment import Assessor
from forge_core.evolution.search.evaluation import Constraint, Evaluator, Objectives
from forge_core.evolution.search.forked_assessor import open_assessor
from forge_core.evolution.search.loop import Found, Search, run_random, run_search
from forge_core.features.bank.lru import LruArrays
from forge_core.parallelism import worker_count


@dataclass(frozen=True)
class Experiment:
    """A ``search`` with the costs (None: each instrument's own), cash, same-bar policy and fill rules of backtests."""

    search: Search
    costs: Costs | None = None
    cash: float = 100_000.0
    policy: Policy = "pessimistic"
    fills: FillRules = STRICT

    @property
    def terms(self) -> Terms:
        """Costs, cash, same-bar policy and fill rules of every backtest."""
        return {"costs": self.costs, "cash": self.cash, "policy": self.policy, "fills": self.fills}

    def evaluator(self, markets: Mapping[str, Market]) -> Evaluator:
        """Return what backtests Plays on ``markets``, their features computed in memory.

        All columns of a search have to stay: with too little room most are computed again for each generation.
        """
        columns = LruArrays(psutil.virtual_memory().total // (_MEMORY_SHARE * worker_count()))
        return Evaluator(
            {name: market.feed(columns) for name, market in markets.items()},
            self.search.objectives,
            **self.terms,
        )

    def run(self, markets: Mapping[str, Market], workers: int = 1) -> Found:
        """Run the search on ``markets``; the outcome does not depend on the number of ``workers`` (processes)."""
        with self._assessor(markets, workers) as assessor:
            return run_search(self.search, assessor)

    def draw(self, markets: Mapping[str, Market], workers: int = 1) -> Found:
        """Draw as many Plays at random on ``markets`` instead."""
        with self._assessor(markets, workers) as assessor:
            return run_random(self.search, assessor)

    def _assessor(self, markets: Mapping[str, Market], workers: int) -> AbstractContextManager[Assessor]:
        search, evaluator = self.search, self.evaluator(markets)
        return open_assessor(search.genome, evaluator, workers, max(search.sizes), documents=False, name="a search")

    def seeded(self, seed: int) -> "Experiment":
        """Return the same experiment with another seed."""
        return replace(self, search=replace(self.search, seed=seed))

    def shortened(self, share: float) -> "Experiment":
        """Return the same experiment for ``share`` of the period: bounds on counts of trades shrink with it."""
        objectives = self.search.objectives
        constraints = tuple(
            Constraint(c.name, c.metric, c.direction, c.aggregate, c.bound * share) if c.metric in _COUNTS else c
            for c in objectives.constraints
        )
        return replace(self, search=replace(self.search, objectives=Objectives(objectives.terms, constraints)))


_MEMORY_SHARE = 4  # the columns of all workers together take up to this part of the memory
_COUNTS = ("total_trades", "wins", "losses")
