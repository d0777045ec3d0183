"""Status and Pareto front of studies, read from disk, and their reset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from forge_core.errors import StudyError, unknown
from forge_core.evolution.spec.study import list_studies, load_study
from forge_core.evolution.storage.ledger import count_holdout_evaluations
from forge_core.evolution.storage.manifest import manifest_hash, read_manifest
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.files import read_json, read_table
from forge_core.market.datasets.build import latest_version
from forge_core.paths import Home

_HELD = "buy and hold"
_SHOWN = ("total_return", "sharpe", "max_drawdown", "total_trades", "exposure")


def study_status(name: str, home: Home | None = None) -> dict[str, Any]:
    """Return the progress of a study: ``state`` (``not begun``, ``under way``, ``complete``), ``generation`` of
    ``generations`` that every island has done, ``islands`` with the last generation of each, the ``champion``, and
    ``newer``: of each dataset that has a newer version than the study's, the pinned hash and the latest.

    Raises StudyError for a name that is neither in ``studies/`` nor a started study.
    """
    home = home or Home.current()
    folder = StudyFolder.of(name, home)
    manifest = read_manifest(folder)
    if manifest is None:
        if name not in list_studies():
            raise StudyError(unknown("study", name, list_studies()))
        spec = load_study(name)
        return _state(name, "not begun", [0] * spec.islands, spec.generations, None, {})
    islands = [folder.last_generation(island) for island in range(manifest["study"]["islands"])]
    champion = read_json(folder.champion) if folder.champion.is_file() else None
    if champion is not None and champion["manifest_hash"] != manifest_hash(manifest):
        champion = None
    state = "under way" if champion is None else "complete"
    return _state(name, state, islands, manifest["study"]["generations"], champion, _newer(manifest, home))


def _newer(manifest: Mapping[str, Any], home: Home) -> dict[str, tuple[str, str]]:
    """Return the pinned and the latest hash of each dataset that has a newer version."""
    versions = {name: (pinned["hash"], latest_version(name, home)) for name, pinned in manifest["datasets"].items()}
    return {
        name: (pinned, latest.content_hash)
        for name, (pinned, latest) in versions.items()
        if latest is not None and latest.content_hash != pinned
    }


def _state(
    name: str,
    state: str,
    islands: list[int],
    generations: int,
    champion: dict[str, Any] | None,
    newer: dict[str, tuple[str, str]],
) -> dict[str, Any]:
    return {
        "study": name,
        "state": state,
        "generation": min(islands),
        "generations": generations,
        "islands": islands,
        "champion": champion,
        "newer": newer,
    }


def status_text(name: str, home: Home | None = None) -> str:
    """Return the status of a study as text, with the champion's figures on train and holdout."""
    home = home or Home.current()
    status = study_status(name, home)
    lines = [f"study {name}: {status['state']}, generation {status['generation']} of {status['generations']}"]
    if status["state"] == "complete" and status["generation"] < status["generations"]:
        lines[0] += ": stopped early, the hypervolume did not rise"
    for dataset, (pinned, latest) in status["newer"].items():
        lines.append(f"{dataset}: there is a newer version {latest}; the study stays with {pinned} until it is reset")
    champion = status["champion"]
    if champion is None:
        return "\n".join(lines)
    if champion["play"] is None:
        return "\n".join([*lines, f"no champion: {champion['reason']}"])
    folder = StudyFolder.of(name, home)
    lines.append(f"champion {champion['play']} ({champion['chosen_by']} of {champion['front_size']} on the front)")
    lines.append(f"  {folder.champion_play}")
    spec = read_manifest(folder)["study"]  # type: ignore[index]
    datasets = [(key, dataset, champion[key][dataset]) for key in ("train", "holdout") for dataset in spec[key]]
    width = max(len(dataset) for _, dataset, _ in datasets)
    lines.append(" " * (width + 10) + "".join(f"{metric:>14}" for metric in (*_SHOWN, _HELD)))
    for key, dataset, figures in datasets:
        values = (*(figures["metrics"][metric] for metric in _SHOWN), figures.get("buy_and_hold"))
        row = "".join(f"{'-' if value is None else format(value, '.4g'):>14}" for value in values)
        if key == "holdout":
            row += f"   evaluation {figures['look']} of {count_holdout_evaluations(home.ledger, dataset)}"
        lines.append(f"{key:<9} {dataset:<{width}}{row}")
        if key == "holdout":
            lines.append(f"{'':9} {figures['relation']}")
    return "\n".join(lines)


def read_front(name: str, home: Home | None = None) -> pd.DataFrame:
    """Return the Pareto front as a readable table: Play, objectives, return and trades by train dataset; best first.

    All metrics, genes and Plays are in the study's ``pareto_front.parquet``. Raises StudyError if it does not exist.
    """
    home = home or Home.current()
    folder = StudyFolder.of(name, home)
    if not folder.pareto_front.is_file():
        state = study_status(name, home)["state"]
        raise StudyError(f"study {name!r} is {state}: it has a front once it is complete")
    front = read_table(folder.pareto_front).to_pandas()
    objectives = [column for column in front if column.startswith("objective.")]
    shown = [column for column in front if column.endswith((".total_return", ".total_trades"))]
    shown = [column for column in shown if column not in objectives]
    return front[["play", *objectives, *shown]].rename(columns={c: c.removeprefix("objective.") for c in objectives})


def reset_study(name: str, home: Home | None = None) -> Path:
    """Archive a study's tables, so that its next run starts from scratch; return the archive. The ledger is kept.

    Raises StudyError if the study has not started or an island is being evolved.
    """
    home = home or Home.current()
    folder = StudyFolder.of(name, home)
    manifest = read_manifest(folder)
    if manifest is None:
        raise StudyError(f"study {name!r} has not started: there is nothing to archive in {folder.root}")
    base = f"{name}-{manifest_hash(manifest)}"
    archive = home.root / "studies" / ".archive"
    archive.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder.island_lock(island)) for island in range(manifest["study"]["islands"])]
    try:
        for lock in locks:
            lock.acquire(timeout=0)
        taken = {path.name for path in archive.iterdir()}
        number = next(n for n in range(1, len(taken) + 2) if f"{base}-{n}" not in taken)
        return folder.root.rename(archive / f"{base}-{number}")
    except Timeout:
        raise StudyError(f"study {name!r} is being evolved; stop the run before it is archived") from None
    finally:
        for lock in locks:
            lock.release()
