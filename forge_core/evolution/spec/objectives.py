"""The ``objectives`` and ``constraints`` of a study file."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from forge_core.configuration import raise_faults
from forge_core.errors import ConfigError, unknown
from forge_core.metrics.catalog import METRICS, Metric, get_metric

Aggregate = Literal["worst", "median", "mean"]
Direction = Literal["maximize", "minimize"]


class Spec(BaseModel):
    """A part of a study file: frozen, strict, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _objective_metric(name: str) -> str:
    metric = get_metric(name)
    if metric.better is None:
        directed = ", ".join(m.name for m in METRICS if m.better)
        raise ConfigError(f"{name} cannot be an objective: neither more nor less of it is better; known: {directed}")
    return name


class ObjectiveSpec(Spec):
    """One objective: a metric and its aggregation over the study's datasets."""

    metric: Annotated[str, AfterValidator(_objective_metric)]
    direction: Direction | None = None  # the metric's own
    aggregate: Aggregate = "worst"

    @model_validator(mode="after")
    def _right_way(self) -> "ObjectiveSpec":
        better = get_metric(self.metric).better
        if self.direction not in (None, better):
            message = f"{self.metric} is better the {'more' if better == 'maximize' else 'less'} there is: {better} it"
            raise_faults("objective", [(("direction",), message, self.direction)])
        return self

    @property
    def definition(self) -> Metric:
        """The metric in the catalogue."""
        return get_metric(self.metric)


NAMED_OBJECTIVES: dict[str, list[dict[str, str]]] = {
    "risk_adjusted": [{"metric": "sharpe"}, {"metric": "max_drawdown"}],
    "robust": [
        {"metric": "sharpe", "aggregate": "worst"},
        {"metric": "total_return", "aggregate": "median"},
        {"metric": "max_drawdown", "aggregate": "worst"},
    ],
}

_ALIASES = {"trades": "total_trades", "drawdown": "max_drawdown", "return": "total_return"}
BOUNDS = {  # what a constraint on a metric may be
    "total_trades": (0.0, 1e9),
    "max_drawdown": (0.0, 1.0),
    "exposure": (0.0, 1.0),
    "win_rate": (0.0, 1.0),
}


def constraint_metric(name: str) -> str:
    """Return the metric of a constraint's name: ``min_trades`` bounds ``total_trades`` from below.

    Raises ConfigError unless the name is ``min_`` or ``max_`` and a metric.
    """
    side, _, rest = name.partition("_")
    known = [*_ALIASES, *(m.name for m in METRICS if m.name not in _ALIASES.values())]
    if side not in ("min", "max") or not rest:
        raise ConfigError(f"{name!r} is no constraint: write min_ or max_ and a metric, such as min_trades")
    if rest not in known and rest not in _ALIASES.values():
        raise ConfigError(unknown("constraint", name, [f"{side}_{k}" for k in known]))
    return _ALIASES.get(rest, rest)


def known_constraint(name: str) -> str:
    """Return ``name``; raise ConfigError like ``constraint_metric``."""
    constraint_metric(name)
    return name


class ConstraintSpec(Spec):
    """Constraint of a metric: its bound, and the aggregation over the study's datasets."""

    value: float = Field(allow_inf_nan=False)
    aggregate: Aggregate = "worst"

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        """Convert a plain number to a bound on every dataset."""
        return {"value": value} if isinstance(value, int | float) else value
