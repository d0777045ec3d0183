"""One search and the terms it trades on, to be repeated on any bars."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from forge_core.engine.costs import Costs
from forge_core.engine.kernel.params import Policy
from forge_core.evidence.market import Market
from forge_core.evolution.search.evaluation import Constraint, Evaluator, Goals
from forge_core.evolution.search.loop import Found, Search, run_random, run_search


@dataclass(frozen=True)
class Experiment:
    """A ``search`` with the costs (None: each instrument's own), cash and same-bar policy that its Plays trade on."""

    search: Search
    costs: Costs | None = None
    cash: float = 100_000.0
    policy: Policy = "pessimistic"

    def evaluator(self, markets: Mapping[str, Market], threads: int = 1) -> Evaluator:
        """Return what backtests Plays on ``markets``, their features computed in memory."""
        return Evaluator(
            {name: market.feed() for name, market in markets.items()},
            self.search.goals,
            costs=self.costs,
            cash=self.cash,
            policy=self.policy,
            threads=threads,
        )

    def run(self, markets: Mapping[str, Market], threads: int = 1) -> Found:
        """Run the search on ``markets``."""
        with self.evaluator(markets, threads) as evaluator:
            return run_search(self.search, evaluator.evaluate_all)

    def draw(self, markets: Mapping[str, Market], threads: int = 1) -> Found:
        """Draw as many Plays at random on ``markets`` instead."""
        with self.evaluator(markets, threads) as evaluator:
            return run_random(self.search, evaluator.evaluate_all)

    def seeded(self, seed: int) -> "Experiment":
        """Return the same experiment with another seed."""
        return replace(self, search=replace(self.search, seed=seed))

    def shortened(self, share: float) -> "Experiment":
        """Return the same experiment for ``share`` of the period: bounds on counts of trades shrink with it."""
        goals = self.search.goals
        constraints = tuple(
            Constraint(c.name, c.metric, c.direction, c.aggregate, c.bound * share) if c.metric in _COUNTS else c
            for c in goals.constraints
        )
        return replace(self, search=replace(self.search, goals=Goals(goals.objectives, constraints)))


_COUNTS = ("total_trades", "wins", "losses")
