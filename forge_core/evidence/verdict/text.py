"""Evidence of a study in a few lines for a person: the sentence first, then what it rests on."""

from pathlib import Path

from forge_core.errors import ForgeError
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.verdict.document import Evidence, LuckLine
from forge_core.evidence.verdict.luck_lines import luck_lines
from forge_core.evolution.run.status import study_status
from forge_core.evolution.storage.manifest import manifest_hash, read_manifest
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.files import read_json
from forge_core.paths import Home


def verdict_path(study: str, home: Home | None = None) -> Path:
    """Return the file of a study's verdict."""
    return StudyFolder.of(study, home or Home.current()).root / "evidence" / "verdict.json"


def read_verdict(study: str, home: Home | None = None) -> Evidence | None:
    """Return the content of ``verdict.json``; None without one for the study as it is now."""
    home = home or Home.current()
    path, manifest = verdict_path(study, home), read_manifest(StudyFolder.of(study, home))
    if manifest is None or not path.is_file():
        return None
    evidence = Evidence.read(read_json(path))
    return evidence if evidence is not None and evidence.manifest_hash == manifest_hash(manifest) else None


def evidence_text(study: str, home: Home | None = None) -> str:
    """Return the evidence of a study; of a complete one without any, the luck line and what to run. Empty while the
    study is not complete."""
    home = home or Home.current()
    evidence = read_verdict(study, home)
    if evidence is not None:
        return "\n".join([evidence.sentence, *(f"  {line}" for line in evidence_lines(evidence))])
    status = study_status(study, home)
    if status.champion is None or status.champion.play is None:
        return ""
    try:
        lines = [_luck_line(line) for line in luck_lines(Subject.of(study, home))]
    except ForgeError as error:
        lines = [str(error)]
    return "\n".join([*lines, f"is it luck? `make prove STUDY={study}` repeats the search where nothing can be found"])


def evidence_lines(evidence: Evidence) -> list[str]:
    """Return what a verdict rests on, a line for each part."""
    parts = (_luck(evidence), _walk_forward(evidence), _random_search(evidence), _holdout(evidence), _lottery(evidence))
    lines = [_luck_line(line) for line in evidence.luck_lines]
    found = [parts[0], *lines, *parts[1:], *(f"weakness: {weakness}" for weakness in evidence.weaknesses)]
    return [line for line in found if line]


def _luck_line(line: LuckLine) -> str:
    champion = "-" if line.champion is None else f"{line.champion:.2f}"
    side = "above" if line.champion is not None and line.champion > line.sharpe else "below"
    return (
        f"luck line of {line.dataset}: the best of {line.trials:,} Plays tried on {line.days:,} days has a "
        f"Sharpe ratio of {line.sharpe:.2f} by luck alone; the champion's {champion} lies {side} it"
    )


def _luck(evidence: Evidence) -> str | None:
    luck = evidence.luck
    if luck is None:
        return None
    spread = "" if luck.deviation is None else f" +- {luck.deviation:.3g}"
    mean = "nothing feasible" if luck.mean is None else f"{luck.mean:.3g}{spread}"
    ended = f", ended early after {luck.searches}" if luck.stopped else ""
    return (
        f"luck test: {evidence.score_is} {evidence.score:.3g}, of the luck searches {mean} "
        f"({luck.as_good} of {luck.searches} as good{ended})"
    )


def _walk_forward(evidence: Evidence) -> str | None:
    walk = evidence.walk_forward
    if walk is None:
        return None
    low, high = walk.sharpe_interval
    efficiency = "" if walk.efficiency is None else f", {walk.efficiency:.0%} of that in training"
    return (
        f"walk-forward: Sharpe ratio {walk.sharpe:.2f} ({low:.2f} to {high:.2f}) over {walk.windows} windows"
        f"{efficiency}, total return {walk.total_return:+.1%}, p = {walk.p:.2g}"
    )


def _random_search(evidence: Evidence) -> str | None:
    drawn = evidence.random_search
    if drawn is None:
        return None
    score = "nothing feasible" if drawn.score is None else f"{drawn.score:.3g}"
    walked = drawn.walk_forward_sharpe
    out = "" if walked is None else f", walk-forward Sharpe ratio {walked:.2f}"
    return f"as many Plays drawn at random: {evidence.score_is} {score}{out}"


def _holdout(evidence: Evidence) -> str | None:
    held = evidence.holdout
    if held is None:
        return None
    return f"holdout: Sharpe ratio {held.sharpe:.2f}, evaluation {held.evaluation}, p = {held.p:.2g}"


def _lottery(evidence: Evidence) -> str | None:
    lottery = evidence.lottery
    if lottery is None:
        return None
    return f"lottery: {lottery.own:+.3%} a trade, at random times {lottery.mean:+.3%} (p = {lottery.p:.2g})"
