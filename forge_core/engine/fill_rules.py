"""Fill rules on which simulators differ; strict by default."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FillRules(BaseModel):
    """Rules of docs/fill_contract.md that can be relaxed, for comparison with simulators that have no such rules.

    ``backtest`` takes them as ``fills=``, study and sweep files as ``fills:``, with ``strict`` (the defaults) and
    ``relaxed`` as short forms.

    Attributes
    ----------
    levels
        ``tick``: stop, target, trailing stop and the price of a margin call are rounded to the tick, away from the
        entry price. ``exact``: not rounded.
    target
        ``through``: a target fills once the price is a tick beyond it. ``touch``: once the price is at it.
    margin
        ``intrabar``: equity at the bar's worst price is compared with maintenance margin and with zero. ``close``:
        equity is compared with zero at opens and closes only.
    volume_share
        Largest share of the entry bar's volume for an entry; None: no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    levels: Literal["tick", "exact"] = "tick"
    target: Literal["through", "touch"] = "through"
    margin: Literal["intrabar", "close"] = "intrabar"
    volume_share: Annotated[float, Field(gt=0, le=1)] | None = 0.1

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        """Convert ``strict`` or ``relaxed`` to the rules of that name."""
        if not isinstance(value, str):
            return value
        if value not in ("strict", "relaxed"):
            fields = ", ".join(cls.model_fields)
            raise ValueError(f"unknown set of fill rules: write strict, relaxed, or a mapping of {fields}")
        return {} if value == "strict" else dict(cls.relaxed())

    @classmethod
    def relaxed(cls) -> "FillRules":
        """Return the rules of vectorbt and backtesting.py: exact levels, touched targets, no limit by volume."""
        return cls(levels="exact", target="touch", margin="close", volume_share=None)

    @property
    def label(self) -> str:
        """``strict``, ``relaxed``, or the rules that are not strict, such as ``target=touch``."""
        if self == FillRules.relaxed():
            return "relaxed"
        changed = {name: value for name, value in self if value != getattr(STRICT, name)}
        return ", ".join(f"{name}={value}" for name, value in changed.items()) or "strict"


STRICT = FillRules()
