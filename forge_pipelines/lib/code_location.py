"""The code location of runs: the UI's timeline shows a run only if its record names one.

Runs that the UI, a schedule or a sensor launches have it from their request, runs of the command line do not.
"""

import sys

import dagster as dg
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

LOCATION = "forge_pipelines.definitions"
"""The module of the definitions, and the name of the code location in ``workspace.yaml`` and ``dg.toml``."""


def name_code_location(instance: dg.DagsterInstance, run_id: str) -> None:
    """Write Forge's code location to the record of a run that has none."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.remote_job_origin is not None:
        return
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=LOCATION)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)
    origin = RemoteRepositoryOrigin(location, "__repository__")
    instance.add_run_tags(run_id, {REPOSITORY_LABEL_TAG: origin.get_label()})
    tagged = instance.get_run_by_id(run_id)
    assert tagged is not None  # it was there a moment ago
    instance.run_storage.replace_job_origin(tagged, origin.get_job_origin(run.job_name))
