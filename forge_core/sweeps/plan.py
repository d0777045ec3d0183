"""Plan of a sweep: the bars, months and settings of its tests, pinned as plain data.

A *cell* is one month of one symbol and interval with all inputs of a result except the strategy: the bars up to the
month's end, the instrument, costs, contract rolls, engine version and settings. The key of a test consists of the
hashes of its cell and its strategy. So sweeps share results, and a test is repeated only if an input has changed.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import STRICT
from forge_core.engine.simulate import ENGINE_VERSION
from forge_core.errors import DataError, StudyError
from forge_core.features.registry import is_builtin
from forge_core.features.version import REGISTRY_VERSION, feature_version
from forge_core.files import canonical_json, content_hash, read_json, write_json
from forge_core.market.bars.model import MIN_ROWS
from forge_core.market.futures.roll_dates import RollDates, load_roll_dates
from forge_core.market.futures.rolls import roll_doubt
from forge_core.market.reference.instruments import Instrument, get_instrument
from forge_core.market.reference.sessions import microseconds
from forge_core.market.sources.protocol import FILES
from forge_core.market.sources.refresh import acquisition_hint, refresh_bars
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home, safe_name
from forge_core.plays.canonical import play_hash
from forge_core.plays.rules import play_columns
from forge_core.sweeps.months import cut_months, data_hashes
from forge_core.sweeps.series import Series, read_series, stored_intervals, write_series
from forge_core.sweeps.spec import SweepSpec, Variant

logger = logging.getLogger(__name__)

ENGINE = f"{ENGINE_VERSION}.{REGISTRY_VERSION}"
"""Versions of the engine and of the indicators, on which results depend."""

_FORMAT = 2  # of the results and the plan; part of each test's key
_NOT_THE_CONTRACT = {"description", "source", "source_symbol", "source_options", "calendar"}
_AT_HAND = (FILES, "sample")  # sources that need no network
_STORE_WAIT = 120.0  # seconds to wait for another process that uses the store


@dataclass(frozen=True)
class MonthSlice:
    """One month of one symbol and interval, with the hashes of the inputs of its results."""

    month: str
    hash: str
    data: str
    roll_dates: str


@dataclass(frozen=True)
class Task:
    """All months of one symbol and interval: the unit of work of a worker."""

    symbol: str
    interval: str
    series: str  # hash of the bars' file
    origin: str
    bars: int
    instrument: Instrument
    costs: Costs
    roll_times: tuple[int, ...] | None  # microseconds; None if the instrument does not roll
    cells: tuple[MonthSlice, ...]

    @property
    def name(self) -> str:
        """Symbol and interval."""
        return f"{self.symbol} {self.interval}"

    @property
    def roll_dates(self) -> pd.DatetimeIndex | None:
        """Roll dates of the series, or None if the instrument does not roll."""
        if self.roll_times is None:
            return None
        return pd.DatetimeIndex(np.array(self.roll_times, np.int64).astype("datetime64[us]"), tz="UTC")

    @property
    def instrument_hash(self) -> str:
        """Hash of the instrument's contract without its costs."""
        return _instrument_hash(self.instrument)

    def document(self) -> dict[str, Any]:
        """Return the task as plain data."""
        return {
            "symbol": self.symbol,
            "interval": self.interval,
            "series": self.series,
            "origin": self.origin,
            "bars": self.bars,
            "instrument": self.instrument.model_dump(mode="json"),
            "costs": self.costs.model_dump(),
            "roll_times": None if self.roll_times is None else list(self.roll_times),
            "cells": [[cell.month, cell.hash, cell.data, cell.roll_dates] for cell in self.cells],
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read what ``document`` returned."""
        times = document["roll_times"]
        return cls(
            **{key: document[key] for key in ("symbol", "interval", "series", "origin", "bars")},
            instrument=Instrument.model_validate(document["instrument"]),
            costs=Costs.model_validate(document["costs"]),
            roll_times=None if times is None else tuple(times),
            cells=tuple(MonthSlice(*cell) for cell in document["cells"]),
        )


@dataclass(frozen=True)
class SweepPlan:
    """A sweep with its home folder, tasks and engine version."""

    spec: SweepSpec
    home: Home
    tasks: tuple[Task, ...]
    engine: str

    @cached_property
    def tests(self) -> int:
        """Number of tests."""
        return sum(len(task.cells) for task in self.tasks) * len(self.spec.variants)

    @property
    def months(self) -> list[str]:
        """The months of its cells, ascending."""
        return sorted({cell.month for task in self.tasks for cell in task.cells})

    def task(self, symbol: str, interval: str) -> Task:
        """Return the task of one symbol and interval, or raise StudyError."""
        for task in self.tasks:
            if (task.symbol, task.interval) == (symbol, interval):
                return task
        raise StudyError(f"sweep {self.spec.name!r} has no task {symbol} {interval}")

    def test_hashes(self, interval: str) -> list[str]:
        """Return the hash of each variant on bars of ``interval``: of its name, parameters, options and rules."""
        return [test_hash(variant, interval) for variant in self.spec.variants]

    def document(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {
            "spec": self.spec.model_dump(mode="json", by_alias=True),
            "home": str(self.home.root),
            "engine": self.engine,
            "format": _FORMAT,
            "tests": self.tests,
            "series": len(self.tasks),
            "tasks": [task.document() for task in self.tasks],
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read what ``document`` returned."""
        tasks = tuple(Task.read(task) for task in document["tasks"])
        spec, home = SweepSpec.model_validate(document["spec"]), Home(Path(document["home"]))
        return cls(spec, home, tasks, document["engine"])

    @classmethod
    def make(cls, spec: SweepSpec, home: Home | None = None, log: logging.Logger | None = None) -> Self:
        """Read the bars of a sweep and pin all inputs of its results; see ``plan_sweep``."""
        home, log = home or Home.current(), log or logger
        for text in spec.refusals:
            log.warning(text)
        for text in spec.oddities:
            log.warning(text)
        if spec.fills != STRICT:
            log.warning(f"fill rules are {spec.fills.label}: fills are better than with strict rules")
        dates = load_roll_dates(home)
        tasks: list[Task] = []
        for symbol in spec.symbols:  # sequentially, to keep the bars of only one in memory
            _take_in(get_instrument(symbol), home, log)
            with BarStore(home.store, wait=_STORE_WAIT) as store:
                series = _read(store, symbol, spec, home, log)
            tasks += [_task(one, origin, spec, dates, home, log) for one, origin in series]
        plan = cls(spec, home, tuple(task for task in tasks if task.cells), ENGINE)
        if not plan.tasks:
            raise DataError(
                f"sweep {spec.name!r}: no month has {MIN_ROWS} bars up to its end: choose other months or add bars"
            )
        write_json(plan_path(spec.name, home), plan.document())
        return plan


def plan_path(name: str, home: Home) -> Path:
    """Return the file of the plan of a sweep's last run."""
    return home.mass_tests / "sweeps" / f"{safe_name(name, 'sweep name')}.json"


def read_plan(name: str, home: Home | None = None) -> SweepPlan:
    """Read the plan of a sweep's last run; raise StudyError if it was never run."""
    path = plan_path(name, home or Home.current())
    command = f"FORGE_SWEEP={name} dagster job execute -j mass_test"
    if not path.is_file():
        raise StudyError(f"sweep {name!r} has not been run yet: run it with `{command}`")
    document = read_json(path)
    if (found := document.get("format", 1)) != _FORMAT:
        raise StudyError(f"{path}: a plan of format {found}, expected {_FORMAT}: run the sweep again with `{command}`")
    return SweepPlan.read(document)


def test_hash(variant: Variant, interval: str) -> str:
    """Return the hash of a variant on bars of ``interval``.

    It covers name, parameters, options, rules, and the versions of extensions that the rules read.
    """
    play = variant.strategy.play(interval, variant.options)
    own = [feature_version(name) for name in sorted({c.name for c in play_columns(play)}) if not is_builtin(name)]
    return content_hash(variant.strategy.name, variant.parameters_json, variant.options_json, play_hash(play), *own)


def _take_in(instrument: Instrument, home: Home, log: logging.Logger) -> None:
    """Import new bars from the import folder and from an offline source of the symbol; download nothing."""
    only = None if instrument.source in _AT_HAND else FILES
    refresh_bars(instrument, home, only=only, wait=_STORE_WAIT, log=log.info)


def _read(store: BarStore, symbol: str, spec: SweepSpec, home: Home, log: logging.Logger) -> list[tuple[Series, str]]:
    """Return the series of one symbol that have bars."""
    instrument = get_instrument(symbol)
    intervals = stored_intervals(store, symbol) if spec.intervals == "all" else list(spec.intervals)
    found = {interval: read_series(store, instrument, interval) for interval in intervals}
    if not any(found.values()):
        wanted = intervals[0] if intervals else "1d"
        raise DataError(
            f"sweep {spec.name}: there are no bars of {symbol}: {acquisition_hint(instrument, wanted, home)}"
        )
    for interval, series in found.items():
        if series is None:
            log.warning(f"{symbol} {interval}: no bars; skipped ({acquisition_hint(instrument, interval, home)})")
    return [series for series in found.values() if series is not None]


def _task(series: Series, origin: str, spec: SweepSpec, dates: RollDates, home: Home, log: logging.Logger) -> Task:
    instrument = get_instrument(series.symbol)
    costs = spec.costs.of(instrument)
    roll_dates = dates.of(series.symbol) if instrument.kind == "future" else None
    if roll_dates is not None:
        doubt = roll_doubt(series.bars, roll_dates, f"{series.symbol} {series.interval}", dates.origin(series.symbol))
        if doubt is not None:
            log.warning(doubt)
    write_series(series, home)
    months = cut_months(series.bars, instrument.session)
    wanted = np.array([spec.wants_month(label) for label in months.labels], np.bool_)
    short = [months.labels[k] for k in np.flatnonzero(wanted & (months.ends < MIN_ROWS))]
    if short:
        log.warning(
            f"{series.symbol} {series.interval}: {_months(short)} skipped: fewer than {MIN_ROWS} bars "
            "up to the end of the month, lead-in included"
        )
    hashes = data_hashes(series.bars, months.ends, series.funding)
    stamps = None if roll_dates is None else microseconds(roll_dates)
    times = microseconds(series.bars.index)
    shared = {
        "format": _FORMAT,
        "symbol": series.symbol,
        "interval": series.interval,
        "instrument": _instrument_hash(instrument),
        "costs": costs.model_dump(),
        "cash": spec.cash,
        "policy": spec.policy,
        "fills": spec.fills.model_dump(),
        "roll_mode": spec.roll_mode,
        "adjust": spec.adjust,
        "engine": ENGINE,
    }
    cells = []
    for k in np.flatnonzero(wanted & (months.ends >= MIN_ROWS)):
        rolled = _roll_hash(stamps, times[0], times[months.ends[k] - 1])
        what = {**shared, "month": months.labels[k], "data": hashes[k], "roll_dates": rolled}
        cells.append(MonthSlice(months.labels[k], content_hash(canonical_json(what)), hashes[k], rolled))
    return Task(
        symbol=series.symbol,
        interval=series.interval,
        series=series.hash,
        origin=origin,
        bars=len(series.bars),
        instrument=instrument,
        costs=costs,
        roll_times=None if stamps is None else tuple(int(stamp) for stamp in stamps),
        cells=tuple(cells),
    )


def _roll_hash(stamps: NDArray[np.int64] | None, first: np.int64, last: np.int64) -> str:
    """Hash the rolls after the first bar of a series up to the last bar of a month, the only ones with an effect."""
    return "" if stamps is None else content_hash(stamps[(stamps > first) & (stamps <= last)].tobytes())


def _instrument_hash(instrument: Instrument) -> str:
    left_out = _NOT_THE_CONTRACT | set(Costs.model_fields)
    return content_hash(canonical_json(instrument.model_dump(mode="json", exclude=left_out)))


def _months(labels: list[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{len(labels)} months from {labels[0]} to {labels[-1]}"
