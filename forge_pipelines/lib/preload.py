"""What every step needs, loaded once: the fork server imports this module, and each step is a fork of it.

``python -m forge_pipelines.lib.preload`` does the same at set-up, so that the kernels are compiled and on disk by then.
"""

import atexit
import gc

from forge_core.engine.load_kernels import load_kernels
from forge_pipelines import definitions  # noqa: F401  (what a step imports)

load_kernels()
gc.collect()
gc.freeze()  # what is loaded by now is never collected, so that the forks go on sharing its memory
atexit.register(gc.unfreeze)  # else libraries that count their objects at exit complain that some are left
