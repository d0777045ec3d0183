"""Own classic strategies for mass tests."""

import inspect
from typing import TypeVar

from forge_core.errors import ConfigError, ForgeError
from forge_core.extension_files import register
from forge_core.extensions.market import class_place
from forge_core.paths import safe_name
from forge_core.plays.classic import builtin_strategies
from forge_core.plays.classic.strategy import ClassicStrategy, column, when
from forge_core.plays.validation import check_play
from forge_core.source_hash import source_hash

__all__ = ["ClassicStrategy", "column", "strategy", "when"]

Strategy = TypeVar("Strategy", bound=type[ClassicStrategy])


def strategy(cls: Strategy) -> Strategy:
    """Register a subclass of ``ClassicStrategy`` for mass tests; with its defaults it must give a valid Play."""
    if not (inspect.isclass(cls) and issubclass(cls, ClassicStrategy)):
        raise ConfigError(f"{cls!r} is no subclass of ClassicStrategy")
    name = getattr(cls, "name", None)
    if not isinstance(name, str):
        raise ConfigError(f"{cls.__name__} has no name; add `name: ClassVar[str] = {cls.__name__.lower()!r}`")
    safe_name(name, "strategy")
    if name in builtin_strategies():
        raise ConfigError(f"strategy {name!r} has the name of one of Forge's strategies; rename it")
    try:
        default = cls()
        check_play(default.play("1h"))
        list(default.oddities())
    except ForgeError as error:
        raise ConfigError(f"strategy {name} with its defaults: {error}") from None
    file, line = class_place(cls)
    register("strategy", name, cls, line=line, file=file, source=source_hash(cls))
    return cls
