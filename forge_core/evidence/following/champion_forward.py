"""Forward test of a champion: the fixed Play on new days, an e-process against what it promised, and a cone."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forge_core.evidence.following.cone import Cone, expected_cone
from forge_core.evidence.following.document import Expected, Forward, State
from forge_core.evidence.following.evaluations import record_forward_evaluation
from forge_core.evidence.following.forward_bars import final_days, forward_markets, seen_until
from forge_core.evidence.following.promise import Promise, promise_of
from forge_core.evidence.markets.market import Market, calendar_date
from forge_core.evidence.searches.subject import Subject
from forge_core.evidence.searches.walk_forward import Period, trade_period
from forge_core.evidence.statistics.e_process import ForwardTest, follow
from forge_core.evidence.statistics.sharpe import sharpe_ratio
from forge_core.evolution.storage.manifest import manifest_hash, read_manifest
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.files import content_hash, read_json, write_json, write_table
from forge_core.market.bars.model import bars_hash
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home

DAYS = "days.parquet"

Floats = NDArray[np.float64]


def forward_folder(study: str, home: Home) -> Path:
    """Return the folder of a study's forward test."""
    return StudyFolder.of(study, home).root / "forward"


def read_forward(study: str, home: Home | None = None) -> Forward | None:
    """Return the last forward test of a study; None without one for the study as it is now."""
    home = home or Home.current()
    path, manifest = forward_folder(study, home) / "forward.json", read_manifest(StudyFolder.of(study, home))
    if manifest is None or not path.is_file():
        return None
    found = Forward.read(read_json(path))
    return found if found is not None and found.manifest_hash == manifest_hash(manifest) else None


def follow_champion(study: str, home: Home | None = None, store: BarStore | None = None) -> Forward:
    """Backtest a study's champion on the bars of the store after everything the study saw; write and return the result.

    It trades every symbol that the study was trained on, flat at the start, at equal weights. The last trade date is
    left out, for it may be incomplete: the days that are there stay as they are when bars are added, so the e-process
    can be looked at as often as one likes. ``store`` is by default that of the home; it is opened and closed.

    Raises StudyError for a study that is not complete or has no champion, DataError for bars that cannot be used.
    """
    home = home or Home.current()
    subject = Subject.of(study, home)
    play = subject.play
    with store or BarStore(home.store) as bars:
        markets = forward_markets(subject, bars, home)
    after, symbols = seen_until(subject).date(), tuple(sorted({m.instrument.symbol for m in subject.markets.values()}))
    facts: dict[str, object] = {
        "study": study,
        "manifest_hash": subject.plan.hash,
        "play": subject.report.play,
        "after": after,
    }
    facts |= {"symbols": symbols}
    days = final_days(markets)
    folder = forward_folder(study, home)
    if not days.size:
        text = f"No new days: the store has no whole trade date of {' and '.join(symbols)} after {after}."
        found = Forward.model_validate(facts | {"state": "waiting", "sentence": text})
        (folder / DAYS).unlink(missing_ok=True)
        write_json(folder / "forward.json", found.document())
        return found
    number = record_forward_evaluation(subject, _hash(markets))
    dates, returns, trades = trade_period(subject.experiment, play, markets, Period(int(days[0]), _last(markets)))
    kept = np.isin(dates, days)
    found, cone, test = _judged(subject, dates[kept], returns[kept], facts | {"evaluation": number, "trades": trades})
    write_table(folder / DAYS, _table(dates[kept], returns[kept], cone, test))
    write_json(folder / "forward.json", found.document())
    return found


def _hash(markets: dict[str, Market]) -> str:
    return content_hash(*(f"{name} {bars_hash(market.bars)}" for name, market in sorted(markets.items())))


def _last(markets: dict[str, Market]) -> int:
    return max(int(market.days[-1]) for market in markets.values())


def _judged(
    subject: Subject, days: NDArray[np.int64], returns: Floats, facts: dict[str, object]
) -> tuple[Forward, Cone | None, ForwardTest | None]:
    """Return the forward test, its cone, and the e-process, as far as there is a promise to compare with."""
    promise, a_year = promise_of(subject), subject.annualization
    growth = float(np.prod(1.0 + returns))
    facts = facts | {
        "days": int(days.size),
        "first": calendar_date(days[0]),
        "last": calendar_date(days[-1]),
        "total_return": growth - 1.0,
        "sharpe": sharpe_ratio(returns) * float(np.sqrt(a_year)),
        "source": promise and promise.source,
        "promise": promise and promise.sharpe,
    }
    cone = test = expected = None
    state: State = "no promise"
    if promise is not None:
        cone = expected_cone(promise.returns, days.size, seed=subject.spec.seed % 2**32)
        share = float((cone.last < growth).mean())
        expected = Expected(low=cone.low[-1], median=cone.median[-1], high=cone.high[-1], share=share)
        if promise.holds:
            volatility = float(promise.returns.std(ddof=1))
            test = follow(returns, sharpe=promise.sharpe, annualization=a_year, volatility=volatility)
            state = test.state
    decided = None if test is None or test.decided_on is None else calendar_date(days[test.decided_on])
    found = Forward.model_validate(
        facts
        | {
            "state": state,
            "sentence": _sentence(state, promise, days, growth, expected, decided, test),
            "log_e": None if test is None else float(test.log_e[-1]),
            "decided_on": decided,
            "expected_days": None if test is None else test.expected_days,
            "expected": expected,
        }
    )
    return found, cone, test


def _sentence(
    state: State,
    promise: Promise | None,
    days: NDArray[np.int64],
    growth: float,
    expected: Expected | None,
    decided: date | None,
    test: ForwardTest | None,
) -> str:
    earned = f"{growth - 1.0:+.1%} in {days.size:,} days from {calendar_date(days[0])} to {calendar_date(days[-1])}"
    if promise is None or expected is None:
        return f"No promise: {earned}; the study has neither a holdout nor a walk-forward to compare that with."
    cone = f"{expected.place} the cone of {expected.low - 1.0:+.1%} to {expected.high - 1.0:+.1%}"
    promised = f"the {promise.source}'s Sharpe ratio of {promise.sharpe:.2f}"
    if test is None:
        return f"No promise: {earned}, {cone}; {promised} is none that could be kept."
    if state == "open":
        return f"Open: {earned}, {cone} that {promised} promises; to tell takes about {test.expected_days:,} days."
    word = {"dead": "Dead", "earns as promised": "Earns as promised"}[state]
    verb = "do not keep" if state == "dead" else "keep"
    return f"{word}: {earned}, {cone}; since {decided} the days {verb} what {promised} promised (error 5 %)."


def _table(days: NDArray[np.int64], returns: Floats, cone: Cone | None, test: ForwardTest | None) -> pa.Table:
    none = np.full(days.size, np.nan)
    columns = {
        "date": [calendar_date(day) for day in days],
        "return": returns,
        "growth": np.cumprod(1.0 + returns),
        "low": none if cone is None else cone.low,
        "median": none if cone is None else cone.median,
        "high": none if cone is None else cone.high,
        "log_e": none if test is None else test.log_e,
    }
    return pa.table(columns)
