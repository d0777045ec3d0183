"""Pages of the evidence: what a person reads of it in the UI, the sentence first."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.tasks import Bench
from forge_core.evidence.verdict.export import luck_picture, walk_forward_picture
from forge_core.evidence.verdict.text import evidence_text
from forge_core.files import read_table
from forge_pipelines.lib.metadata import Metadata, figure, markdown_table, picture

Document = Mapping[str, Any]
_LIMITS = dg.MetadataValue.md("What each test can and cannot tell: docs/evidence.md")


def luck_test_page(subject: Subject, document: Document) -> Metadata:
    """Describe the luck test: the scores of its searches beside the champion's."""
    luck = document.get("luck")
    if luck is None:
        return {"sentence": document["sentence"], "reason": "the study asks for no luck searches"}
    table = read_table(Bench(subject).folder / "luck_test.parquet").to_pandas()
    metadata: Metadata = {
        "sentence": document["sentence"],
        "p": luck["p"],
        "searches": luck["searches"],
        "as_good": luck["as_good"],
        "stopped_early": luck["stopped"],
    }
    if png := luck_picture(document):
        metadata["picture"] = picture(png, "scores of the luck searches")
    rows = [
        (int(row["search"]), figure(row["score"]), "yes" if row["as_good"] else "no", int(row["evaluated"]))
        for row in table.to_dict("records")
    ]
    return metadata | {
        "searches_in_order": markdown_table(("search", document["score_is"], "as good", "backtests"), rows),
        "limits": _LIMITS,
    }


def walk_forward_page(subject: Subject, document: Document) -> Metadata:
    """Describe the walk-forward: its windows, and the stitched equity."""
    walk = document.get("walk_forward")
    if walk is None:
        return {"sentence": document["sentence"], "reason": "the study asks for no walk-forward windows"}
    folder = Bench(subject).folder
    png = walk_forward_picture(document, folder)
    assert png is not None  # there are windows
    windows = read_table(folder / "walk_forward.parquet").to_pylist()
    rows = [
        (
            row["window"],
            f"{row['train_first']} to {row['train_last']}",
            f"{row['test_first']} to {row['test_last']}",
            *(figure(row[name]) for name in ("train_sharpe", "test_sharpe", "random_test_sharpe")),
            f"{row['test_return']:+.1%}",
            row["trades"],
        )
        for row in windows
    ]
    columns = ("window", "searched", "traded", "Sharpe, searched", "Sharpe, traded", "at random", "return", "trades")
    return {
        "sentence": document["sentence"],
        **{name: walk[name] for name in ("sharpe", "total_return", "p")},
        "sharpe_interval": "{:.2f} to {:.2f} (95 %, stationary bootstrap)".format(*walk["sharpe_interval"]),
        "efficiency": figure(walk["efficiency"]),
        "picture": picture(png, "equity on days that were not searched"),
        "windows": markdown_table(columns, rows),
        "limits": _LIMITS,
    }


def robustness_page(_subject: Subject, document: Document) -> Metadata:
    """Describe the probes and the controls."""
    probes = document.get("probes")
    if not probes:
        return {"sentence": document["sentence"]}
    metadata: Metadata = {
        "sentence": document["sentence"],
        "weaknesses": "; ".join(document["weaknesses"]) or "none",
    }
    for kind, found in probes.items():
        rows = [(name, figure(value)) for name, value in found.items()]
        metadata[kind] = markdown_table((kind, _FIGURES.get(kind, "Sharpe ratio")), rows)
    if lottery := document["lottery"]:
        metadata["lottery"] = (
            f"{lottery['own']:+.3%} a trade; the same trades at {lottery['draws']:,} random times: "
            f"{lottery['mean']:+.3%}, p = {lottery['p']:.2g}"
        )
    if drawn := document["random_search"]:
        metadata["random_search"] = (
            f"{document['score_is']} {figure(document['score'])} by evolution, {figure(drawn['score'])} by drawing"
        )
    return metadata | {"limits": _LIMITS}


_FIGURES = {"trades": "total return", "drawdown": "deepest drawdown"}


def verdict_page(subject: Subject, document: Document) -> Metadata:
    """Describe the verdict: one sentence, and all that it rests on."""
    text = evidence_text(document["study"], subject.plan.home)
    metadata: Metadata = {
        "sentence": document["sentence"],
        "verdict": document["verdict"],
        "play": str(document["play"]),
        "evidence": dg.MetadataValue.md("\n".join(f"- {line.strip()}" for line in text.splitlines()[1:])),
    }
    for name in ("luck_test", "walk_forward"):
        page = PAGES[name](subject, document)
        if "picture" in page:
            metadata[name] = page["picture"]
    return metadata | {"limits": _LIMITS}


PAGES: Mapping[str, Callable[[Subject, Document], Metadata]] = {
    "luck_test": luck_test_page,
    "walk_forward": walk_forward_page,
    "robustness": robustness_page,
    "verdict": verdict_page,
}
