"""Evidence handed out as files: its tables as CSV, its figures as PNG, and the verdict."""

from pathlib import Path

from forge_core.evidence.verdict.section import EvidenceSection, evidence_section
from forge_core.evidence.verdict.text import evidence_text, verdict_path
from forge_core.files import read_table, replacing, write_text
from forge_core.paths import Home
from forge_core.plotting.png import equity_png, histogram_png


def export_evidence(study: str, folder: Path, home: Home | None = None) -> list[Path]:
    """Write what there is of a study's evidence below ``folder/evidence``; return the files, none without a verdict."""
    home = home or Home.current()
    section = evidence_section(study, home)
    if section is None:
        return []
    source, target = verdict_path(study, home).parent, folder / "evidence"
    written = [target / "verdict.txt", target / "verdict.json"]
    write_text(written[0], evidence_text(study, home) + "\n")
    write_text(written[1], (source / "verdict.json").read_text(encoding="utf-8"))
    for table in sorted(source.glob("*.parquet")):
        written.append(target / f"{table.stem}.csv")
        write_text(written[-1], read_table(table).to_pandas().to_csv(index=False))
    pictures = {"luck_test.png": luck_picture(section), "walk_forward.png": walk_forward_picture(section)}
    for name, png in pictures.items():
        if png is not None:
            written.append(target / name)
            with replacing(written[-1]) as temporary:
                temporary.write_bytes(png)
    return written


def luck_picture(section: EvidenceSection) -> bytes | None:
    """Draw the scores of the luck searches, and the study's own; None without any."""
    if not section.luck_scores or section.score is None:
        return None
    return histogram_png(
        section.luck_scores,
        marks={"the champion's search": section.score},
        title=f"{section.evidence.study}: the same search in markets without memory",
        xlabel=section.score_is,
    )


def walk_forward_picture(section: EvidenceSection) -> bytes | None:
    """Draw the equity of all walk-forward windows in a row, and that of Plays drawn at random; None without any."""
    if section.equity is None:
        return None
    curves = {
        "champions of the windows": section.equity["champions"],
        "Plays drawn at random": section.equity["random"],
    }
    return equity_png(curves, title=section.evidence.study, ylabel="equity, days not searched")
