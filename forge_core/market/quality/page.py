"""HTML page of the quality of stored bars: a picture of coverage and gaps, and the findings."""

import base64
import html
import io
from collections.abc import Sequence

import pandas as pd

from forge_core.market.quality.checks import QualityReport, worst_first
from forge_core.market.quality.gap_causes import Reason

_THERE = "#2b59c3"
_COLORS: dict[Reason, str] = {"hole": "#c8553d", "unexplained": "#e08e1b", "outage": "#7a5195", "closed": "#c3c9d0"}
_WIDTH, _ROW = 10.0, 0.28  # inches
_SEEN = 0.002  # minimum width of a gap, as a fraction of the picture's width
_GAPS_SHOWN = 200
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Data quality</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 1040px; margin: 2em auto; padding: 0 1em; }}
h1 {{ font-size: 1.4em; }} h2 {{ font-size: 1.1em; margin-top: 2em; }}
table {{ border-collapse: collapse; font-size: 0.9em; }}
th, td {{ text-align: left; padding: 0.2em 1em 0.2em 0; border-bottom: 1px solid #e4e7ea; vertical-align: top; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.error {{ color: #b3261e; font-weight: 600; }} .warning {{ color: #9a5b00; }} .info {{ color: #5c6773; }}
img {{ max-width: 100%; }}
</style>
</head>
<body>
<h1>Data quality</h1>
<p>{summary}</p>
<img alt="Stored bars of each symbol and timeframe, and their gaps" src="data:image/png;base64,{picture}">
<h2>Findings</h2>
{findings}
<h2>Stored</h2>
{stored}
<h2>Gaps</h2>
{gaps}
</body>
</html>
"""


def quality_page(reports: Sequence[QualityReport]) -> str:
    """Return the reports as one self-contained HTML page."""
    found = worst_first(reports)
    listed = [(severity, report, finding) for severity, pairs in found.items() for report, finding in pairs]
    rows = sum(report.rows for report in reports)
    summary = (
        f"{len(reports)} series, {rows:,} rows; {len(found['error'])} errors, {len(found['warning'])} warnings. Times "
        "are UTC. No stored bar is ever changed by this check."
    )
    gaps = [(report, gap) for report in reports for gap in report.gaps if gap.reason != "closed"]
    gaps.sort(key=lambda pair: pair[1].end - pair[1].start, reverse=True)
    return _PAGE.format(
        summary=summary,
        picture=base64.b64encode(coverage_png(reports)).decode(),
        findings=_table(
            ("", "series", "found", ""),
            [(_mark(severity), f"{r.symbol} {r.timeframe}", f.kind, f.text) for severity, r, f in listed],
        )
        or "<p>Nothing.</p>",
        stored=_table(
            ("series", "rows", "first", "last", "missing"),
            [(f"{r.symbol} {r.timeframe}", r.rows, r.first, r.last, r.missing) for r in reports],
        ),
        gaps=(
            _table(
                ("series", "from", "to", "bars", "why", "seen by"),
                [
                    (f"{r.symbol} {r.timeframe}", gap.start, gap.end, gap.missing, gap.reason, gap.witness)
                    for r, gap in gaps[:_GAPS_SHOWN]
                ],
            )
            or "<p>None, except for closed sessions.</p>"
        )
        + (f"<p>... and {len(gaps) - _GAPS_SHOWN} shorter ones.</p>" if len(gaps) > _GAPS_SHOWN else ""),
    )


def coverage_png(reports: Sequence[QualityReport]) -> bytes:
    """Return a PNG of a bar per series from its first to its last row, gaps colored by their reason."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(_WIDTH, 1.0 + _ROW * max(len(reports), 1)), dpi=110)
    axes = figure.add_subplot()
    if reports:
        begin = min(_number(report.first) for report in reports)
        end = max(_number(report.last) for report in reports)
        seen = _SEEN * max(end - begin, 1.0)
        for row, report in enumerate(reports):
            first, last = _number(report.first), _number(report.last)
            axes.broken_barh([(first, max(last - first, seen))], (row - 0.35, 0.7), facecolors=_THERE, linewidth=0)
            for reason, color in reversed(_COLORS.items()):
                spans = [
                    (_number(g.start), max(_number(g.end) - _number(g.start), seen))
                    for g in report.gaps
                    if g.reason == reason
                ]
                axes.broken_barh(spans, (row - 0.35, 0.7), facecolors=color, linewidth=0)
    axes.set_yticks(range(len(reports)), [f"{report.symbol} {report.timeframe}" for report in reports], fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.tick_params(labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    patches = [
        Patch(color=_THERE, label="bars"),
        *(Patch(color=color, label=reason) for reason, color in _COLORS.items()),
    ]
    figure.legend(handles=patches, ncols=len(patches), loc="upper center", fontsize=8, frameon=False)
    figure.subplots_adjust(
        left=0.16, right=0.98, top=1 - 0.45 / figure.get_figheight(), bottom=0.4 / figure.get_figheight()
    )
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _number(moment: pd.Timestamp) -> float:
    from matplotlib.dates import date2num

    return float(date2num(moment.tz_convert("UTC").tz_localize(None).to_pydatetime()))


class _Markup(str):
    """Text that is HTML already."""


def _mark(severity: str) -> _Markup:
    return _Markup(f'<span class="{severity}">{severity}</span>')


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return an HTML table; '' without rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    if isinstance(value, _Markup):
        return f"<td>{value}</td>"
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{html.escape(f'{value:%Y-%m-%d %H:%M}' if isinstance(value, pd.Timestamp) else str(value))}</td>"
