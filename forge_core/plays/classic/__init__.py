"""Classic strategies, one module each, registered automatically.

To add one, create a module in this folder with a subclass of ``ClassicStrategy``: its name, its parameters as typed
fields, the rules of its two entries, and warnings about unusual parameters. No other file changes.
"""

import pkgutil
from functools import cache
from importlib import import_module

from forge_core.errors import ConfigError, unknown
from forge_core.extension_files import PACKAGE, load_extensions, refusals_note
from forge_core.plays.classic.strategy import ClassicStrategy

__all__ = ["ClassicStrategy", "builtin_strategies", "classic_strategies", "get_strategy"]


@cache
def _load() -> None:
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")


def builtin_strategies() -> dict[str, type[ClassicStrategy]]:
    """Return Forge's own strategies by name."""
    _load()
    return {strategy.name: strategy for strategy in _subclasses() if strategy.__module__.startswith(__name__)}


def classic_strategies() -> dict[str, type[ClassicStrategy]]:
    """Return every classic strategy by name, sorted: Forge's, those of extensions, and classes of this process.

    Raises ConfigError on duplicate names.
    """
    _load()
    strategies: dict[str, type[ClassicStrategy]] = {}
    own = [part.value for part in load_extensions().of_kind("strategy").values()]
    for strategy in dict.fromkeys((*_subclasses(), *own)):
        if strategy.name in strategies:
            first = strategies[strategy.name]
            raise ConfigError(f"duplicate strategy name {strategy.name!r}: {first} and {strategy}; rename one of them")
        strategies[strategy.name] = strategy
    return dict(sorted(strategies.items()))


def _subclasses() -> list[type[ClassicStrategy]]:
    """Return the strategies that were defined in this process, apart from those of extension files."""
    return [cls for cls in ClassicStrategy.__subclasses__() if not cls.__module__.startswith(f"{PACKAGE}.")]


def get_strategy(name: str) -> type[ClassicStrategy]:
    """Return the strategy called ``name``, or raise ConfigError naming the nearest one."""
    known = classic_strategies()
    if name not in known:
        raise ConfigError(unknown("strategy", name, known) + refusals_note())
    return known[name]
