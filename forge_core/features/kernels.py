"""Loading the compiled functions of this package before workers are forked, so that each finds them ready."""

import numpy as np

from forge_core.features.alignment import aligned_index, take_aligned
from forge_core.features.columns import read_only, streak
from forge_core.features.stored_array import hash_words


def load_kernels() -> None:
    """Compile, or load from numba's cache, what a column needs on its way from bars to the bank."""
    times, values = read_only(np.arange(2)), read_only(np.zeros(2))
    take_aligned(read_only(streak(values)), read_only(aligned_index(times, 1, times, 1)))
    hash_words(values.view(np.uint64))
