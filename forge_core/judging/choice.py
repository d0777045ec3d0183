"""Plays of a study by name: its champion, or one of its front."""

from forge_core.errors import StudyError, unknown
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.reports import ChampionReport
from forge_core.evolution.run.status import study_status
from forge_core.files import read_json, read_table
from forge_core.paths import Home
from forge_core.plays.model import Play
from forge_core.plays.parser import parse_play


def study_play(study: str, play: str | None = None, home: Home | None = None) -> Play:
    """Return the champion of a complete study, or the Play of its front whose hash starts with ``play``."""
    home = home or Home.current()
    state = study_status(study, home).state
    if state != "complete":
        raise StudyError(f"study {study!r} is {state}; run it to its end first")
    plan = StudyPlan.open(study, home)
    if play is None:
        champion = ChampionReport.read(read_json(plan.folder.champion)).champion
        if champion is None:
            raise StudyError(f"study {study!r} has no champion: no Play met every constraint")
        return parse_play(champion.yaml)
    front = read_table(plan.folder.pareto_front, ["play", "yaml"]).to_pydict()
    found = [text for name, text in zip(front["play"], front["yaml"], strict=True) if name.startswith(play)]
    if len(found) != 1:
        raise StudyError(unknown(f"Play of the front of {study!r}", play, front["play"]))
    return parse_play(found[0])
