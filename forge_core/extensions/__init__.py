"""Decorators by which a file of the project's ``extensions/`` adds its own parts to Forge.

Each checks the part when the file is loaded; see docs/extending.md.
"""

from forge_core.extensions.features import indicator, structure
from forge_core.extensions.market import import_format, source
from forge_core.extensions.metrics import metric
from forge_core.extensions.strategies import ClassicStrategy, column, strategy, when

__all__ = [
    "ClassicStrategy",
    "column",
    "import_format",
    "indicator",
    "metric",
    "source",
    "strategy",
    "structure",
    "when",
]
