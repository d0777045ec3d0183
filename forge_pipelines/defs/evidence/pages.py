"""Pages of the evidence: what a person reads of it in the UI, the sentence first."""

from collections.abc import Callable, Mapping

import dagster as dg

from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.tasks import Bench
from forge_core.evidence.verdict.document import Evidence
from forge_core.evidence.verdict.export import luck_picture, walk_forward_picture
from forge_core.evidence.verdict.section import EvidenceSection, evidence_section
from forge_core.evidence.verdict.tables import LUCK_TEST
from forge_core.evidence.verdict.text import evidence_lines
from forge_core.files import read_table
from forge_pipelines.lib.metadata import Metadata, figure, markdown_table, picture

_LIMITS = dg.MetadataValue.md("What each test can and cannot tell: docs/evidence.md")


def luck_test_page(subject: Subject, evidence: Evidence) -> Metadata:
    """Describe the luck test: the scores of its searches and the champion's."""
    luck = evidence.luck
    if luck is None:
        return {"sentence": evidence.sentence, "reason": "the study asks for no luck searches"}
    table = read_table(Bench(subject).folder / LUCK_TEST).to_pandas()
    metadata: Metadata = {
        "sentence": evidence.sentence,
        "p": luck.p,
        "searches": luck.searches,
        "as_good": luck.as_good,
        "stopped_early": luck.stopped,
    }
    if png := luck_picture(_section(subject)):
        metadata["picture"] = picture(png, "scores of the luck searches")
    rows = [
        (int(row["search"]), figure(row["score"]), "yes" if row["as_good"] else "no", int(row["evaluated"]))
        for row in table.to_dict("records")
    ]
    return metadata | {
        "searches_in_order": markdown_table(("search", evidence.score_is, "as good", "backtests"), rows),
        "limits": _LIMITS,
    }


def walk_forward_page(subject: Subject, evidence: Evidence) -> Metadata:
    """Describe the walk-forward: its windows, and the stitched equity."""
    walk = evidence.walk_forward
    if walk is None:
        return {"sentence": evidence.sentence, "reason": "the study asks for no walk-forward windows"}
    section = _section(subject)
    png = walk_forward_picture(section)
    assert png is not None  # there are windows
    assert section.windows is not None
    rows = [
        (
            row["window"],
            f"{row['train_first']} to {row['train_last']}",
            f"{row['test_first']} to {row['test_last']}",
            *(figure(row[name]) for name in ("train_sharpe", "test_sharpe", "random_test_sharpe")),
            f"{row['test_return']:+.1%}",
            row["trades"],
        )
        for row in section.windows.to_dict("records")
    ]
    columns = ("window", "searched", "traded", "Sharpe, searched", "Sharpe, traded", "at random", "return", "trades")
    return {
        "sentence": evidence.sentence,
        "sharpe": walk.sharpe,
        "total_return": walk.total_return,
        "p": walk.p,
        "sharpe_interval": "{:.2f} to {:.2f} (95 %, stationary bootstrap)".format(*walk.sharpe_interval),
        "efficiency": figure(walk.efficiency),
        "picture": picture(png, "equity on days that were not searched"),
        "windows": markdown_table(columns, rows),
        "limits": _LIMITS,
    }


def robustness_page(_subject: Subject, evidence: Evidence) -> Metadata:
    """Describe the probes and the controls."""
    if not evidence.probes:
        return {"sentence": evidence.sentence}
    metadata: Metadata = {"sentence": evidence.sentence, "weaknesses": "; ".join(evidence.weaknesses) or "none"}
    for kind, found in evidence.probes.items():
        rows = [(name, figure(value)) for name, value in found.items()]
        metadata[kind] = markdown_table((kind, _FIGURES.get(kind, "Sharpe ratio")), rows)
    if lottery := evidence.lottery:
        metadata["lottery"] = (
            f"{lottery.own:+.3%} a trade; the same trades at {lottery.draws:,} random times: "
            f"{lottery.mean:+.3%}, p = {lottery.p:.2g}"
        )
    if drawn := evidence.random_search:
        metadata["random_search"] = (
            f"{evidence.score_is} {figure(evidence.score)} by evolution, {figure(drawn.score)} by drawing as many Plays"
        )
        if evidence.walk_forward is not None:
            metadata["random_search"] += (
                f"; walk-forward Sharpe ratio {figure(evidence.walk_forward.sharpe)} by evolution, "
                f"{figure(drawn.walk_forward_sharpe)} by drawing"
            )
    return metadata | {"limits": _LIMITS}


_FIGURES = {"trades": "total return", "drawdown": "deepest drawdown"}


def verdict_page(subject: Subject, evidence: Evidence) -> Metadata:
    """Describe the verdict: one sentence, and all that it rests on."""
    metadata: Metadata = {
        "sentence": evidence.sentence,
        "verdict": evidence.verdict,
        "play": str(evidence.play),
        "evidence": dg.MetadataValue.md("\n".join(f"- {line}" for line in evidence_lines(evidence))),
    }
    for name in ("luck_test", "walk_forward"):
        page = PAGES[name](subject, evidence)
        if "picture" in page:
            metadata[name] = page["picture"]
    return metadata | {"limits": _LIMITS}


def _section(subject: Subject) -> EvidenceSection:
    section = evidence_section(subject.spec.name, subject.plan.home)
    assert section is not None  # a page is written after its verdict
    return section


PAGES: Mapping[str, Callable[[Subject, Evidence], Metadata]] = {
    "luck_test": luck_test_page,
    "walk_forward": walk_forward_page,
    "robustness": robustness_page,
    "verdict": verdict_page,
}
