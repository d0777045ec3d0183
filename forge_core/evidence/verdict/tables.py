"""Tables of a study's evidence, and what ``verdict.json`` says of each: luck searches and walk-forward windows."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forge_core.evidence.markets.market import calendar_date
from forge_core.evidence.searches.rows import SearchRow, WindowRow
from forge_core.evidence.searches.tasks import Bench, Kind, Task
from forge_core.evidence.searches.walk_forward import Stitched, WindowResult, stitch
from forge_core.evidence.statistics.bootstrap import interval
from forge_core.evidence.statistics.sharpe import sharpe_ratio
from forge_core.evidence.verdict.document import LuckEvidence, WalkForwardEvidence
from forge_core.files import write_table

_REPEATS = 2_000

LUCK_TEST = "luck_test.parquet"
WALK_FORWARD = "walk_forward.parquet"
WALK_FORWARD_DAYS = "walk_forward_days.parquet"
PROBES = "probes.parquet"


def write_luck_test(bench: Bench) -> LuckEvidence | None:
    """Write the luck searches that count; None without a result.

    Rows of searches that ended after the test was decided are deleted: they do not count.
    """
    result, score = bench.luck(), bench.subject.score
    if result is None or score is None:
        return None
    rows: list[dict[str, Any]] = []
    for number in range(1, bench.subject.evidence.luck + 1):
        task = Task("luck", number)
        row = bench.row(task)
        if number > result.searches:
            bench.path(task).unlink(missing_ok=True)
        elif isinstance(row, SearchRow):
            as_good = row.score is not None and row.score >= score
            facts = {"search": number, "score": row.score, "as_good": as_good, "play": row.play}
            rows.append(facts | {"evaluated": row.evaluated})
    table = pd.DataFrame(rows)
    write_table(bench.folder / LUCK_TEST, pa.Table.from_pandas(table, preserve_index=False))
    scores = table["score"].astype(float).dropna()
    return LuckEvidence(
        p=result.p,
        planned=bench.subject.evidence.luck,
        searches=result.searches,
        as_good=result.as_good,
        stopped=result.stopped,
        scores=tuple(row["score"] for row in rows),
        mean=float(scores.mean()) if len(scores) else None,
        deviation=float(scores.std()) if len(scores) > 1 else None,
    )


def stitched(bench: Bench, kind: Kind) -> Stitched | None:
    """Return the walk-forward of the study's searches (``window``) or of Plays drawn at random (``drawn_window``)."""
    if not bench.windows:
        return None
    results = [
        WindowResult(row.play, row.train_sharpe, np.array(row.days, np.int64), np.array(row.returns), row.trades)
        for row in _rows(bench, kind)
    ]
    return stitch(results, bench.subject.annualization)


def write_walk_forward(bench: Bench, own: Stitched | None, drawn: Stitched | None) -> WalkForwardEvidence | None:
    """Write the windows, and the daily returns of both walk-forwards in a row."""
    if own is None or drawn is None:
        return None
    root = float(np.sqrt(bench.subject.annualization))
    rows = []
    for number, (row, other) in enumerate(zip(_rows(bench, "window"), _rows(bench, "drawn_window"), strict=True), 1):
        returns = np.array(row.returns)
        rows.append(
            {
                "window": number,
                "train_first": calendar_date(row.train[0]),
                "train_last": calendar_date(row.train[1]),
                "test_first": calendar_date(row.test[0]),
                "test_last": calendar_date(row.test[1]),
                "play": row.play,
                "train_sharpe": row.train_sharpe,
                "test_sharpe": sharpe_ratio(returns) * root,
                "test_return": float(np.prod(1.0 + returns) - 1.0),
                "trades": row.trades,
                "random_test_sharpe": sharpe_ratio(np.array(other.returns)) * root,
            }
        )
    write_table(bench.folder / WALK_FORWARD, pa.Table.from_pylist(rows))
    days = {"date": [calendar_date(day) for day in own.days], "return": own.returns, "random_return": drawn.returns}
    write_table(bench.folder / WALK_FORWARD_DAYS, pa.table(days))
    low, high = interval(own.returns, sharpe_ratio, repeats=_REPEATS, seed=bench.subject.spec.seed % 2**32)
    return WalkForwardEvidence(
        windows=len(rows),
        days=int(own.days.size),
        sharpe=own.sharpe,
        sharpe_interval=(low * root, high * root),
        total_return=own.total_return,
        train_sharpe=own.train_sharpe,
        efficiency=own.efficiency,
        p=own.p,
    )


def _rows(bench: Bench, kind: Kind) -> list[WindowRow]:
    rows = [bench.row(Task(kind, n)) for n in range(1, len(bench.windows) + 1)]
    return [row for row in rows if isinstance(row, WindowRow)]
