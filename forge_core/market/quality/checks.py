"""Quality checks of stored bars: gaps, duplicates, idle and stuck bars, outliers, contradictions, stale ends.

No check changes a bar. Findings are reported with their probable cause, because real markets have outages, holidays and
outliers too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.errors import DataError
from forge_core.market.bars.funding import MAX_INTERVAL, funding_holes
from forge_core.market.bars.model import BAR_COLUMNS, find_gaps, resample_bars, validate_bars
from forge_core.market.quality.findings import Finding, Severity, suspicious_stretches
from forge_core.market.quality.gap_causes import Gap, Reason, ReferenceSeries, explain_gaps
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.sessions import microseconds
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.bar_store import BarStore

OUTLIER = 25.0  # times the median range of the bars around
AROUND = 500  # bars that a median range is taken of
STALE_DAYS = 3.0  # before the newest bar of the symbol
IDLE_SHARE = 0.01  # fraction of bars without volume for a warning
CONTRADICTING_SHARE = 0.005  # fraction of bars that differ from finer ones for a warning
_SHOWN = 5


@dataclass(frozen=True)
class QualityReport:
    """Findings in the bars of one symbol and timeframe (``funding``: its funding rates)."""

    symbol: str
    timeframe: str
    rows: int
    first: pd.Timestamp
    last: pd.Timestamp
    gaps: tuple[Gap, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def severity(self) -> Severity:
        """The worst severity of the findings."""
        found = {finding.severity for finding in self.findings}
        return "error" if "error" in found else "warning" if "warning" in found else "info"

    @property
    def missing(self) -> int:
        """Number of bars missing in gaps."""
        return sum(gap.missing for gap in self.gaps)


def check_symbols(store: BarStore, symbols: Sequence[str] | None = None) -> list[QualityReport]:
    """Return a report per symbol and timeframe of the store, finest first, for ``symbols`` or all.

    Raises DataError for a symbol that has no bars in the store.
    """
    coverage = store.coverage()
    stored = list(dict.fromkeys(coverage["symbol"]))
    for symbol in symbols or ():
        if symbol not in stored:
            raise DataError(f"the store has no bars of {symbol}; it has those of {', '.join(stored) or 'no symbol'}")
    return [report for symbol in symbols or stored for report in _check_symbol(symbol, store, coverage)]


def _check_symbol(symbol: str, store: BarStore, coverage: pd.DataFrame) -> Iterator[QualityReport]:
    instrument = get_instrument(symbol)
    series = coverage[coverage["symbol"] == symbol]
    finer: list[pd.DataFrame] = []
    for name in series["timeframe"]:
        label, bars = Timeframe.parse(name), store.read(symbol, name)
        witnesses = list(_reference_series(symbol, label, instrument, coverage))
        gaps = explain_gaps(find_gaps(bars, label, instrument.session), bars, label, instrument, witnesses, store)
        findings = [
            *_unsound(bars, symbol, label, instrument),
            *_gaps(gaps, symbol, label),
            *_idle(bars),
            *_stuck(bars),
            *_outliers(bars),
            *_contradictions(finer, bars, label, instrument),
            *suspicious_stretches(bars, label, _namesakes(instrument, name, store, coverage)),
            *_stale(bars.index[-1], series["last"].max()),
        ]
        finer.append(bars)
        yield QualityReport(
            symbol=symbol,
            timeframe=label.label,
            rows=len(bars),
            first=bars.index[0],
            last=bars.index[-1],
            gaps=tuple(gaps),
            findings=tuple(findings),
        )
    if instrument.kind == "perpetual":
        yield from _funding(symbol, store, series["first"].min(), series["last"].max())


def _reference_series(
    symbol: str, timeframe: Timeframe, instrument: Instrument, coverage: pd.DataFrame
) -> Iterator[ReferenceSeries]:
    """Yield the series that show whether the market traded: other timeframes, and other symbols of its exchange."""
    rows: list[dict[str, Any]] = coverage.to_dict("records")  # type: ignore[assignment]  # keys are column names
    for row in rows:
        label, own = Timeframe.parse(row["timeframe"]), row["symbol"] == symbol
        if own and label == timeframe:
            continue
        if not own:
            other = get_instrument(row["symbol"])
            same_exchange = (other.kind, other.source) == (instrument.kind, instrument.source)
            if label != timeframe or not instrument.trades_always or not same_exchange:
                continue
        yield ReferenceSeries(row["symbol"], label, row["first"], row["last"], own=own)


def _namesakes(
    instrument: Instrument, timeframe: str, store: BarStore, coverage: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return the bars of other symbols with the same name at the source: a perpetual and its spot market."""
    same = coverage[(coverage["timeframe"] == timeframe) & (coverage["symbol"] != instrument.symbol)]
    names = [str(s) for s in same["symbol"] if get_instrument(str(s)).name_at_source == instrument.name_at_source]
    return {symbol: store.read(symbol, timeframe) for symbol in names}


def _unsound(bars: pd.DataFrame, symbol: str, timeframe: Timeframe, instrument: Instrument) -> Iterator[Finding]:
    repeated = bars.index.duplicated()
    if repeated.any():
        first = bars.index[int(repeated.argmax())]
        text = f"{int(repeated.sum())} duplicate bars, first at {first}: move the store away and import the bars again"
        yield Finding(kind="duplicates", severity="error", count=int(repeated.sum()), first=first, text=text)
    try:
        validate_bars(bars[~repeated], symbol=symbol, timeframe=timeframe, instrument=instrument)
    except DataError as error:
        yield Finding(kind="unsound", severity="error", count=1, text=str(error))


_GAP_SEVERITIES: Mapping[Reason, Severity] = {
    "hole": "warning", "unexplained": "warning", "outage": "info", "closed": "info",
}  # fmt: skip
_GAP_TEXTS: Mapping[Reason, str] = {
    "hole": "missing in {} where other series have bars",
    "unexplained": "missing in {} that nothing explains",
    "outage": "missing in {} in which no series has any (an outage)",
    "closed": "missing in {} in which the market was closed",
}


def _gaps(gaps: Sequence[Gap], symbol: str, timeframe: Timeframe) -> Iterator[Finding]:
    for reason, severity in _GAP_SEVERITIES.items():
        found = [gap for gap in gaps if gap.reason == reason]
        if not found:
            continue
        longest = max(found, key=lambda gap: gap.missing)
        bars = sum(gap.missing for gap in found)
        where = _GAP_TEXTS[reason].format(_counted(len(found), "gap"))
        text = f"{_counted(bars, 'bar')} {where}, the longest {longest}"
        finer = [gap.finer for gap in found if gap.finer]
        if finer:
            text += f"; `forge data fill {symbol} {timeframe} --from {finer[0]}` resamples them from finer bars"
        yield Finding(kind="gaps", severity=severity, count=len(found), text=text, first=found[0].start)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _idle(bars: pd.DataFrame) -> Iterator[Finding]:
    """Yield bars without volume."""
    idle = bars["volume"].to_numpy() == 0
    if idle.all():
        yield Finding(kind="idle", severity="warning", count=len(bars), text="no bar has any volume")
    elif idle.any():
        longest, at = _longest_run(idle)
        text = f"{_counted(int(idle.sum()), 'bar')} without volume, at most {longest} in a row (from {bars.index[at]})"
        severity: Severity = "warning" if idle.mean() > IDLE_SHARE else "info"
        yield Finding(
            kind="idle", severity=severity, count=int(idle.sum()), first=bars.index[int(idle.argmax())], text=text
        )


def _stuck(bars: pd.DataFrame) -> Iterator[Finding]:
    """Yield bars that are identical to the one before: a stuck feed."""
    values = bars.to_numpy()
    same = np.concatenate(([False], (values[1:] == values[:-1]).all(axis=1) & (values[1:, 4] > 0)))
    if same.any():
        first = bars.index[int(same.argmax())]
        text = f"{_counted(int(same.sum()), 'bar')} like the one before in every value, first at {first}"
        yield Finding(kind="stuck", severity="warning", count=int(same.sum()), first=first, text=text)


def _outliers(bars: pd.DataFrame) -> Iterator[Finding]:
    """Yield bars whose range or step from the close before is ``OUTLIER`` times the median range around them."""
    score = outlier_scores(bars)
    wide = np.flatnonzero(score > OUTLIER)
    if wide.size:
        worst = wide[np.argsort(score[wide])[::-1][:_SHOWN]]
        listed = ", ".join(f"{bars.index[i]:%Y-%m-%d %H:%M} ({score[i]:.0f} times)" for i in worst)
        many = f"{_counted(wide.size, 'bar')} over {OUTLIER:g} times as wide"
        text = f"{many} as the median of the {AROUND} around: {listed}"
        yield Finding(kind="outliers", severity="info", count=wide.size, first=bars.index[wide[0]], text=text)


def outlier_scores(bars: pd.DataFrame) -> NDArray[np.float64]:
    """Return for each bar its range, or its step from the close before if larger, over the median range around.

    The median is that of the bar's block of ``AROUND`` bars, so it is robust against outliers (a Hampel identifier with
    the range as deviation).
    """
    high, low, opened, close = (bars[name].to_numpy() for name in ("high", "low", "open", "close"))
    ranges = high - low
    step = np.abs(np.concatenate(([0.0], opened[1:] - close[:-1])))
    blocks = max(1, len(bars) // AROUND)
    medians = np.array([np.median(part) for part in np.array_split(ranges, blocks)])
    around = np.repeat(medians, [len(part) for part in np.array_split(ranges, blocks)])
    floor = np.median(ranges) * 0.1 or np.finfo(np.float64).tiny  # idle stretches have no range of their own
    score: NDArray[np.float64] = np.maximum(ranges, step) / np.maximum(around, floor)
    return score


def _contradictions(
    finer: Sequence[pd.DataFrame], bars: pd.DataFrame, timeframe: Timeframe, instrument: Instrument
) -> Iterator[Finding]:
    """Yield bars that differ from resampled finer bars of the symbol, of the timeframe with the most bars in common."""
    common = max((_whole(one, timeframe, instrument, bars.index) for one in finer), key=len, default=pd.DataFrame())
    if common.empty:
        return
    other = bars.loc[common.index]
    differ = (common - other).abs() > 1e-6 * np.maximum(common.abs(), other.abs())
    rows = differ.any(axis=1).to_numpy()
    if not rows.any():
        return
    # A future's day closes at the settlement price, not that of its last trade, and counts trades off the market too.
    official = ["close", "volume"] if instrument.kind == "future" and not timeframe.intraday else []
    share = differ.drop(columns=official).any(axis=1).mean()
    first = common.index[int(rows.argmax())]
    fields = ", ".join(f"{name} of {int(differ[name].sum())}" for name in BAR_COLUMNS if differ[name].any())
    text = f"{int(rows.sum())} of {len(common)} bars differ from resampled finer bars ({fields}), first at {first}"
    severity: Severity = "warning" if share > CONTRADICTING_SHARE else "info"
    yield Finding(kind="contradiction", severity=severity, count=int(rows.sum()), text=text, first=first)


def _whole(finer: pd.DataFrame, timeframe: Timeframe, instrument: Instrument, index: pd.Index) -> pd.DataFrame:
    """Return the resampled bars of ``timeframe`` at times of ``index`` with complete finer bars."""
    try:
        made = resample_bars(finer, timeframe, session=instrument.session)
    except DataError:
        return finer.iloc[:0]  # no multiple of the finer
    made = made[made.index.isin(index)]
    counts = _bars_in_buckets(finer, made.index, timeframe)
    usual = np.bincount(counts).argmax() if counts.size else 0
    return made[counts >= usual]


def _bars_in_buckets(finest: pd.DataFrame, begins: pd.Index, timeframe: Timeframe) -> NDArray[np.int64]:
    """Return the number of the finest bars in each bucket."""
    times, opens = microseconds(finest.index), microseconds(begins)
    return np.searchsorted(times, opens + timeframe.microseconds) - np.searchsorted(times, opens)


def _stale(last: pd.Timestamp, newest: pd.Timestamp) -> Iterator[Finding]:
    days = (newest - last) / pd.Timedelta(days=1)
    if days > STALE_DAYS:
        text = f"ends {days:.0f} days before the newest bar of the symbol ({newest:%Y-%m-%d %H:%M})"
        yield Finding(kind="stale", severity="warning", count=int(days), first=last, text=text)


def _funding(symbol: str, store: BarStore, first: pd.Timestamp, last: pd.Timestamp) -> Iterator[QualityReport]:
    """Yield the report of the funding rates in the period of the bars."""
    rates = store.funding(symbol)
    holes = funding_holes(rates, first, last)
    findings = []
    if holes:
        hours = f"{MAX_INTERVAL / pd.Timedelta(hours=1):g}"
        text = f"{len(holes)} times more than {hours} hours without a rate, first from {holes[0][0]} to {holes[0][1]}"
        findings.append(Finding(kind="funding", severity="warning", count=len(holes), first=holes[0][0], text=text))
    yield QualityReport(
        symbol=symbol,
        timeframe="funding",
        rows=len(rates),
        first=rates.index[0] if len(rates) else first,
        last=rates.index[-1] if len(rates) else first,
        findings=tuple(findings),
    )


def _longest_run(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the length and the first position of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    begins, ends = edges[::2], edges[1::2]
    longest = int((ends - begins).argmax())
    return int(ends[longest] - begins[longest]), int(begins[longest])


def worst_first(reports: Sequence[QualityReport]) -> Mapping[Severity, list[tuple[QualityReport, Finding]]]:
    """Return the findings of all reports by severity, the worst first."""
    found: dict[Severity, list[tuple[QualityReport, Finding]]] = {"error": [], "warning": [], "info": []}
    for report in reports:
        for finding in report.findings:
            found[finding.severity].append((report, finding))
    return found
