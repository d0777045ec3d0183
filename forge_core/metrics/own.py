"""Own metrics of extensions: functions of a backtest's trades, equity and daily returns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.errors import PlayError
from forge_core.extension_files import describe_error, find_part, refusals_note
from forge_core.metrics.catalog import METRIC_INDEX, Metric, get_metric

Floats = NDArray[np.float64]
MetricFunction = Callable[[pd.DataFrame, pd.Series, Floats], float | None]


@dataclass(frozen=True)
class OwnMetric:
    """A metric of an extension with its function and the file that defines it."""

    metric: Metric
    function: MetricFunction
    file: str

    def value(self, trades: pd.DataFrame, equity: pd.Series, daily: Floats) -> float:
        """Return the metric, NaN where it is undefined (None, NaN, infinity); raises PlayError with file and line."""
        try:
            value = self.function(trades, equity, daily)
            number = np.nan if value is None else float(value)
        except Exception as error:
            raise PlayError(f"{describe_error(error, self.file)} (in metric {self.metric.name})") from None
        return number if np.isfinite(number) else np.nan


def own_metric(name: str) -> OwnMetric | None:
    """Return the metric of an extension of that name, None if there is none."""
    part = None if name in METRIC_INDEX else find_part("metric", name)
    return None if part is None else cast(OwnMetric, part.value)


def find_metric(name: str) -> Metric:
    """Return Forge's metric or that of an extension; raises ConfigError with the nearest known names."""
    own = own_metric(name)
    if own is not None:
        return own.metric
    try:
        return get_metric(name)
    except ValueError as error:
        raise type(error)(f"{error}{refusals_note()}") from None
