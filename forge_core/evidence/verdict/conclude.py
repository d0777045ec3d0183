"""All evidence of a study put together: its tables and ``verdict.json`` in ``<study>/evidence``."""

from typing import Any

import pyarrow as pa

from forge_core.evidence.robustness.examine import examine, random_search_weaknesses
from forge_core.evidence.searches.holdout import holdout_days
from forge_core.evidence.searches.rows import SearchRow
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.tasks import Bench, Task, check_complete
from forge_core.evidence.statistics.sharpe import sharpe_p_value
from forge_core.evidence.verdict.document import (
    Evidence,
    HoldoutEvidence,
    LotteryEvidence,
    RandomSearchEvidence,
)
from forge_core.evidence.verdict.judge import OutOfSample, Verdict, judge
from forge_core.evidence.verdict.luck_lines import champion_statistics, luck_lines
from forge_core.evidence.verdict.tables import PROBES, stitched, write_luck_test, write_walk_forward
from forge_core.files import write_json, write_table


def conclude(subject: Subject) -> Evidence:
    """Write the tables and the verdict; return the content of ``verdict.json``.

    Raises StudyError while a search is missing.
    """
    bench = Bench(subject)
    verdict, parts = _examined(bench) if subject.champion else (_no_champion(subject), {})
    evidence = Evidence(
        study=subject.spec.name,
        manifest_hash=subject.plan.hash,
        play=subject.report.play,
        evidence=subject.evidence,
        verdict=verdict.word,
        sentence=verdict.sentence,
        **parts,
    )
    write_json(bench.folder / "verdict.json", evidence.document())
    return evidence


def _examined(bench: Bench) -> tuple[Verdict, dict[str, Any]]:
    """Return the verdict on a champion, and the parts of ``Evidence`` that it rests on."""
    check_complete(bench)
    subject, luck = bench.subject, bench.luck()
    own, drawn = stitched(bench, "window"), stitched(bench, "drawn_window")
    held = _holdout(subject)
    out_of_sample = held if own is None else OutOfSample("walk-forward", own.p, own.sharpe)
    robustness, lines = examine(subject), luck_lines(subject)
    write_table(bench.folder / PROBES, pa.Table.from_pandas(robustness.table, preserve_index=False))
    weak, random_search = list(robustness.weaknesses), None
    row = bench.row(Task("drawn", 1))
    if isinstance(row, SearchRow):
        walked = None if drawn is None else drawn.sharpe
        random_search = RandomSearchEvidence(score=row.score, walk_forward_sharpe=walked)
        weak += random_search_weaknesses(subject.score, row.score, None if own is None else own.sharpe, walked)
    lottery = robustness.lottery
    parts: dict[str, Any] = {
        "score": subject.score,
        "score_is": _score_name(subject),
        "luck": write_luck_test(bench),
        "luck_lines": lines,
        "walk_forward": write_walk_forward(bench, own, drawn),
        "holdout": held and HoldoutEvidence(p=held.p, level=held.level, sharpe=held.sharpe, evaluation=held.evaluation),
        "random_search": random_search,
        "lottery": lottery
        and LotteryEvidence(
            p=lottery.p, own=lottery.own, mean=float(lottery.draws.mean()), draws=int(lottery.draws.size)
        ),
        "probes": robustness.figures,
        "weaknesses": weak,
        "statistics": champion_statistics(subject, lines),
    }
    return judge(luck, out_of_sample, weak), parts


def _no_champion(subject: Subject) -> Verdict:
    return Verdict("none", f"No champion: {subject.report.reason}.")


def _score_name(subject: Subject) -> str:
    objectives = subject.plan.objectives.terms
    return objectives[0].name if len(objectives) == 1 else "hypervolume"


def _holdout(subject: Subject) -> OutOfSample | None:
    held = holdout_days(subject)
    if held is None:
        return None
    return OutOfSample("holdout", sharpe_p_value(held.returns), held.sharpe, held.evaluation)
