"""Results of fixed backtests as hashes, recorded for one engine version.

``python -m tests.engine.golden`` records those of the current version in ``golden.json``; it refuses to replace other
results of the same version.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.engine.simulate import ENGINE_VERSION, simulate
from forge_core.engine.windows import simulate_windows
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Feed
from forge_core.market.reference.instruments import Instrument
from forge_core.metrics.trade import TRADE
from forge_core.plays.model import Compare, Distance, Group, Play, Risk, Size, Trend
from tests.engine.hand_bars import FUTURE, PERPETUAL, SPOT, hand_feed, hand_play, when
from tests.engine.strategies import Walk, aggregate, random_signals, rows_of

FILE = Path(__file__).with_suffix(".json")
_BARS = 2_000
_VOLUME, _FAST, _SLOW = (FeatureRef(name, (), "real", "1h") for name in ("volume", "fast", "slow"))


def golden_results(**changes: Any) -> dict[str, str]:
    """Return the hash of each backtest; ``changes`` replace settings of all of them."""
    return {
        name: _hash(play, feed, {"cash": 50_000.0, **settings, **changes})
        for name, (play, feed, settings) in _cases().items()
    }


def golden_file(recorded: Mapping[str, Any], version: str, results: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of the golden file; raises SystemExit for other results of the same version."""
    changed = {name for name, found in recorded["results"].items() if results.get(name) != found}
    if recorded["engine_version"] == version and changed:
        raise SystemExit(
            f"results of engine version {version} changed: {', '.join(sorted(changed))}; raise ENGINE_VERSION in "
            "forge_core/engine/simulate.py, then record again"
        )
    return {"engine_version": version, "results": dict(results)}


def _hash(play: Play, feed: Feed, settings: dict[str, Any]) -> str:
    """Hash trades, equity and daily returns to the last bit, metrics to nine digits.

    Metrics use functions of the C library, whose last bits differ between versions.
    """
    run = simulate(play, feed, record=True, **settings)
    assert run.trades is not None
    assert run.equity is not None
    assert run.metrics[0] > 50
    parts = [*(run.trades[name] for name in TRADE.names or ()), run.equity, run.daily_returns]
    metrics = [run.metrics]
    if settings.get("policy") != "replay" and feed.start == 0:
        cuts = np.linspace(0, len(feed), 6).astype(np.int64)
        windows = simulate_windows(
            play, feed, cuts[:-1], cuts[1:], **{name: value for name, value in settings.items() if name != "finer"}
        )
        parts += [windows.returns, windows.gross]
        metrics.append(windows.metrics)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts))
    digest.update(" ".join(f"{value:.9g}" for part in metrics for value in part.ravel().tolist()).encode())
    return digest.hexdigest()


def _cases() -> dict[str, tuple[Play, Feed, dict[str, Any]]]:
    dear = Costs(commission_bps=5, slippage_bps=2, slippage_ticks=1, borrow_rate=0.2)
    future = FUTURE.model_copy(update={"positive_prices": True, "maintenance_margin": 80.0})
    perpetual = PERPETUAL.model_copy(update={"maintenance_margin_rate": 0.02, "liquidation_fee_rate": 0.005})
    index = Instrument(symbol="SIMINDEX", kind="index", tick=0.01, lot=0.1)
    percent, atr = Distance("percent", 0.03), Distance("atr", 2.0)
    levels = Risk(
        Size("fraction", 1.0), stop=atr, take_profit=Distance("percent", 0.06), trailing=Distance("percent", 0.08)
    )
    held = Risk(Size("contracts", 2.0), stop=Distance("ticks", 60.0), max_bars=40, cooldown=2)
    sparse, dense = (0.04, 0.04), (0.2, 0.1)
    return {
        "spot with all levels and borrow": (hand_play(levels), _feed(1, SPOT, sparse), {"costs": dear}),
        "spot without levels": (hand_play(Risk()), _feed(2, SPOT, sparse), {"costs": Costs.zero()}),
        "spot, trailing stop alone, relaxed": (
            hand_play(Risk(trailing=atr)), _feed(3, SPOT, sparse), {"fills": FillRules.relaxed()},
        ),
        "index sized by risk": (
            hand_play(Risk(Size("risk", 0.01), stop=percent, take_profit=atr)), _feed(4, index, dense),
            {"costs": dear, "policy": "ohlc_path"},
        ),
        "future, rolls at the open": (hand_play(held), _feed(5, future, sparse, rolls=40), {}),
        "future, rolls at the close": (
            hand_play(Risk(Size("fraction", 2.0), trailing=Distance("percent", 0.1))),
            _feed(6, future, sparse, rolls=40),
            {"roll_mode": "prev_close", "rollover": False, "costs": dear},
        ),
        "perpetual that is liquidated": (
            hand_play(Risk(Size("fraction", 9.0), take_profit=percent)), _feed(7, perpetual, dense, steps=20),
            {"cash": 5e6},
        ),
        "rules over columns": (_rules(), _feed(8, SPOT, dense), {"costs": dear}),
        "replay of finer bars": _replayed(levels),
    }  # fmt: skip


def _rules() -> Play:
    """Return a Play with each kind of rule and group."""
    long = Group(2, (Compare(_FAST, "crosses_above", _SLOW), Compare(_VOLUME, ">=", 5.0), Trend(_FAST, "rising", 2)))
    short = Group(2, (Compare(_FAST, "<", _SLOW), Group(1, (Compare(_VOLUME, "<", 77.7), when("S")))))
    leaves = Group(1, (Compare(_FAST, "crosses_below", _SLOW), Compare(_VOLUME, "crosses_above", 77.7)))
    return Play("rules", "1h", long, short, exit_long=leaves, exit_short=when("s"), warmup_bars=20)


def _replayed(risk: Risk) -> tuple[Play, Feed, dict[str, Any]]:
    feed, finer = _feed(9, SPOT, (0.1, 0.0)), _feed(9, SPOT, None)
    return hand_play(risk), feed, {"policy": "replay", "finer": finer, "fills": FillRules(target="touch")}


def _feed(
    seed: int, instrument: Instrument, shares: tuple[float, float] | None, *, rolls: int = 0, steps: int = 8
) -> Feed:
    """Return a random walk in whole ticks with signals on the ``shares`` of bars; None: its finer bars."""
    rng = np.random.default_rng(seed)
    quarters = Walk(seed, _BARS, 800, steps, 0.1, 0.1).quarters(rng, positive=True)
    if shares is None:
        rows = rows_of(quarters, instrument.tick, [""] * len(quarters))
        return hand_feed(rows, instrument=instrument, hours=np.arange(len(quarters)) / 4, bar_hours=0.25)
    prices = aggregate(quarters)
    atr = rng.integers(20, 60, _BARS) * instrument.tick
    sums = np.cumsum(prices[:, 3])
    fast, slow = (np.concatenate((np.full(n, np.nan), (sums[n:] - sums[:-n]) / n)) for n in (8, 64))
    fast_streak = np.sign(np.diff(fast, prepend=np.nan)) * rng.integers(1, 4, _BARS)
    volume = rng.choice([0.0, 5.0, 77.7, 900.0], _BARS)
    return hand_feed(
        rows_of(prices, instrument.tick, random_signals(rng, _BARS, *shares)),
        instrument=instrument,
        start=0 if shares[1] else 100,
        atr=atr,
        rolls=range(rolls, _BARS, rolls) if rolls else (),
        funding=rng.choice([0.0, 0.0001, -0.0003], _BARS) if instrument.kind == "perpetual" else None,
        hours=np.cumsum(rng.choice([1, 1, 1, 5, 60], _BARS)) if shares[1] else None,
        volume=volume,
        columns={_VOLUME: volume, _FAST: fast, _SLOW: slow, _FAST.streak(): fast_streak},
    )


def main() -> None:
    """Record the results of the current engine version."""
    recorded = json.loads(FILE.read_text()) if FILE.is_file() else {"engine_version": None, "results": {}}
    content = golden_file(recorded, ENGINE_VERSION, golden_results())
    FILE.write_text(json.dumps(content, indent=2) + "\n")
    print(f"recorded {len(content['results'])} results of engine version {ENGINE_VERSION}: {FILE}")


if __name__ == "__main__":
    sys.exit(main())
