"""Trading terms of a backtest: what it assumes apart from the Play and the bars."""

from typing import TypedDict

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.engine.kernel.params import Policy


class Terms(TypedDict):
    """Keyword arguments of ``simulate`` and ``backtest`` that a study declares for all of its backtests.

    ``costs``: None means each instrument's own.
    """

    costs: Costs | None
    cash: float
    policy: Policy
    fills: FillRules
