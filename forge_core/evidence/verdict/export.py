"""Evidence handed out as files: its tables as CSV, its figures as PNG, and the verdict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from forge_core.evidence.verdict.text import evidence_text, read_verdict, verdict_path
from forge_core.files import read_table, replacing, write_text
from forge_core.paths import Home
from forge_core.plotting.png import equity_png, histogram_png


def export_evidence(study: str, folder: Path, home: Home | None = None) -> list[Path]:
    """Write what there is of a study's evidence below ``folder/evidence``; return the files, none without a verdict."""
    home = home or Home.current()
    document = read_verdict(study, home)
    if document is None:
        return []
    source, target = verdict_path(study, home).parent, folder / "evidence"
    written = [target / "verdict.txt", target / "verdict.json"]
    write_text(written[0], evidence_text(study, home) + "\n")
    write_text(written[1], (source / "verdict.json").read_text(encoding="utf-8"))
    for table in sorted(source.glob("*.parquet")):
        written.append(target / f"{table.stem}.csv")
        write_text(written[-1], read_table(table).to_pandas().to_csv(index=False))
    pictures = {"luck_test.png": luck_picture(document), "walk_forward.png": walk_forward_picture(document, source)}
    for name, png in pictures.items():
        if png is not None:
            written.append(target / name)
            with replacing(written[-1]) as temporary:
                temporary.write_bytes(png)
    return written


def luck_picture(document: Mapping[str, Any]) -> bytes | None:
    """Draw how good the luck searches were, with the study's own score; None without any."""
    luck = document.get("luck")
    scores = [] if luck is None else [score for score in luck["scores"] if score is not None]
    if not scores:
        return None
    return histogram_png(
        scores,
        marks={"the champion's search": document["score"]},
        title=f"{document['study']}: the same search in markets without memory",
        xlabel=document["score_is"],
    )


def walk_forward_picture(document: Mapping[str, Any], folder: Path) -> bytes | None:
    """Draw the equity of all walk-forward windows in a row, beside that of Plays drawn at random; None without any."""
    if document.get("walk_forward") is None:
        return None
    days = read_table(folder / "walk_forward_days.parquet").to_pandas()
    index = pd.DatetimeIndex(pd.to_datetime(days["date"]), tz="UTC")
    curves = {
        "champions of the windows": pd.Series((1.0 + days["return"]).cumprod().to_numpy(), index=index),
        "Plays drawn at random": pd.Series((1.0 + days["random_return"]).cumprod().to_numpy(), index=index),
    }
    return equity_png(curves, title=document["study"], ylabel="equity, days not searched")
