"""Metrics of a backtest by name, with the reasons for undefined ones."""

from collections.abc import Iterator, Mapping

from forge_core.errors import unknown
from forge_core.metrics.catalog import METRIC_INDEX, METRICS, Metric
from forge_core.metrics.summary import Floats, metrics_mapping, undefined_reasons

Value = float | int | None


class MetricValues(Mapping[str, Value]):
    """The metrics of one backtest by name: float, int for counts, None if undefined (``undefined`` has the reasons)."""

    def __init__(self, vector: Floats) -> None:
        self._values = metrics_mapping(vector)
        self.undefined: dict[str, str] = undefined_reasons(vector)

    def __getitem__(self, name: str) -> Value:
        if name not in self._values:
            raise KeyError(unknown("metric", name, METRIC_INDEX))
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"MetricValues({self._values!r})"

    def texts(self) -> dict[str, str]:
        """Return each metric as text with its unit (``12.34 %``, ``1.85``), or ``- (reason)``."""
        return {
            metric.name: f"- ({self.undefined[metric.name]})"
            if metric.name in self.undefined
            else format_value(metric, self._values[metric.name])
            for metric in METRICS
        }


def format_value(metric: Metric, value: Value) -> str:
    """Return ``value`` as readable text: fractions in percent, numbers with thousands separators, ``-`` for None."""
    if value is None:
        return "-"
    if metric.integer:
        return f"{value:,d}"
    kind, _, per = metric.unit.partition(" a ")
    shown = 100.0 * value if kind == "fraction" else value
    number = f"{shown:,.2f}" if shown == 0 or abs(shown) >= 0.1 else f"{shown:.3g}"
    suffix = {"fraction": " %", "days": " days", "bars": " bars", "times": " times"}.get(kind, "")
    return number + suffix + (f" a {per}" if per and suffix else "")
