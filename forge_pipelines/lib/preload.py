"""Imports and kernels that every step needs, loaded once by the fork server; each step is a fork of it.

``python -m forge_pipelines.lib.preload`` does the same at set-up, so that the kernels are compiled and cached by then.
"""

import atexit
import gc
import os
import sys

from forge_core.engine.load_kernels import load_kernels
from forge_core.evolution.nsga.nsga2 import make_nsga2
from forge_core.evolution.search.genes import Gene
from forge_pipelines import definitions  # noqa: F401  (what a step imports)


def leave_terminal() -> None:
    """Move the fork server, and every step it forks, out of the terminal's process group.

    Ctrl-C then reaches the run alone, which stops its steps in order; the helper processes of Dagster's logs would each
    print a traceback.
    """
    forks = "multiprocessing.forkserver" in sys.modules and sys.argv[:1] == ["-c"]
    if forks and os.getpgrp() != os.getpid():
        os.setpgrp()


leave_terminal()
load_kernels()
make_nsga2([Gene("any", 2)], ["maximize"]).asker([], seed=0)(1)  # the kernel that draws children
gc.collect()
gc.freeze()  # what is loaded by now is never collected, so that the forks keep sharing its memory
atexit.register(gc.unfreeze)  # libraries that count their objects at exit complain about frozen ones
