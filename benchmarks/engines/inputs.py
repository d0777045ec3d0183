"""Bars and feature columns of a Play as plain arrays."""

from dataclasses import dataclass

import pandas as pd

from benchmarks.job import Job
from forge_core.engine.signals.program import link_play
from forge_core.features.alignment import aligned_index
from forge_core.features.bank.bank import Bank
from forge_core.features.column import BarArrays, Floats, Integers, compute_columns
from forge_core.features.reference import FeatureRef
from forge_core.feeds.build import open_feed
from forge_core.market.datasets.versions import open_version
from forge_core.market.reference.instruments import Session
from forge_core.market.reference.timeframes import Timeframe
from forge_core.plays.model import Compare, Group, Play, Rule, Trend

Columns = dict[FeatureRef, Floats]


def play_references(play: Play) -> list[FeatureRef]:
    """Return the distinct columns that the rules of ``play`` read, in the order of the rules."""
    found: dict[FeatureRef, None] = {}

    def visit(rule: Rule) -> None:
        match rule:
            case Group(rules=rules):
                for inner in rules:
                    visit(inner)
            case Trend(feature=feature):
                found[feature.streak()] = None
            case Compare(left=left, right=right):
                found[left] = None
                if isinstance(right, FeatureRef):
                    found[right] = None

    for group in (play.entry_long, play.entry_short, play.exit_long, play.exit_short):
        if group is not None:
            visit(group)
    return list(found)


@dataclass
class Inputs:
    """Inputs of every peer: bars, the Play's columns, and the first bar whose signal counts."""

    play: Play
    index: pd.DatetimeIndex  # open times in UTC, without a time zone, which vectorbt needs seconds to copy
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    columns: Columns
    first_signal: int
    bars: dict[str, BarArrays]  # by timeframe: the source of ``compute_columns``

    @classmethod
    def of(cls, job: Job) -> "Inputs":
        """Copy bars and columns from the bank into private memory."""
        version = open_version(job.dataset, job.version)
        play = job.parsed_play()
        feed = open_feed(version, timeframe=play.timeframe)
        references = play_references(play)
        columns = {reference: feed.columns.column(reference).copy() for reference in references}
        bank = feed.columns
        assert isinstance(bank, Bank)
        labels = {reference.timeframe for reference in references} | {play.timeframe}
        return cls(
            play=play,
            index=pd.DatetimeIndex(feed.time.astype("datetime64[us]")),
            open=feed.open.copy(),
            high=feed.high.copy(),
            low=feed.low.copy(),
            close=feed.close.copy(),
            columns=columns,
            first_signal=link_play(play, feed).first_signal,
            bars={label: _in_memory(bank.bars(Timeframe.parse(label))) for label in labels},
        )

    def compute_columns(self) -> Columns:
        """Compute the columns: each indicator once, with TA-Lib or Forge's kernel, as Forge does."""
        columns: Columns = {}
        indexes: dict[str, Integers | None] = {self.play.timeframe: None}
        execution = self.bars[self.play.timeframe]
        for reference in self.columns:
            if reference in columns:
                continue
            bars = self.bars[reference.timeframe]
            if reference.timeframe not in indexes:
                indexes[reference.timeframe] = aligned_index(
                    execution.time, execution.timeframe.microseconds, bars.time, bars.timeframe.microseconds
                )
            columns.update(compute_columns(reference, bars, indexes[reference.timeframe], Session()))
        return {reference: columns[reference] for reference in self.columns}


def _in_memory(bars: BarArrays) -> BarArrays:
    return BarArrays(bars.timeframe, bars.time.copy(), {name: values.copy() for name, values in bars.fields.items()})
