"""The ``objectives`` and ``constraints`` of a study file."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from forge_core.configuration import Fault, raise_faults
from forge_core.errors import ConfigError, unknown
from forge_core.metrics.catalog import METRIC_INDEX, METRICS, Metric
from forge_core.metrics.formula import Formula
from forge_core.metrics.own import find_metric, own_metric

Aggregate = Literal["worst", "median", "mean"]
Direction = Literal["maximize", "minimize"]


class Spec(BaseModel):
    """A part of a study file: frozen, strict, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _objective_fault(name: str) -> str | None:
    """Return why a metric cannot be an objective, None if it can."""
    try:
        metric = find_metric(name)
    except ConfigError as error:
        return str(error)
    if metric.better is None:
        directed = ", ".join(m.name for m in METRICS if m.better)
        return f"{name} cannot be an objective: neither more nor less of it is better; known: {directed}"
    return None


class _WithFormula(Spec):
    """A part with optional keys of formulas, which are left out of documents where they are not given."""

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None or key not in _OF_FORMULAS}


_OF_FORMULAS = ("formula", "worst", "reference", "scale")


class ObjectiveSpec(_WithFormula):
    """One objective: a metric or a ``formula`` of metrics, and its aggregation over the study's datasets.

    Of a formula ``direction`` is required; ``metric`` is its name in tables (by default made of the formula), ``worst``
    its value where it is undefined, ``reference`` and ``scale`` are those of the hypervolume: a value ``scale`` better
    than ``reference`` counts one half.
    """

    metric: str
    direction: Direction | None = None  # the metric's own
    aggregate: Aggregate = "worst"
    formula: str | None = None
    worst: float | None = None
    reference: float | None = None
    scale: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        """Give a formula without a name one that is made of its text."""
        if isinstance(value, dict) and isinstance(value.get("formula"), str) and "metric" not in value:
            return {**value, "metric": re.sub(r"\W+", "_", value["formula"]).strip("_")[:60] or "formula"}
        return value

    @model_validator(mode="after")
    def _right_way(self) -> "ObjectiveSpec":
        faults: list[Fault] = []
        if self.formula is not None:
            if fault := formula_fault(self.formula):
                faults.append((("formula",), fault, self.formula))
            if self.direction is None:
                faults.append((("direction",), "a formula needs one: maximize or minimize", None))
            if self.metric in METRIC_INDEX or not self.metric.isidentifier():
                faults.append((("metric",), "a formula needs a new name of letters, digits and _", self.metric))
        elif fault := _objective_fault(self.metric):
            faults.append((("metric",), fault, self.metric))
        else:
            better = find_metric(self.metric).better
            if self.direction not in (None, better):
                more = "more" if better == "maximize" else "less"
                faults.append(
                    (("direction",), f"{self.metric} is better the {more} there is: {better} it", self.direction)
                )
            faults += [
                ((key,), "only a formula has it", getattr(self, key))
                for key in ("worst", "reference", "scale")
                if getattr(self, key) is not None
            ]
        raise_faults("objective", faults)
        return self

    @property
    def definition(self) -> Metric:
        """The metric in the catalogue or of an extension, or a definition of the formula."""
        if self.formula is None:
            return find_metric(self.metric)
        worst = self.worst
        if worst is None:
            worst = -_FAR if self.direction == "maximize" else _FAR
        reference = self.reference if self.reference is not None else 0.0 if self.direction == "maximize" else worst
        scale = 1.0 if self.scale is None else self.scale
        return Metric(
            self.metric, "", self.direction, worst=worst, reference=reference, scale=scale, description=self.formula
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """The metrics that it is computed from."""
        return (self.metric,) if self.formula is None else Formula(self.formula).names


_FAR = 1e9  # worst value of a formula


def formula_fault(text: str) -> str | None:
    """Return why a formula is refused, None if it is not."""
    try:
        Formula(text)
    except ConfigError as error:
        return str(error)
    return None


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


def constraint_metric(name: str, formula: str | None = None) -> str:
    """Return the metric of a constraint's name: ``min_trades`` bounds ``total_trades`` from below.

    Of a ``formula`` it is the rest of the name. Raises ConfigError unless the name is ``min_`` or ``max_`` and a
    metric.
    """
    side, _, rest = name.partition("_")
    known = [*_ALIASES, *(m.name for m in METRICS if m.name not in _ALIASES.values())]
    if side not in ("min", "max") or not rest:
        raise ConfigError(f"{name!r} is no constraint: write min_ or max_ and a metric, such as min_trades")
    if formula is not None:
        return rest
    if rest not in known and rest not in _ALIASES.values() and own_metric(rest) is None:
        raise ConfigError(unknown("constraint", name, [f"{side}_{k}" for k in known]))
    return _ALIASES.get(rest, rest)


def constraint_reads(name: str, formula: str | None) -> tuple[str, ...]:
    """Return the metrics that a constraint is computed from."""
    return (constraint_metric(name),) if formula is None else Formula(formula).names


def known_constraints(value: object) -> object:
    """Return the constraints of a file; raise a ValidationError for names that ``constraint_metric`` refuses."""
    faults: list[Fault] = []
    for name, bound in value.items() if isinstance(value, dict) else ():
        formula = getattr(bound, "formula", None) or (bound.get("formula") if isinstance(bound, dict) else None)
        try:
            constraint_metric(str(name), formula)
        except ConfigError as error:
            faults.append(((str(name),), str(error), None))
    raise_faults("constraints", faults)
    return value


class ConstraintSpec(_WithFormula):
    """Constraint of a metric or a ``formula``: its bound, and the aggregation over the study's datasets."""

    value: float = Field(allow_inf_nan=False)
    aggregate: Aggregate = "worst"
    formula: str | None = None

    @model_validator(mode="after")
    def _parsed(self) -> "ConstraintSpec":
        if self.formula is not None and (fault := formula_fault(self.formula)):
            raise_faults("constraint", [(("formula",), fault, self.formula)])
        return self

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        """Convert a plain number to a bound on every dataset."""
        return {"value": value} if isinstance(value, int | float) else value
