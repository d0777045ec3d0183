"""One gene: a named choice among a fixed number."""

from typing import NamedTuple

Genes = tuple[int, ...]
"""One value for each gene of a genome."""


class Gene(NamedTuple):
    """A whole number from 0 to ``size - 1``.

    ``ordered``: neighbouring values are similar (a longer period, a wider stop), so crossover may blend and mutation
    may move it; otherwise it is categorical.
    """

    name: str
    size: int
    ordered: bool = True
