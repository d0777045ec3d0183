"""Fill rules on which simulators differ; strict by default."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class FillRules(BaseModel):
    """Rules of docs/fill_contract.md that can be relaxed, for comparison with simulators that have no such rules.

    Evolution, mass tests and ``backtest`` use the defaults.

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

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: Literal["tick", "exact"] = "tick"
    target: Literal["through", "touch"] = "through"
    margin: Literal["intrabar", "close"] = "intrabar"
    volume_share: Annotated[float, Field(gt=0, le=1)] | None = 0.1

    @classmethod
    def relaxed(cls) -> "FillRules":
        """Return the rules of vectorbt and backtesting.py: exact levels, touched targets, no limit by volume."""
        return cls(levels="exact", target="touch", margin="close", volume_share=None)


STRICT = FillRules()
