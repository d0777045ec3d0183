"""The executor of runs: a process per step, ``FORGE_WORKERS`` at the same time, each a fork of one warm process."""

import multiprocessing
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.multiprocess import MultiprocessExecutor

from forge_core.errors import ConfigError
from forge_core.parallelism import worker_count
from forge_pipelines.lib.code_location import name_code_location
from forge_pipelines.lib.processes import tag_process

PRELOAD_MODULE = "forge_pipelines.lib.preload"

RETRY = dg.RetryPolicy(max_retries=2, delay=1)
"""For a step whose process is killed: a step that runs again resumes from what is on disk."""


def max_concurrent() -> int:
    """Return how many steps run at the same time; 1 while ``FORGE_WORKERS`` is invalid.

    Definitions then load, and the first step of a run fails with the message (``worker_count``).
    """
    try:
        return worker_count()
    except ConfigError:
        return 1


class WarmProcessExecutor(MultiprocessExecutor):
    """Dagster's multiprocess executor, with the process and the code location of the run in its record."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Run the steps of a run and yield their events."""
        tag_process(plan_context.instance, plan_context.run_id)
        name_code_location(plan_context.instance, plan_context.run_id)
        yield from super().execute(plan_context, execution_plan)


@dg.executor(
    name="warm_processes",
    config_schema={
        "max_concurrent": dg.Field(
            dg.Noneable(int), default_value=None, description="Steps at the same time, by default FORGE_WORKERS."
        )
    },
    requirements=multiple_process_executor_requirements(),
)
def executor(context: dg.InitExecutorContext) -> WarmProcessExecutor:
    """Return the executor; where there is no fork server (Windows) every step starts a new interpreter."""
    limit = context.executor_config["max_concurrent"]
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    return WarmProcessExecutor(
        retries=RetryMode.ENABLED,
        max_concurrent=limit if isinstance(limit, int) else max_concurrent(),
        tag_concurrency_limits=[{"key": "forge/writes", "value": "store", "limit": 1}],
        start_method="forkserver" if forks else "spawn",
        explicit_forkserver_preload=[PRELOAD_MODULE] if forks else None,
    )
