"""Status and Pareto front of studies, read from disk, and their reset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from forge_core.engine.fill_rules import STRICT, FillRules
from forge_core.errors import StudyError, unknown
from forge_core.evolution.run.reports import ChampionReport, StudyStatus
from forge_core.evolution.spec.study import list_studies, load_study
from forge_core.evolution.storage.ledger import count_holdout_evaluations
from forge_core.evolution.storage.manifest import manifest_hash, read_manifest
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.files import read_json, read_table
from forge_core.market.datasets.build import latest_version
from forge_core.paths import Home

_HELD = "buy and hold"
_SHOWN = ("total_return", "sharpe", "max_drawdown", "total_trades", "exposure")


def study_status(name: str, home: Home | None = None) -> StudyStatus:
    """Return the progress of a study, its champion once it is complete, and its datasets that have newer versions.

    Raises StudyError for a name that is neither in ``studies/`` nor a started study.
    """
    home = home or Home.current()
    folder = StudyFolder.of(name, home)
    manifest = read_manifest(folder)
    if manifest is None:
        if name not in list_studies():
            raise StudyError(unknown("study", name, list_studies()))
        spec = load_study(name)
        return StudyStatus(name, "not started", spec.generations, [0] * spec.islands, fills=spec.fills.label)
    islands = [folder.last_generation(island) for island in range(manifest["study"]["islands"])]
    champion = ChampionReport.read(read_json(folder.champion)) if folder.champion.is_file() else None
    if champion is not None and champion.manifest_hash != manifest_hash(manifest):
        champion = None
    state = "under way" if champion is None else "complete"
    return StudyStatus(
        name,
        state,
        manifest["study"]["generations"],
        islands,
        champion,
        FillRules.model_validate(manifest["study"].get("fills", {})).label,
        _newer(manifest, home),
    )


def _newer(manifest: Mapping[str, Any], home: Home) -> dict[str, tuple[str, str]]:
    """Return the pinned and the latest hash of each dataset that has a newer version."""
    versions = {name: (pinned["hash"], latest_version(name, home)) for name, pinned in manifest["datasets"].items()}
    return {
        name: (pinned, latest.content_hash)
        for name, (pinned, latest) in versions.items()
        if latest is not None and latest.content_hash != pinned
    }


def status_text(name: str, home: Home | None = None) -> str:
    """Return the status of a study as text, with the champion's figures on train and holdout."""
    home = home or Home.current()
    status = study_status(name, home)
    lines = [f"study {name}: {status.state}, generation {status.generation} of {status.generations}"]
    if status.state == "complete" and status.generation < status.generations:
        lines[0] += ": stopped early, the hypervolume did not rise"
    if status.fills != STRICT.label:
        lines.append(f"fill rules: {status.fills} (not strict)")
    for dataset, (pinned, latest) in status.newer.items():
        lines.append(f"{dataset}: there is a newer version {latest}; the study stays with {pinned} until it is reset")
    report = status.champion
    if report is None:
        return "\n".join(lines)
    if report.champion is None:
        return "\n".join([*lines, f"no champion: {report.reason}"])
    champion, folder = report.champion, StudyFolder.of(name, home)
    twins = "" if report.distinct is None else f", {report.distinct} without near-twins"
    lines.append(f"champion {champion.play} ({report.chosen_by} of {report.front_size} on the front{twins})")
    lines.append(f"  {folder.champion_play}")
    if champion.removed:
        lines.append(f"  without {len(champion.removed)} parts that change no trade on train")
    spec = read_manifest(folder)["study"]  # type: ignore[index]
    width = max(len(dataset) for dataset in (*champion.train, *champion.holdout))
    lines.append(" " * (width + 10) + "".join(f"{metric:>14}" for metric in (*_SHOWN, _HELD)))
    for part, by_dataset in (("train", champion.train), ("holdout", champion.holdout)):
        for dataset in spec[part]:
            figures = by_dataset[dataset]
            values = (*(figures.metrics[metric] for metric in _SHOWN), figures.buy_and_hold)
            row = "".join(f"{'-' if value is None else format(value, '.4g'):>14}" for value in values)
            if figures.evaluation is not None:
                row += f"   evaluation {figures.evaluation} of {count_holdout_evaluations(home.ledger, dataset)}"
            lines.append(f"{part:<9} {dataset:<{width}}{row}")
            if figures.relation is not None:
                lines.append(f"{'':9} {figures.relation}")
    return "\n".join(lines)


def read_front(name: str, home: Home | None = None, *, fold: bool = False) -> pd.DataFrame:
    """Return the Pareto front as a readable table: Play, objectives, return and trades by train dataset; best first.

    ``fold``: near-twins are not listed; column ``twins`` counts those of each Play.

    All metrics, genes and Plays are in the study's ``pareto_front.parquet``. Raises StudyError if it does not exist.
    """
    home = home or Home.current()
    folder = StudyFolder.of(name, home)
    if not folder.pareto_front.is_file():
        state = study_status(name, home).state
        raise StudyError(f"study {name!r} is {state}: it has a front once it is complete")
    front = read_table(folder.pareto_front).to_pandas()
    objectives = [column for column in front if column.startswith("objective.")]
    shown = [column for column in front if column.endswith((".total_return", ".total_trades"))]
    shown = [column for column in shown if column not in objectives]
    first = ["play"]
    if fold and "twin_of" in front:
        front["twins"] = front["play"].map(front["twin_of"].value_counts()).fillna(0).astype(int)
        front, first = front[front["twin_of"].isna()].reset_index(drop=True), ["play", "twins"]
    return front[[*first, *objectives, *shown]].rename(columns={c: c.removeprefix("objective.") for c in objectives})


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
