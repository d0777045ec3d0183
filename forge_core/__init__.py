"""Forge's computing core: market data, features, Plays, the backtest engine, metrics and evolution.

Nothing in this package imports dagster; ``forge_pipelines`` wires it into assets and jobs.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forge_core.engine.backtest import backtest
    from forge_core.engine.costs import Costs
    from forge_core.engine.fill_rules import FillRules
    from forge_core.engine.report.result import BacktestResult
    from forge_core.judging.many import backtest_many
    from forge_core.plays.parser import load_play, parse_play

__all__ = ["BacktestResult", "Costs", "FillRules", "backtest", "backtest_many", "load_play", "parse_play"]

_HOMES = {
    "backtest": "forge_core.engine.backtest",
    "backtest_many": "forge_core.judging.many",
    "Costs": "forge_core.engine.costs",
    "FillRules": "forge_core.engine.fill_rules",
    "BacktestResult": "forge_core.engine.report.result",
    "load_play": "forge_core.plays.parser",
    "parse_play": "forge_core.plays.parser",
}


def __dir__() -> list[str]:
    """Show the public names."""
    return __all__


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for, so that `forge --help` need not load numba."""
    if name not in _HOMES:
        raise AttributeError(f"module 'forge_core' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
