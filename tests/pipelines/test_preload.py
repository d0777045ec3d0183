"""The fork server's module: after it, a step has nothing left to compile or to load from the kernels' cache."""

import subprocess
import sys

from tests.pipelines.workspace import REPOSITORY, Workspace

EVOLVE_AND_LIST_NEW_KERNELS = """
import gc
import forge_pipelines.lib.preload
from numba.core.dispatcher import Dispatcher
from forge_core.evolution.steps import load_study, run_study

gc.unfreeze()
kernels = [o for o in gc.get_objects() if isinstance(o, Dispatcher) and o.py_func.__module__.startswith("forge_core")]
before = {kernel: len(kernel.signatures) for kernel in kernels}
run_study(load_study("tiny"))
print(len(kernels), *(k.py_func.__qualname__ for k in kernels if len(k.signatures) != before[k]))
"""


def test_nothing_is_left_to_compile(tmp_path):
    workspace = Workspace.make(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", EVOLVE_AND_LIST_NEW_KERNELS],
        cwd=REPOSITORY,
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kernels, *late = done.stdout.split()
    assert int(kernels) > 20
    assert late == []
    assert "leaked" not in done.stderr  # what a frozen heap makes some libraries say at exit
