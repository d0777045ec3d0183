"""Importable file formats and their detection by content."""

from forge_core.errors import ConfigError, DataError, unknown
from forge_core.extension_files import load_extensions, refusals_note
from forge_core.market.importing.formats.binance import Binance
from forge_core.market.importing.formats.freqtrade import Freqtrade
from forge_core.market.importing.formats.lean import Lean
from forge_core.market.importing.formats.model import Contents, Format, ReadOptions
from forge_core.market.importing.formats.plain import Plain
from forge_core.market.importing.formats.source_file import SourceFile
from forge_core.market.importing.formats.tradingview import TradingView
from forge_core.market.importing.formats.tvdatafeed import TvDatafeed
from forge_core.market.importing.formats.unsupported import why_unusable

__all__ = ["FORMATS", "Contents", "Format", "ReadOptions", "all_formats", "get_format", "recognize"]

FORMATS: tuple[Format, ...] = (Lean(), Binance(), Freqtrade(), TvDatafeed(), TradingView(), Plain())
"""Forge's formats; the first that recognizes a file reads it, so the most general is last."""


def all_formats() -> tuple[Format, ...]:
    """Return those of extensions, then Forge's, in the order in which a file is offered to them."""
    return (*(part.value for part in load_extensions().of_kind("format").values()), *FORMATS)


def get_format(name: str) -> Format:
    """Return the format of a name; raise ConfigError with the known names."""
    formats = {known.name: known for known in all_formats()}
    if name not in formats:
        raise ConfigError(unknown("format", name, formats) + refusals_note())
    return formats[name]


def recognize(file: SourceFile, *, source: str) -> Format:
    """Return the format of a file by its content; raise DataError with what the file is or which formats are known."""
    if reason := why_unusable(file):
        raise DataError(f"{source}: {file.path.name} {reason}")
    for known in all_formats():
        if known.recognizes(file):
            return known
    if all(part.kind == "text" and not part.head.strip() for part in file.parts):
        raise DataError(f"{source}: {file.path.name} has no rows")
    described = "; ".join(f"{known.name}: {known.description}" for known in all_formats())
    raise DataError(f"{source}: {file.path.name} has an unknown format; expected one of {described}")
