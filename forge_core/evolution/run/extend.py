"""Extension of a complete study by whole epochs, with the same tables as if asked for at once.

The generations of a study are divided over its epochs, after which Plays migrate. So a longer study has the same first
generations only if its first epochs have the same lengths: a study is extended by epochs as long as its last one.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from forge_core.errors import StudyError
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.status import reset_study, study_status
from forge_core.evolution.spec.study import MAX_EPOCHS, StudySpec, list_studies, load_study
from forge_core.evolution.storage.ledger import Ledger
from forge_core.evolution.storage.manifest import check_unchanged, make_manifest, manifest_hash
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.evolution.storage.tables import rewrite_manifest
from forge_core.files import write_json, write_text
from forge_core.market.datasets.build import open_version
from forge_core.paths import Home

_PINNED = {"description", "evidence"}  # keys of a study's file that its manifest does not have


def extended_spec(spec: StudySpec, generations: int) -> StudySpec:
    """Return ``spec`` with ``generations`` more; raises StudyError if they are not whole epochs like the last one."""
    length = spec.epoch_generations[-1]
    epochs, rest = divmod(generations, length)
    left = MAX_EPOCHS - spec.epochs
    if generations < 1 or rest or epochs > left:
        possible = ", ".join(str(length * count) for count in range(1, left + 1))
        what = f"study {spec.name!r} cannot be extended by {generations} generations"
        if not left:
            raise StudyError(f"{what}: it has {MAX_EPOCHS} epochs, the most there can be")
        raise StudyError(
            f"{what}: the epochs of a longer study must begin where its own do, so it can be extended by whole epochs "
            f"of {length} generations: {possible}"
        )
    longer = {"generations": spec.generations + generations, "epochs": spec.epochs + epochs}
    return StudySpec.model_validate(spec.model_dump(mode="json") | longer)


def extend_study(name: str, generations: int, home: Home | None = None) -> StudySpec:
    """Make a complete study longer by ``generations``; its next run evolves them. Return the longer spec.

    Its tables and trials become those of the longer study (only the manifest's hash in their metadata changes), the
    front and champion found so far are archived, and ``generations`` and ``epochs`` are changed in the study's file.
    Raises StudyError if the study is not complete, stopped early, has changed since it started, or is being run.
    """
    home = home or Home.current()
    folder = StudyFolder.of(name, home)
    prepared = folder.root.with_name(f".{name}.extended")
    if not folder.root.exists() and (prepared / "manifest.json").is_file():
        prepared.rename(folder.root)  # of an extension that was killed between the two renames
        return StudyPlan.open(name, home).spec
    status = study_status(name, home)
    if status.state != "complete":
        raise StudyError(f"study {name!r} is {status.state}; run it to its end before it is extended")
    plan = StudyPlan.open(name, home)
    if plan.final_generation < plan.spec.generations:
        raise StudyError(
            f"study {name!r} stopped early after generation {plan.final_generation}, and a longer one would stop there "
            "too; give a study without `stall` another name"
        )
    longer = extended_spec(plan.spec, generations)
    datasets = {key: open_version(key, entry["hash"], home) for key, entry in plan.manifest["datasets"].items()}
    check_unchanged(name, plan.manifest, make_manifest(plan.spec, plan.genome.space, datasets))
    text = _longer_file(plan.spec, longer)
    manifest = make_manifest(longer, plan.genome.space, datasets)
    try:
        with FileLock(folder.run_lock, timeout=0), FileLock(folder.merge_lock, timeout=0):
            _copy(folder, StudyFolder(prepared), plan, manifest)
            _move_trials(plan, manifest, home)
    except Timeout:
        raise StudyError(f"study {name!r} is being run by another process; wait for it, or stop it") from None
    reset_study(name, home)
    prepared.rename(folder.root)
    if text is not None:
        path, content = text
        write_text(path, content)
    return longer


def _copy(source: StudyFolder, target: StudyFolder, plan: StudyPlan, manifest: Mapping[str, Any]) -> None:
    """Copy the tables of all generations with the longer study's manifest, which is written last."""
    if target.root.exists():
        shutil.rmtree(target.root)
    new = manifest_hash(manifest)
    for generation in range(1, plan.final_generation + 1):
        for island in range(plan.spec.islands):
            rewrite_manifest(source.island_table(island, generation), target.island_table(island, generation), new)
        rewrite_manifest(source.generation_table(generation), target.generation_table(generation), new)
    write_json(target.manifest, manifest)


def _move_trials(plan: StudyPlan, manifest: Mapping[str, Any], home: Home) -> None:
    """Move the study's trials in the ledger to the longer study's folder, so that none is counted twice."""
    old, new = plan.ledger.folder, Ledger(home, plan.spec.name, manifest_hash(manifest)).folder
    if old.exists() and not new.exists():
        old.rename(new)
        write_json(new / "manifest.json", manifest)


def _longer_file(spec: StudySpec, longer: StudySpec) -> tuple[Path, str] | None:
    """Return the study's file with the longer study's numbers; None for a study without a file."""
    path = list_studies().get(spec.name)
    if path is None:
        return None
    written = load_study(spec.name)
    if written.model_dump(exclude=_PINNED) == longer.model_dump(exclude=_PINNED):
        return None
    if written.model_dump(exclude=_PINNED) != spec.model_dump(exclude=_PINNED):
        raise StudyError(f"{path} was changed since study {spec.name!r} started; restore it before it is extended")
    text = path.read_text(encoding="utf-8")
    for key, value in (("generations", longer.generations), ("epochs", longer.epochs)):
        changed, count = re.subn(rf"^({key}\s*:\s*)\d+", rf"\g<1>{value}", text, flags=re.MULTILINE)
        if not count and key == "epochs":
            changed, count = re.subn(r"^(generations\s*:.*\n)", rf"\g<1>epochs: {value}\n", text, flags=re.MULTILINE)
        if count != 1:
            raise StudyError(f"{path}: no line `{key}: {getattr(spec, key)}`; write the key on a line of its own")
        text = changed
    return path, text
