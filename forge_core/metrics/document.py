"""Page ``docs/metrics.md``, generated from the catalogue.

``python -m forge_core.metrics.document > docs/metrics.md`` regenerates it.
"""

from forge_core.metrics.catalog import METRICS, Metric

_HEAD = """# Metrics

Generated from `forge_core/metrics/catalog.py` by `python -m forge_core.metrics.document > docs/metrics.md`; a test
compares the two.

Every backtest returns these metrics, in this order. Fractions are not percent: 0.05 is 5 %. Daily returns are simple
returns per trade date of the instrument's session, never below -1; bars longer than a day give one return per bar. The
annualization is the instrument's number of trade dates a year (365 for crypto, 252 for shares and futures); for bars
longer than a day it is the number of returns divided by the calendar years of 365.25 days that they cover (52.18 for
weekly bars). An undefined metric is null in every table, with a reason; tables contain no NaN and no infinity.

As an objective a metric is a finite number between *worst* and *cap*: *worst* if the evaluation failed or the metric is
undefined, *cap* if it is undefined because there was a gain and a denominator of zero (no losing trade, no losing day,
no drawdown, no variance). Metrics without a direction cannot be objectives; they are for constraints and reports.

The hypervolume of a front is computed from objectives scaled from 0 at *reference* to 1 at the ideal: linearly if
*half at* is empty (the ideal is 1 for the win rate, else 0), otherwise so that a value *half at* above the reference
(less is better: above 0) is one half.

| metric | unit | better | worst | cap | reference | half at | definition | undefined |
|---|---|---|---|---|---|---|---|---|
"""


def metrics_page() -> str:
    """Return the page as Markdown: one row per metric, then the sources."""
    rows = "".join(_row(metric) for metric in METRICS)
    sources = "".join(f"- {metric.name}: {metric.source}.\n" for metric in METRICS if metric.source)
    return f"{_HEAD}{rows}\nSources\n\n{sources}"


def _row(metric: Metric) -> str:
    directed = metric.better is not None
    cells = (
        f"`{metric.name}`",
        metric.unit,
        {"maximize": "more", "minimize": "less", None: ""}[metric.better],
        f"{metric.worst:g}" if directed else "",
        "" if metric.cap is None else f"{metric.cap:g}",
        f"{metric.reference_value:g}" if directed else "",
        "" if metric.scale is None else f"{metric.scale:g}",
        metric.description,
        _undefined(metric),
    )
    return "| " + " | ".join(cells) + " |\n"


def _undefined(metric: Metric) -> str:
    missing = {"trades": "no trades", "days": "fewer than 2 daily returns", None: ""}[metric.needs]
    return "; ".join(text for text in (missing, metric.undefined) if text)


if __name__ == "__main__":
    print(metrics_page(), end="")
