"""Trading costs of a backtest: the instrument's own or explicit ones."""

from pydantic import BaseModel, ConfigDict

from forge_core.market.reference.instruments import Instrument, NonNegative


class Costs(BaseModel):
    """Costs of one backtest. ``bps`` are 0.01 % of notional; commissions are per side."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commission_bps: NonNegative = 0.0
    commission_per_contract: NonNegative = 0.0
    slippage_bps: NonNegative = 0.0
    slippage_ticks: NonNegative = 0.0
    borrow_rate: NonNegative = 0.0  # per year, on the notional of shorts of spot and index instruments

    @classmethod
    def of(cls, instrument: Instrument) -> "Costs":
        """Return the instrument's own costs."""
        return cls(**{name: getattr(instrument, name) for name in cls.model_fields})

    @classmethod
    def zero(cls) -> "Costs":
        """Return costs of zero."""
        return cls()
