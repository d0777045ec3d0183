"""From a search to a portfolio: evolve a small study, read its front, and weigh its champion with a known Play.

Run: python examples/study_to_portfolio.py
"""

# %% A small study: rules on daily bars of the S&P 500
import forge_core
from forge_core.evolution.spec.study import StudySpec
from forge_core.evolution.steps import read_front, run_study, status_text
from forge_core.judging.choice import study_play
from forge_core.judging.portfolio import portfolio

study = StudySpec.model_validate(
    {
        "name": "example",
        "train": ["SP500_BEAR_2000", "SP500_BULL_2003"],
        "holdout": ["SP500_2012_2018"],
        "timeframe": "1d",
        "space": {"level": 2},
        "objectives": "risk_adjusted",
        "constraints": {"min_trades": 10},
        "population": 24,
        "generations": 4,
        "sides": "long",
    }
)
run_study(study)
print(status_text("example"))
print(read_front("example").head())

# %% Its champion next to a known Play, weights fitted on the first half of their common period
champion, known = study_play("example"), forge_core.load_play("studies/plays/ema_cross.yaml")
found = portfolio(
    {"champion": (champion, "NASDAQ_FULL_CYCLE"), "ema cross": (known, "SP500_FULL_CYCLE")},
    weighting="minimum_variance",
)
print(found.weights.round(3))
print(found.figures.round(3))
