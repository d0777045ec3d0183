"""Lock of a study: one run at a time evolves it, and the lock of a killed run is cleared."""

from dataclasses import asdict, dataclass
from pathlib import Path

import dagster as dg
from filelock import FileLock

from forge_core.errors import DataError, StudyError
from forge_core.files import read_json, write_json
from forge_core.paths import Home
from forge_pipelines.lib.processes import is_running, report_killed, run_process_id, start_time


@dataclass(frozen=True)
class Claim:
    """Run that evolves a study, and its process (``started`` distinguishes it from a later one of the same id)."""

    run_id: str
    process: int
    started: float


def lock_study(study: str, run_id: str, instance: dg.DagsterInstance, home: Home) -> None:
    """Let run ``run_id`` alone evolve ``study``; called again by the same run it changes nothing.

    Raises StudyError with the run and its process while another run evolves it. A run that was killed cannot report
    that it failed: if its lock is left, it is reported to ``instance`` here.
    """
    path = _path(study, home)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=30):
        earlier = _read(path)
        if earlier is not None and earlier.run_id != run_id:
            _make_way(study, earlier, instance)
        process = run_process_id()
        write_json(path, asdict(Claim(run_id, process, start_time(process) or 0.0)))


def unlock_study(study: str, run_id: str, home: Home) -> None:
    """Release the lock of ``run_id`` on ``study``; another run's lock stays."""
    path = _path(study, home)
    with FileLock(path.with_suffix(".lock"), timeout=30):
        claim = _read(path)
        if claim is not None and claim.run_id == run_id:
            path.unlink()


def _path(study: str, home: Home) -> Path:
    folder = home.study(study)  # that folder is moved when the study is reset; the lock has to stay
    return folder.parent / ".claims" / f"{folder.name}.json"


def _read(path: Path) -> Claim | None:
    if not path.exists():
        return None
    value = read_json(path)
    try:
        return Claim(str(value["run_id"]), int(value["process"]), float(value["started"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error!r}); delete it if no evolve run is under way") from error


def _make_way(study: str, earlier: Claim, instance: dg.DagsterInstance) -> None:
    run = instance.get_run_by_id(earlier.run_id)
    if run is not None and run.is_finished:
        return
    if is_running(earlier.process, earlier.started):
        raise StudyError(
            f"study {study!r} is being evolved by run {earlier.run_id} (process {earlier.process}); "
            "wait for it to end, or stop it"
        )
    if run is not None:
        report_killed(instance, run, earlier.process)
