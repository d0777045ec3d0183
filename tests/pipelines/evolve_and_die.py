"""A process that evolves the study of ``FORGE_STUDY`` and dies at the generation and moment its arguments name."""

import os
import sys

import dagster as dg

from forge_core.evolution.run.merge import GenerationFigures
from forge_pipelines.definitions import defs
from forge_pipelines.defs.evolution.recording import GenerationRecorder

CODE = 9


def main(generation: int, moment: str) -> None:
    """Evolve; die before or after generation ``generation``, whose table is written, is recorded."""
    record = GenerationRecorder._record

    def record_or_die(self: GenerationRecorder, figures: GenerationFigures) -> None:
        if figures.generation == generation and moment == "before":
            os._exit(CODE)
        record(self, figures)
        if figures.generation == generation:
            os._exit(CODE)

    GenerationRecorder._record = record_or_die  # type: ignore[method-assign]
    with dg.DagsterInstance.get() as instance:
        defs.resolve_job_def("evolve").execute_in_process(instance=instance)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
