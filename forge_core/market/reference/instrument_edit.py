"""Edits of ``instruments.yaml`` that keep all other lines, including comments, byte for byte."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from forge_core.configuration import parse_yaml, validate_model
from forge_core.errors import ConfigError
from forge_core.files import write_text
from forge_core.market.reference.instruments import Instrument, InstrumentFile, load_instruments
from forge_core.paths import project_root


def add_instrument(symbol: str, given: Mapping[str, Any], like: str | None = None, path: Path | None = None) -> Path:
    """Add an instrument at the end of the file and return it; ``like`` names one whose other values are copied.

    Raises ConfigError for a symbol that exists, an unknown ``like`` and values that make no instrument; the file is
    then unchanged.
    """
    path = path or project_root() / "datasets" / "instruments.yaml"
    known = load_instruments(path)
    if symbol in known:
        raise ConfigError(f"{path} has an instrument {symbol} already; edit it there")
    copied: dict[str, Any] = {}
    if like is not None:
        if like not in known:
            raise ConfigError(f"unknown symbol {like!r} in --like; known: {', '.join(known)}")
        left_out = {"symbol", "description", "source_symbol"}
        copied = known[like].model_dump(mode="json", exclude_unset=True, exclude=left_out)
    entry = {**copied, **given}
    meant = validate_model(Instrument, {"symbol": symbol, **entry}, source=f"instrument {symbol}")
    text = path.read_text(encoding="utf-8").rstrip("\n")
    lines = ["", f"  {symbol}:", *(f"    {key}: {_scalar(value)}" for key, value in entry.items())]
    text = "\n".join([text, *lines]) + "\n"
    try:
        value, places = parse_yaml(text, str(path))
        read = validate_model(InstrumentFile, value, source=str(path), lines=places).instruments
        safe = read == {**known, symbol: meant}
    except ConfigError:
        safe = False
    if not safe:
        raise ConfigError(f"{path} cannot be changed automatically without changing other entries: change it by hand")
    write_text(path, text)
    return path


def _scalar(value: object) -> str:
    """Return a value as YAML in one line."""
    out = io.StringIO()
    yaml.safe_dump(value, out, default_flow_style=True, width=10_000, allow_unicode=True)
    return out.getvalue().removesuffix("\n").removesuffix("\n...")
