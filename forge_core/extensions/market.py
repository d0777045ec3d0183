"""Own sources of bars and import formats."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from forge_core.errors import ConfigError
from forge_core.extension_files import register
from forge_core.market.importing.formats import FORMATS
from forge_core.market.importing.formats.model import Contents, Format, ReadOptions
from forge_core.market.importing.formats.source_file import SourceFile
from forge_core.market.reference.instruments import builtin_sources
from forge_core.market.sources.protocol import Fetched, Request, Source, read_options
from forge_core.paths import safe_name

__all__ = [
    "Contents",
    "Fetched",
    "Format",
    "ReadOptions",
    "Request",
    "Source",
    "SourceFile",
    "import_format",
    "read_options",
    "source",
]

Class = TypeVar("Class", bound=type)


def source(name: str) -> Callable[[Class], Class]:
    """Register a class as a source of bars: ``source: NAME`` of an instrument; the protocol is ``Source``."""

    def decorate(cls: Class) -> Class:
        safe_name(name, "source")
        if name in builtin_sources():
            raise ConfigError(f"source {name!r} has the name of one of Forge's sources; rename it")
        for method, arguments in (("__init__", 2), ("timeframes", 0), ("fetch", 2)):
            _check_method(f"source {name}", cls, method, arguments)
        if not isinstance(getattr(cls, "on_demand", None), bool):
            raise ConfigError(
                f"source {name}: on_demand is missing; set `on_demand = True` if it downloads what is asked for, False "
                "if it gives all it has"
            )
        _register("source", name, cls, cls)
        return cls

    return decorate


def import_format(cls: Class) -> Class:
    """Register a subclass of ``Format``; files are offered to it before Forge's formats."""
    if not (inspect.isclass(cls) and issubclass(cls, Format)):
        raise ConfigError(f"{cls!r} is no subclass of Format")
    for attribute in ("name", "description"):
        if not isinstance(getattr(cls, attribute, None), str):
            raise ConfigError(f"format {cls.__name__}: {attribute} is missing; set it to a text")
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise ConfigError(f"format {cls.name}: method {missing[0]} is missing")
    if cls.name in {known.name for known in FORMATS}:
        raise ConfigError(f"format {cls.name!r} has the name of one of Forge's formats; rename it")
    _register("format", cls.name, cls(), cls)
    return cls


def _check_method(what: str, cls: type, method: str, arguments: int) -> None:
    function = inspect.getattr_static(cls, method, None)
    if not inspect.isfunction(function):
        raise ConfigError(f"{what}: method {method} is missing")
    try:
        inspect.signature(function).bind(*range(1 + arguments))
    except TypeError as error:
        raise ConfigError(f"{what}: {method} must take {arguments} arguments after self: {error}") from None


def _register(kind: Any, name: str, value: object, cls: type) -> None:
    file, line = class_place(cls)
    register(kind, name, value, line=line, file=file, source="")


def class_place(cls: type) -> tuple[str, int]:
    """Return file and line of a class; those of a class made in a console are unknown."""
    try:
        return inspect.getfile(cls), inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return "<console>", 0
