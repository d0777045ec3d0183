"""The study whose champion is examined: its search, its markets and the score its luck searches are compared with."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forge_core.engine.simulate import Simulation, simulate
from forge_core.errors import StudyError
from forge_core.evidence.markets.market import Market
from forge_core.evidence.searches.experiment import Experiment
from forge_core.evolution.nsga.front import hypervolume, losses
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.run.reports import ChampionReport
from forge_core.evolution.run.status import study_status
from forge_core.evolution.search.loop import Search
from forge_core.evolution.spec.evidence import EvidenceSpec
from forge_core.evolution.spec.study import StudySpec, list_studies, load_study
from forge_core.evolution.storage.manifest import check_unchanged, make_manifest
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.feeds.feed import Feed
from forge_core.files import read_json, read_table
from forge_core.market.datasets.build import open_version
from forge_core.paths import Home
from forge_core.plays.model import Play
from forge_core.plays.parser import parse_play


@dataclass(frozen=True)
class Subject:
    """A complete study, and what evidence is wanted of it."""

    plan: StudyPlan
    evidence: EvidenceSpec

    @classmethod
    def of(cls, study: str, home: Home | None = None) -> "Subject":
        """Open a complete study; ``evidence`` is that of its file now, or the defaults without a file.

        Raises StudyError for a study that is not complete, or whose numbers today's engine or libraries would not
        reproduce: luck searches by another engine are no comparison.
        """
        home = home or Home.current()
        state = study_status(study, home).state
        if state != "complete":
            raise StudyError(f"study {study!r} is {state}: run `make evolve STUDY={study}` first, then `make prove`")
        plan = StudyPlan.open(study, home)
        datasets = {name: open_version(name, entry["hash"], home) for name, entry in plan.manifest["datasets"].items()}
        check_unchanged(study, plan.manifest, make_manifest(plan.spec, plan.genome.space, datasets))
        listed = study in list_studies()
        return cls(plan, load_study(study).evidence if listed else plan.spec.evidence)

    @property
    def spec(self) -> StudySpec:
        """The study as its manifest has it."""
        return self.plan.spec

    @cached_property
    def report(self) -> ChampionReport:
        """The champion's report, ``champion.json``."""
        return ChampionReport.read(read_json(self.plan.folder.champion))

    @cached_property
    def champion(self) -> Play | None:
        """The champion; None where no Play met every constraint."""
        return None if self.report.champion is None else parse_play(self.report.champion.yaml)

    @cached_property
    def search(self) -> Search:
        """The study's search."""
        return self.plan.search

    @cached_property
    def markets(self) -> dict[str, Market]:
        """The bars of the train datasets, by name."""
        return {name: self.market(name) for name in self.spec.train}

    def market(self, dataset: str) -> Market:
        """Read the bars of one of the study's datasets, in the version of the study's manifest."""
        pinned = self.plan.manifest["datasets"][dataset]["hash"]
        return Market.of(open_version(dataset, pinned, self.plan.home), self.spec.timeframe)

    @cached_property
    def score(self) -> float | None:
        """The score of the study's own search, as ``search.loop.score_of`` counts it; None without a champion."""
        table = read_table(self.plan.folder.pareto_front)
        if table.num_rows == 0:
            return None
        values = np.column_stack([table[name].to_numpy() for name in self.plan.tables.objectives])
        points = losses(values, self.plan.objectives.terms)
        return float(-points.min()) if points.shape[1] == 1 else hypervolume(points, self.plan.objectives.terms)

    @cached_property
    def experiment(self) -> Experiment:
        """The study's search with its trading terms."""
        return Experiment(self.search, **self.spec.terms)

    @property
    def annualization(self) -> int:
        """Daily returns a year of the train datasets together."""
        return max(market.instrument.annualization for market in self.markets.values())

    @property
    def play(self) -> Play:
        """The champion; raises StudyError where no Play met every constraint."""
        if self.champion is None:
            raise StudyError(f"study {self.spec.name!r} has no champion: {self.report.reason}")
        return self.champion

    def simulate(self, feed: Feed, *, record: bool = False) -> Simulation:
        """Backtest the champion on ``feed`` with the study's trading terms; StudyError without a champion."""
        return simulate(self.play, feed, record=record, **self.spec.terms)

    @property
    def folder(self) -> StudyFolder:
        """The study's folder."""
        return self.plan.folder
