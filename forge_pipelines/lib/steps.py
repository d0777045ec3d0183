"""Steps of a run: they end with its process, and report errors of the user in one message."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from forge_pipelines.lib.errors import user_errors
from forge_pipelines.lib.processes import die_with_run, report_killed_runs
from forge_pipelines.lib.resources import WorkersResource


@contextmanager
def step() -> Iterator[None]:
    """Run the body of an op: its process ends with the run's, and a ForgeError becomes the step's message."""
    die_with_run()
    with user_errors():
        yield


@contextmanager
def first_step(context: dg.OpExecutionContext, workers: WorkersResource) -> Iterator[None]:
    """Run the body of a run's first op, after a check of the number of workers and a report of killed runs."""
    with step():
        workers.number()  # an invalid setting is reported before any work
        report_killed_runs(context.instance)
        yield
