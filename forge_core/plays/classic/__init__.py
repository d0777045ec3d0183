"""Classic strategies, one module each, registered automatically.

To add one, create a module in this folder with a subclass of ``ClassicStrategy``: its name, its parameters as typed
fields, the rules of its two entries, and warnings about unusual parameters. No other file changes.
"""

import pkgutil
from functools import cache
from importlib import import_module

from forge_core.errors import ConfigError, unknown
from forge_core.extension_files import load_extensions, refusals_note
from forge_core.plays.classic.strategy import ClassicStrategy

__all__ = ["ClassicStrategy", "builtin_strategies", "classic_strategies", "get_strategy"]


@cache
def _load() -> None:
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")


def builtin_strategies() -> dict[str, type[ClassicStrategy]]:
    """Return Forge's own strategies by name, sorted; raises ConfigError on duplicate names."""
    _load()
    strategies: dict[str, type[ClassicStrategy]] = {}
    for strategy in ClassicStrategy.__subclasses__():
        if not strategy.__module__.startswith(__name__):
            continue
        if strategy.name in strategies:
            first = strategies[strategy.name]
            raise ConfigError(f"duplicate strategy name {strategy.name!r}: {first} and {strategy}; rename one of them")
        strategies[strategy.name] = strategy
    return dict(sorted(strategies.items()))


def classic_strategies() -> dict[str, type[ClassicStrategy]]:
    """Return every classic strategy by name, sorted: Forge's and those of extensions."""
    own = {name: part.value for name, part in load_extensions().of_kind("strategy").items()}
    return dict(sorted({**builtin_strategies(), **own}.items()))


def get_strategy(name: str) -> type[ClassicStrategy]:
    """Return the strategy called ``name``, or raise ConfigError naming the nearest one."""
    known = classic_strategies()
    if name not in known:
        raise ConfigError(unknown("strategy", name, known) + refusals_note())
    return known[name]
