"""Hypothesis strategies: whole backtests, always valid, dense in the cases where a fill rule could go wrong.

Prices are whole ticks, so that highs, lows and levels meet exactly; bars gap, stand still and double back. Hypothesis
draws the settings and a seed; numpy draws the bars from the seed, for hypothesis alone would be slow at it.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from forge_core.engine.costs import Costs
from forge_core.engine.feed import Feed
from forge_core.market.instruments import Instrument
from forge_core.plays.model import Distance, Play, Risk, Size
from tests.engine.hand_bars import hand_feed, hand_play

QUARTERS = 4  # finer bars in one execution bar


@dataclass(frozen=True)
class Case:
    """One backtest: what both engines are given."""

    play: Play
    feed: Feed
    costs: Costs
    cash: float
    policy: str
    roll_mode: str
    rollover: bool
    finer: Feed | None

    @property
    def settings(self) -> dict:
        names = ("costs", "cash", "policy", "roll_mode", "rollover", "finer")
        return {name: getattr(self, name) for name in names}


def pick(*values) -> st.SearchStrategy:
    return st.sampled_from(values)


@st.composite
def instruments(draw: st.DrawFn, kinds: tuple[str, ...] = ("spot", "perpetual", "future", "index")) -> Instrument:
    """An instrument of each kind, futures with little margin so that some accounts are ruined."""
    kind = draw(st.sampled_from(kinds))
    fields: dict = {"tick": draw(pick(0.25, 0.01, 1.0)), "lot": draw(pick(0.001, 0.1, 1.0))}
    if kind == "future":
        multiplier = draw(pick(1.0, 50.0))
        fields |= {"multiplier": multiplier, "lot": 1.0, "positive_prices": draw(st.booleans())}
        fields["initial_margin"] = multiplier * fields["tick"] * draw(pick(20.0, 100.0))
    if kind == "perpetual":
        fields |= {"max_leverage": draw(pick(1.0, 5.0, 20.0)), "maintenance_margin_rate": draw(pick(0.0, 0.01, 0.04))}
        fields["liquidation_fee_rate"] = draw(pick(0.0, 0.005))
    return Instrument(symbol="SIM" + kind.upper(), kind=kind, **fields)


def costs() -> st.SearchStrategy[Costs]:
    """No costs, or any mix of them."""
    mixed = st.builds(
        Costs,
        commission_bps=pick(0.0, 7.5),
        commission_per_contract=pick(0.0, 0.3),
        slippage_bps=pick(0.0, 5.0),
        slippage_ticks=pick(0.0, 1.0, 2.5),
        borrow_rate=pick(0.0, 0.3, 40.0),
    )
    return st.just(Costs.zero()) | mixed


def distances(kinds: tuple[str, ...] = ("percent", "atr", "ticks")) -> st.SearchStrategy[Distance]:
    """A distance of a few ticks, so that it is reached."""
    values = {
        "percent": pick(0.01, 0.03, 0.1, 0.6),
        "atr": pick(0.5, 1.0, 2.0),
        "ticks": pick(1.0, 2.0, 4.0, 8.0, 15.0),
    }
    return st.sampled_from(kinds).flatmap(lambda kind: st.builds(Distance, st.just(kind), values[kind]))


@st.composite
def risks(
    draw: st.DrawFn,
    kinds: tuple[str, ...] = ("percent", "atr", "ticks"),
    sizes: tuple[str, ...] = ("fraction", "notional", "contracts", "risk"),
) -> Risk:
    """Any size with any ways out; ``risk`` sizing comes with its stop."""
    stop = draw(st.none() | distances(kinds))
    kind = draw(st.sampled_from(sizes))
    if kind == "risk" and stop is None:
        stop = draw(distances(kinds))
    values = {
        "fraction": pick(1.0, 0.3, 5.0, 20.0),
        "notional": pick(900.0, 50_000.0),
        "contracts": pick(1.0, 3.0, 7.77),
        "risk": pick(0.01, 0.2),
    }
    return Risk(
        size=Size(kind, draw(values[kind])),
        stop=stop,
        take_profit=draw(st.none() | distances(kinds)),
        trailing=draw(st.none() | distances(kinds)),
        max_bars=draw(st.none() | pick(1, 2, 5)),
        cooldown=draw(pick(0, 0, 1, 4)),
    )


@dataclass(frozen=True)
class Walk:
    """How random bars behave, all in ticks."""

    seed: int
    bars: int
    level: int
    step: int
    gap_share: float
    flat_share: float

    def quarters(self, rng: np.random.Generator, positive: bool) -> np.ndarray:
        """Finer bars, int64[bars * QUARTERS, 4] of open, high, low, close in ticks."""
        count = self.bars * QUARTERS
        moving = rng.random(count) >= self.flat_share
        step = rng.integers(-self.step, self.step + 1, count) * moving
        gap = rng.integers(-3 * self.step, 3 * self.step + 1, count) * (rng.random(count) < self.gap_share)
        close = self.level + np.cumsum(step + gap)
        open_ = close - step
        wick = rng.integers(0, self.step + 1, (2, count)) * moving
        prices = np.stack(
            [open_, np.maximum(open_, close) + wick[0], np.minimum(open_, close) - wick[1], close], axis=1
        )
        if positive:  # folded up at zero; the order of high and low turns with it
            prices = np.abs(prices) + 1
            prices[:, 1], prices[:, 2] = prices.max(axis=1), prices.min(axis=1)
        return prices


def walks(longest: int = 60) -> st.SearchStrategy[Walk]:
    """Walks of up to ``longest`` execution bars."""
    return st.builds(
        Walk,
        seed=st.integers(0, 2**32 - 1),
        bars=st.integers(4, longest),
        level=pick(400, 100, 30, 10_000),
        step=pick(1, 2, 5),
        gap_share=pick(0.0, 0.1, 0.5),
        flat_share=pick(0.0, 0.3, 0.8),
    )


def aggregate(quarters: np.ndarray) -> np.ndarray:
    """Execution bars of whole groups of ``QUARTERS`` finer bars."""
    groups = quarters.reshape(-1, QUARTERS, 4)
    return np.stack(
        [groups[:, 0, 0], groups[:, :, 1].max(axis=1), groups[:, :, 2].min(axis=1), groups[:, -1, 3]], axis=1
    )


def rows_of(prices: np.ndarray, tick: float, signals: list[str]) -> list[tuple]:
    return [(*(float(p) * tick for p in bar), letters) for bar, letters in zip(prices, signals, strict=True)]


def random_signals(rng: np.random.Generator, bars: int, entry_share: float, exit_share: float) -> list[str]:
    shares = {"L": entry_share, "S": entry_share, "l": exit_share, "s": exit_share}
    hits = {letter: rng.random(bars) < share for letter, share in shares.items()}
    return ["".join(letter for letter in hits if hits[letter][k]) for k in range(bars)]


@st.composite
def hand_cases(
    draw: st.DrawFn,
    *,
    instrument: st.SearchStrategy[Instrument] | None = None,
    cost: st.SearchStrategy[Costs] | None = None,
    risk: st.SearchStrategy[Risk] | None = None,
    policy: st.SearchStrategy[str] | None = None,
    longest: int = 60,
    cash: st.SearchStrategy[float] | None = None,
) -> Case:
    """Random bars with random signals written on them, and whatever else the contract knows."""
    traded = draw(instrument or instruments())
    walk = draw(walks(longest))
    rng = np.random.default_rng(walk.seed)
    quarters = walk.quarters(rng, traded.positive_prices)
    signals = random_signals(rng, walk.bars, draw(pick(0.3, 0.1, 0.7)), draw(pick(0.0, 0.1, 0.5)))
    atr = rng.integers(0, 4 * walk.step, walk.bars) * traded.tick
    atr[: draw(pick(0, 3))] = np.nan
    hours = np.cumsum(rng.choice([1, 1, 1, 5, 60], walk.bars))
    roll_share = draw(pick(0.0, 0.1, 0.5)) if traded.kind == "future" else 0.0
    funding = None
    if traded.kind == "perpetual":
        funding = rng.choice([0.0, 0.0, 0.0001, -0.0003, 0.02], walk.bars)
    feed = hand_feed(
        rows_of(aggregate(quarters), traded.tick, signals),
        instrument=traded,
        start=draw(st.integers(0, walk.bars - 1) | st.just(0)),
        atr=atr,
        rolls=np.flatnonzero(rng.random(walk.bars) < roll_share),
        funding=funding,
        hours=hours,
    )
    settled = draw(policy or pick("pessimistic", "ohlc_path", "replay"))
    finer = None
    if settled == "replay":
        kept = np.flatnonzero(rng.random(quarters.shape[0]) < draw(pick(1.0, 0.7)))
        kept = kept if kept.size else np.array([0])
        finer = hand_feed(
            rows_of(quarters[kept], traded.tick, [""] * kept.size),
            instrument=traded,
            hours=hours[kept // QUARTERS] + kept % QUARTERS / QUARTERS,
            bar_hours=1 / QUARTERS,
        )
    play = hand_play(draw(risk or risks()), sides=draw(pick("both", "both", "long", "short")))
    play = replace(play, warmup_bars=draw(pick(0, 0, 5)))
    return Case(
        play=play,
        feed=feed,
        costs=draw(cost or costs()),
        cash=draw(cash or pick(10_000.0, 1_000.0, 250_000.0)),
        policy=settled,
        roll_mode=draw(pick("prev_open", "prev_close")),
        rollover=draw(st.booleans()),
        finer=finer,
    )
