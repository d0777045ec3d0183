"""Edits of the catalog's YAML file that keep all other lines, including comments, byte for byte."""

import io
from datetime import date, datetime, time
from pathlib import Path

import yaml

from forge_core.configuration import parse_yaml, validate_model
from forge_core.errors import ConfigError, unknown
from forge_core.files import write_text
from forge_core.market.reference.catalog import CatalogFile, DatasetSpec, load_catalog
from forge_core.market.reference.instruments import get_instrument
from forge_core.paths import project_root

_FAR_RIGHT = 10_000  # columns; lines are never broken


def catalog_path() -> Path:
    """Return the catalog of the project."""
    return project_root() / "datasets" / "catalog.yaml"


def add_dataset(spec: DatasetSpec, path: Path | None = None) -> Path:
    """Add a dataset to the catalog, after the last one of its symbol; return the file.

    Raises ConfigError for an existing name or an undeclared symbol; the file is then unchanged.
    """
    path = path or catalog_path()
    get_instrument(spec.symbol)
    text, begins = _read(path)
    if spec.name in begins:
        raise ConfigError(f"{path} has a dataset {spec.name} already; choose another name, or remove that one first")
    specs = _specs(text, path)
    last = [name for name in begins if specs[name].symbol == spec.symbol][-1:] or list(begins)[-1:]
    at = _end(text, begins, last[0]) if last else len(text)
    indent = " " * (len(text[begins[last[0]]]) - len(text[begins[last[0]]].lstrip()) if last else 2)
    entry = {
        "symbol": spec.symbol,
        "start": _date(spec.start),
        "end": _date(spec.end),
        "timeframes": spec.timeframes,
        "regime": spec.regime,
        **({"characteristics": spec.characteristics} if spec.characteristics else {}),
    }
    lines = ["", f"{indent}{spec.name}:", *(f"{indent}  {key}: {_scalar(value)}" for key, value in entry.items())]
    return _write(path, [*text[:at], *lines, *text[at:]], {**specs, spec.name: spec})


def remove_dataset(name: str, path: Path | None = None) -> Path:
    """Remove a dataset and the comment right above it from the catalog; return the file.

    Raises ConfigError for an unknown name. Versions on disk stay.
    """
    path = path or catalog_path()
    text, begins = _read(path)
    if name not in begins:
        raise ConfigError(unknown("dataset", name, begins))
    begin, end = begins[name], _end(text, begins, name)
    while begin and text[begin - 1].lstrip().startswith("#"):
        begin -= 1
    if begin and not text[begin - 1].strip():
        begin -= 1
    specs = _specs(text, path)
    del specs[name]
    return _write(path, [*text[:begin], *text[end:]], specs)


def _read(path: Path) -> tuple[list[str], dict[str, int]]:
    """Return the lines of the file and the first line of each dataset; raise ConfigError if two share a line."""
    load_catalog(path)  # raises the usual errors of an invalid file
    text = path.read_text(encoding="utf-8")
    value, lines = parse_yaml(text, str(path))
    begins = {name: lines[("datasets", name)] - 1 for name in value["datasets"] or {}}
    if len({*begins.values(), lines[("datasets",)] - 1}) <= len(begins):
        raise ConfigError(f"{path}: several datasets in one line: write each on its own lines first")
    return text.split("\n"), begins


def _end(text: list[str], begins: dict[str, int], name: str) -> int:
    """Return the line after a dataset's last one; comments and blank lines below belong to the next entry."""
    end = min((begin for begin in begins.values() if begin > begins[name]), default=len(text))
    while not text[end - 1].strip() or text[end - 1].lstrip().startswith("#"):
        end -= 1
    return end


def _specs(text: list[str], path: Path) -> dict[str, DatasetSpec]:
    value, lines = parse_yaml("\n".join(text), str(path))
    return validate_model(CatalogFile, value, source=str(path), lines=lines).datasets


def _write(path: Path, text: list[str], meant: dict[str, DatasetSpec]) -> Path:
    """Write the lines if they parse to the datasets ``meant``; raise ConfigError otherwise."""
    try:
        safe = _specs(text, path) == meant
    except ConfigError:
        safe = False
    if not safe:
        raise ConfigError(f"{path} cannot be changed automatically without changing other entries: change it by hand")
    write_text(path, "\n".join(text).rstrip("\n") + "\n")
    return path


def _date(moment: datetime) -> date | datetime:
    """Return a moment at midnight as a date, others unchanged."""
    return moment.date() if moment.time() == time() else moment


def _scalar(value: object) -> str:
    """Return a value as YAML in one line."""
    out = io.StringIO()
    yaml.safe_dump(value, out, default_flow_style=True, width=_FAR_RIGHT, allow_unicode=True)
    return out.getvalue().removesuffix("\n").removesuffix("\n...")
