"""Forge as an evolution runs it: ``simulate`` on a feed with columns from the bank."""

from dataclasses import replace

from benchmarks.engines import Trades
from benchmarks.job import CASH, Job
from forge_core.engine.fill_rules import FillRules
from forge_core.engine.kernel import exit_reasons
from forge_core.engine.simulate import Simulation, simulate
from forge_core.features.bank.bank import Bank
from forge_core.features.bank.lru import LruArrays
from forge_core.feeds.build import open_feed
from forge_core.feeds.feed import Feed
from forge_core.market.datasets.versions import open_version
from forge_core.market.reference.timeframes import Timeframe
from forge_core.metrics.summary import metrics_mapping


class Forge:
    """Times ``simulate``: link the Play to the feed, run it, compute all metrics."""

    def __init__(self, job: Job) -> None:
        self._version = open_version(job.dataset, job.version)
        self._play = job.parsed_play()
        self._costs = job.costs()
        self._fills = FillRules() if self._costs is None else FillRules.relaxed()  # stated costs: compared with peers
        self._new_play = job.new_play
        self._feed = open_feed(self._version, timeframe=self._play.timeframe)
        self._feed.day_index  # noqa: B018 - computed once per feed, not per backtest

    def run(self) -> None:
        self._simulate(self._feed)

    def run_with_indicators(self) -> None:
        """Run one backtest that computes every column and writes it to the bank."""
        self._simulate(self._cold_feed)

    def reset_indicators(self) -> None:
        """Delete the bank's columns; the bars stay, as the peers have theirs in memory."""
        bank = self._feed.columns
        assert isinstance(bank, Bank)
        for path in bank.folder.glob("*.npy"):
            if not path.name.startswith("bars-"):
                path.unlink()
        empty = Bank(self._version, self._play.timeframe, recent=LruArrays(2**30))
        for label in self._version.timeframes:
            empty.bars(Timeframe.parse(label))
        self._cold_feed = replace(self._feed, columns=empty)
        self._cold_feed.day_index  # noqa: B018

    def trades(self) -> Trades:
        trades = self._simulate(self._feed, record=True).trades
        assert trades is not None
        closed = trades["exit_reason"] != exit_reasons.END_OF_DATA
        names = ("entry_time", "exit_time", "side", "entry_price", "exit_price")
        return {name: trades[name][closed].tolist() for name in names}

    def figures(self) -> dict[str, float]:
        metrics = metrics_mapping(self._simulate(self._feed).metrics)
        return {name: float(value) for name, value in metrics.items() if value is not None}

    def _simulate(self, feed: Feed, *, record: bool = False) -> Simulation:
        play = self._play
        if self._new_play:
            play = replace(self._play)  # a copy has no bytecode
            feed.rule_bitmaps.clear()  # nor has any of its rules been compared before
        return simulate(play, feed, costs=self._costs, cash=CASH, fills=self._fills, record=record)
