"""Made-up evaluations and individuals, for tests that need no backtest."""

import hashlib

import numpy as np

from forge_core.evolution.search.evaluation import Constraint, Evaluation, Objective, Objectives
from forge_core.evolution.search.generation import Individual
from forge_core.metrics.catalog import METRIC_INDEX, METRICS

OBJECTIVES = Objectives(
    (
        Objective("sharpe", "sharpe", "maximize", "worst", -20.0),
        Objective("max_drawdown", "max_drawdown", "minimize", "worst", 1.0),
    ),
    (Constraint("min_trades", "total_trades", "maximize", "worst", 30.0),),
)


def metrics(**values: float) -> np.ndarray:
    """A metrics vector of one dataset: as given, else harmless."""
    vector = np.zeros(len(METRICS))
    for name, value in ({"total_trades": 100.0, "days": 500.0} | values).items():
        vector[METRIC_INDEX[name]] = value
    return vector


def made_up(play: str, datasets: int = 1) -> Evaluation:
    """An evaluation that depends on the Play's hash alone; one in four is infeasible."""
    rng = np.random.default_rng(int(hashlib.sha256(play.encode()).hexdigest()[:8], 16))
    rows = [
        metrics(
            sharpe=float(rng.normal()),
            max_drawdown=float(rng.uniform(0.05, 0.9)),
            total_trades=float(rng.integers(0, 120)),
            profit_factor=float("nan"),
        )
        for _ in range(datasets)
    ]
    return OBJECTIVES.score(np.array(rows))


def individual(number: int, play: str | None = None, *, born: int = 1, island: int = 0) -> Individual:
    play = play or f"{number:016x}"
    return Individual(born, island, number, (number % 7, number % 5, number % 3), play, made_up(play))
