"""The ``crossover``, ``mutation`` and ``stall`` of a study file."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from forge_core.evolution.spec.objectives import Spec

_Probability = Annotated[float, Field(ge=0, le=1)]


class CrossoverSpec(Spec):
    """Crossover operator; ``uniform`` takes each gene from either parent, the others blend ordered genes.

    ``spx`` (simplex) and ``undx`` (unimodal normal distribution) blend three parents.
    """

    kind: Literal["uniform", "sbx", "vsbx", "blx_alpha", "spx", "undx"] = "uniform"
    probability: _Probability = 0.9
    swapping: _Probability = 0.5
    eta: Annotated[float, Field(ge=0)] | None = None  # of sbx and vsbx
    alpha: Annotated[float, Field(ge=0)] = 0.5  # of blx_alpha


class MutationSpec(Spec):
    """Mutation operator: a gene is redrawn (``uniform``) or moved by a polynomial distribution.

    ``probability`` is per gene; None is one over the number of genes.
    """

    kind: Literal["uniform", "polynomial"] = "uniform"
    probability: _Probability | None = None
    eta: Annotated[float, Field(ge=0)] = 20.0


class EarlyStoppingSpec(Spec):
    """Rule of early stopping: the hypervolume rose by at most the fraction ``gain`` over ``generations``."""

    generations: int = Field(ge=1)
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.001

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        """Convert a plain number to the generations."""
        return {"generations": value} if isinstance(value, int) else value
