"""The classic strategies: one file each, found by themselves.

A new one is a file in this folder with a subclass of ``ClassicStrategy``: its name, its parameters as typed fields, the
rules of its two entries, and whatever is odd about a choice of parameters. Nothing else has to be told of it.
"""

import pkgutil
from functools import cache
from importlib import import_module

from forge_core.errors import ConfigError, unknown
from forge_core.plays.classic.strategy import ClassicStrategy

__all__ = ["ClassicStrategy", "classic_strategies", "get_strategy"]


@cache
def _load() -> None:
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")


def classic_strategies() -> dict[str, type[ClassicStrategy]]:
    """Return every classic strategy by name, in the order of the names; raises ConfigError where two have the same."""
    _load()
    found: dict[str, type[ClassicStrategy]] = {}
    for strategy in ClassicStrategy.__subclasses__():
        if strategy.name in found:
            raise ConfigError(f"two strategies are called {strategy.name!r}: {found[strategy.name]} and {strategy}")
        found[strategy.name] = strategy
    return dict(sorted(found.items()))


def get_strategy(name: str) -> type[ClassicStrategy]:
    """Return the strategy called ``name``, or raise ConfigError naming the nearest one."""
    known = classic_strategies()
    if name not in known:
        raise ConfigError(unknown("strategy", name, known))
    return known[name]
