"""Manifest of a study: the pinned spec, data, costs and versions, which must be unchanged to resume it."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from forge_core.engine.costs import Costs
from forge_core.engine.simulate import ENGINE_VERSION
from forge_core.errors import StudyError
from forge_core.evolution.nsga.front import reference_point
from forge_core.evolution.search.evaluation import Objectives
from forge_core.evolution.search.search_space import SearchSpace
from forge_core.evolution.spec.study import StudySpec
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.extension_files import find_part
from forge_core.features.registry import is_builtin
from forge_core.features.version import REGISTRY_VERSION, feature_version
from forge_core.files import canonical_json, content_hash, read_json
from forge_core.market.datasets.build import DatasetVersion
from forge_core.plays.parser import parse_play
from forge_core.plays.rules import play_columns

FORMAT = 5  # of the tables, of this file, and of what genes decode to
_NO_NUMBERS = {"description", "source", "source_symbol", "source_options", "calendar"}  # bars are hashed
_LIBRARIES = ("numba", "numpy", "optuna", "ta-lib")  # those whose version may change a number


def make_manifest(spec: StudySpec, space: SearchSpace, datasets: Mapping[str, DatasetVersion]) -> dict[str, Any]:
    """Return the manifest of ``spec`` as JSON-able data; ``datasets`` are its train and holdout datasets by name."""
    objectives = Objectives.of(spec)
    instruments = {dataset.instrument.symbol: dataset.instrument for dataset in datasets.values()}
    return {
        "format": FORMAT,
        "study": spec.document(),
        "datasets": {name: {"hash": d.content_hash, "symbol": d.instrument.symbol} for name, d in datasets.items()},
        "instruments": {symbol: i.model_dump(mode="json", exclude=_NO_NUMBERS) for symbol, i in instruments.items()},
        "costs": {symbol: (spec.costs or Costs.of(i)).model_dump() for symbol, i in instruments.items()},
        "space": content_hash(space.fingerprint()),
        "reference_point": dict(
            zip((o.name for o in objectives.terms), reference_point(objectives.terms), strict=True)
        ),
        "versions": {
            "engine": ENGINE_VERSION,
            "features": REGISTRY_VERSION,
            **{name: version(name) for name in _LIBRARIES},
            **_extensions(spec, space),
        },
    }


def _extensions(spec: StudySpec, space: SearchSpace) -> dict[str, Any]:
    """Return the versions of the extensions that the study uses, by name; no key if it uses none."""
    names = {column.definition.name for slot in space.slots for column in slot.columns}
    names |= {reference.name for seed in spec.seeds for reference in play_columns(parse_play(seed))}
    used = {name: feature_version(name) for name in sorted(names) if not is_builtin(name)}
    used |= {f"metric {n}": part.version for n in spec.own_metrics if (part := find_part("metric", n)) is not None}
    return {"extensions": used} if used else {}


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Return the hash of a manifest, used in tables and ledger."""
    return content_hash(canonical_json(manifest))


def read_manifest(folder: StudyFolder) -> dict[str, Any] | None:
    """Return the manifest of a started study, else None; raise DataError if it is damaged."""
    return read_json(folder.manifest) if folder.manifest.is_file() else None


def check_unchanged(study: str, stored: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise StudyError with the differences and the remedies, unless the manifests are equal."""
    differences = list(_differences(stored, now))
    if differences:
        raise StudyError(
            f"study {study!r} was started with other inputs:\n"
            + "\n".join(f"  {line}" for line in differences)
            + f"\ngive the new study another name, or archive what {study!r} has with `forge study reset {study}`"
        )


def _differences(stored: Any, now: Any, place: str = "") -> Iterator[str]:
    if isinstance(stored, Mapping) and isinstance(now, Mapping):
        for key in sorted({*stored, *now}):
            inner = f"{place}.{key}" if place else str(key)
            if key not in stored:
                yield f"{inner}: was not there, is {_short(now[key])}"
            elif key not in now:
                yield f"{inner}: was {_short(stored[key])}, is gone"
            else:
                yield from _differences(stored[key], now[key], inner)
    elif canonical_json(stored) != canonical_json(now):
        yield f"{place}: was {_short(stored)}, is {_short(now)}"


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
