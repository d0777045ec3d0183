"""Hypothesis strategies: whole backtests, always valid, dense in the cases where a fill rule could go wrong.

Prices are whole ticks, so that highs, lows and levels meet exactly; bars gap, stand still and double back. Hypothesis
draws the settings and a seed; numpy draws the bars from the seed, for hypothesis alone would be slow at it.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.features.column import ReferenceBars
from forge_core.features.reference import FeatureRef, price_field
from forge_core.features.registry import make_reference
from forge_core.feeds.build import feed_from_bars
from forge_core.feeds.feed import Feed
from forge_core.market.reference.instruments import Instrument, Session
from forge_core.plays.model import Compare, Distance, Group, Play, Risk, Size, Trend, When
from tests.engine.hand_bars import HOUR, T0, hand_feed, hand_play

KINDS = ("future", "perpetual", "spot", "future", "index")
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
    fills: FillRules

    def __repr__(self) -> str:
        """The settings in short; the bars follow from the seed of the walk, which hypothesis prints beside."""
        shown = {"costs", "cash", "policy", "roll_mode", "rollover", "fills"}
        feed = f"{self.feed.instrument!r}, {len(self.feed)} bars from {self.feed.start}"
        return f"Case({self.play.risk}, sides={self.play.sides}, {feed}, " + (
            ", ".join(f"{name}={self.settings[name]!r}" for name in sorted(shown)) + ")"
        )

    @property
    def settings(self) -> dict:
        names = ("costs", "cash", "policy", "roll_mode", "rollover", "finer", "fills")
        return {name: getattr(self, name) for name in names}


def pick(*values) -> st.SearchStrategy:
    return st.sampled_from(values)


@st.composite
def instruments(
    draw: st.DrawFn, kinds: tuple[str, ...] = ("future", "perpetual", "spot", "future", "index")
) -> Instrument:
    """An instrument of each kind, futures with little margin so that some accounts are ruined."""
    kind = draw(st.sampled_from(kinds))
    fields: dict = {"tick": draw(pick(0.25, 0.01, 1.0)), "lot": draw(pick(0.001, 0.1, 1.0))}
    if kind == "future":
        multiplier = draw(pick(1.0, 50.0))
        fields |= {"multiplier": multiplier, "lot": 1.0, "positive_prices": draw(st.booleans())}
        fields["initial_margin"] = multiplier * fields["tick"] * draw(pick(8.0, 40.0))
    if kind == "perpetual":
        fields |= {"max_leverage": draw(pick(1.0, 5.0, 20.0)), "maintenance_margin_rate": draw(pick(0.0, 0.01, 0.04))}
        fields |= {"multiplier": draw(pick(1.0, 10.0)), "liquidation_fee_rate": draw(pick(0.0, 0.005))}
    session = Session(timezone=draw(pick("UTC", "America/Chicago")))
    return Instrument(symbol="SIM" + kind.upper(), kind=kind, session=session, **fields)


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


def fill_rules() -> st.SearchStrategy[FillRules]:
    """The default, the relaxed rules, or any mix of them."""
    mixed = st.builds(
        FillRules,
        levels=pick("tick", "exact"),
        target=pick("through", "touch"),
        margin=pick("intrabar", "close"),
        volume_share=pick(0.1, None, 1.0),
    )
    return pick(FillRules(), FillRules(), FillRules.relaxed()) | mixed


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
        "fraction": pick(1.0, 0.3, 5.0, 30.0),
        "notional": pick(200.0, 5_000.0),
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


def walks(
    lengths: tuple[int, ...],
    levels: tuple[int, ...] = (100, 400, 20, 10_000),
    steps: tuple[int, ...] = (1, 2, 5, 12),
) -> st.SearchStrategy[Walk]:
    """Walks of one of these numbers of execution bars, from one of these prices, by at most one of these steps."""
    return st.builds(
        Walk,
        seed=st.integers(0, 2**32 - 1),
        bars=st.sampled_from(lengths),
        level=st.sampled_from(levels),
        step=st.sampled_from(steps),
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


def whens() -> st.SearchStrategy[When]:
    """Any hours, some of them over midnight, on any weekdays, in zones with and without daylight saving."""
    times = pick((0, 1440), (0, 600), (540, 960), (570, 1440), (1200, 300), (1440, 60), (60, 0))
    days = pick((), (0,), (0, 1, 2, 3, 4), (4, 6), (5, 6))
    zones = pick(None, "America/New_York", "Asia/Kolkata", "UTC")
    return st.builds(lambda time, zone, day: When(*time, zone, day), times, zones, days)


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
    walk: st.SearchStrategy[Walk] | None = None,
    entries: tuple[float, ...] = (0.3, 0.1, 0.7),
    rolls: tuple[float, ...] = (0.0, 0.1, 0.5),
    payments: tuple[float, ...] = (0.6,),
    by_clock: bool = False,
) -> Case:
    """Random bars with random signals written on them, and whatever else the contract knows.

    ``entries``, ``rolls`` and ``payments`` are shares of bars: with an entry signal of either side; of futures, that
    roll; of perpetuals, that pay funding. ``by_clock`` adds ``when`` and ``flat_by``.
    """
    traded = draw(instruments() if instrument is None else instrument)
    walk = draw(walks((8, 40, 120, 120)) if walk is None else walk)
    rng = np.random.default_rng(walk.seed)
    quarters = walk.quarters(rng, traded.positive_prices)
    signals = random_signals(rng, walk.bars, draw(st.sampled_from(entries)), draw(pick(0.0, 0.1, 0.5)))
    atr = rng.integers(0, 4 * walk.step, walk.bars) * traded.tick
    atr[: draw(pick(0, 3))] = np.nan
    hours = np.cumsum(rng.choice([1, 1, 1, 5, 60], walk.bars))
    roll_share = draw(st.sampled_from(rolls)) if traded.kind == "future" else 0.0
    funding = None
    if traded.kind == "perpetual":
        paid = rng.random(walk.bars) < draw(st.sampled_from(payments))
        funding = paid * rng.choice([0.0001, -0.0003, 0.02], walk.bars)
    feed = hand_feed(
        rows_of(aggregate(quarters), traded.tick, signals),
        instrument=traded,
        start=draw(pick(0, 0, 0, 0, 0, 3, 3, walk.bars // 2, walk.bars - 1)),
        atr=atr,
        rolls=np.flatnonzero(rng.random(walk.bars) < roll_share),
        funding=funding,
        hours=hours,
        volume=rng.choice([0.0, 5.0, 77.7, 900.0], walk.bars) if draw(st.booleans()) else None,
    )
    settled = draw(pick("pessimistic", "ohlc_path", "replay") if policy is None else policy)
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
    play = hand_play(draw(risks() if risk is None else risk), sides=draw(pick("both", "both", "long", "short")))
    play = replace(play, warmup_bars=draw(pick(0, 0, 5)))
    if by_clock:
        play = replace(play, when=draw(st.none() | whens()), flat_by=draw(pick(None, 0, 30, 150, 720, 1139, 1320)))
    return Case(
        play=play,
        feed=feed,
        costs=draw(costs() if cost is None else cost),
        cash=draw(pick(30.0, 5.0, 1_000.0)) * walk.level * traded.tick * traded.multiplier,
        policy=settled,
        roll_mode=draw(pick("prev_open", "prev_close")),
        rollover=draw(st.booleans()),
        finer=finer,
        fills=draw(fill_rules()),
    )


def feature(name: str, output: str | None = None, timeframe: str = "1h", **params: float) -> FeatureRef:
    return make_reference(name, params, output=output, timeframe=timeframe)


# Functions of the last ten bars alone, to the last bit where sums of prices are exact. (Bands are not: they carry the
# rounding of their variance along.)
SHORT_MEMORY = (
    *(price_field(name, "1h") for name in ("close", "open", "high", "low")),
    feature("sma", timeperiod=3),
    feature("sma", timeperiod=8),
    feature("range", "high", lookback=5),
    feature("range", "low", lookback=9),
)
PRICES = (
    *SHORT_MEMORY,
    feature("bbands", "upperband", timeperiod=5, nbdevup=1.0, nbdevdn=1.0),
    feature("bbands", "lowerband", timeperiod=5, nbdevup=1.0, nbdevdn=1.0),
    feature("ema", timeperiod=3),
    feature("ema", timeperiod=7),
    feature("ema", timeframe="4h", timeperiod=2),
    price_field("close", "4h"),
    feature("swings", "last_high", left=1, right=1),
    make_reference("ema", {"timeperiod": 3}, timeframe="1h", transform="lag:2"),
)
OTHER = "OTHER"  # another symbol
OSCILLATORS = (
    feature("rsi", timeperiod=3),
    feature("rsi", timeframe="4h", timeperiod=2),
    make_reference("ema", {"timeperiod": 5}, timeframe="1h", transform="percentile_rank:10"),
    make_reference("rsi", {"timeperiod": 3}, timeframe="1h", symbol=OTHER),
    make_reference("relative", {}, timeframe="4h", transform="percentile_rank:5", symbol=OTHER),
    make_reference("hour", {}, timeframe="1h"),
    make_reference("minutes_to_close", {}, timeframe="1h"),
)


def comparisons(prices: tuple[FeatureRef, ...]) -> st.SearchStrategy[Compare]:
    operators = pick("crosses_above", "crosses_below", ">", "<", ">=", "<=")
    return st.builds(Compare, st.sampled_from(prices), operators, st.sampled_from(prices))


def rules(
    prices: tuple[FeatureRef, ...] = PRICES, oscillators: tuple[FeatureRef, ...] = OSCILLATORS
) -> st.SearchStrategy:
    """Groups of comparisons and trends, some of them nested."""
    one = comparisons(prices)
    one |= st.builds(Trend, st.sampled_from(prices), pick("rising", "falling"), pick(1, 2, 3))
    if oscillators:
        level, operator = pick(20.0, 50.0, 80.0), pick("crosses_above", "crosses_below", ">", "<")
        one |= st.builds(Compare, st.sampled_from(oscillators), operator, level)
    return groups(one | groups(one))


@st.composite
def groups(draw: st.DrawFn, part: st.SearchStrategy) -> Group:
    parts = draw(st.lists(part, min_size=1, max_size=3))
    return Group(draw(st.integers(1, len(parts))), tuple(parts))


def frame_of(walk: Walk, rng: np.random.Generator, instrument: Instrument) -> pd.DataFrame:
    """The walk as a bars frame, some of its hours missing."""
    prices = aggregate(walk.quarters(rng, instrument.positive_prices)) * instrument.tick
    hours = np.cumsum(rng.choice([1, 1, 1, 1, 1, 3, 30], walk.bars))
    index = pd.DatetimeIndex(pd.to_datetime(T0 + hours * HOUR, unit="us", utc=True).as_unit("us"), name="timestamp")
    bars = pd.DataFrame(prices, index=index, columns=["open", "high", "low", "close"])
    return bars.assign(volume=rng.integers(0, 50, walk.bars).astype(float))


@st.composite
def feature_cases(draw: st.DrawFn) -> Case:
    """Random rules over real features of random bars: coarser timeframes, transforms, hours, another symbol."""
    traded = draw(instruments())
    walk = draw(walks((60, 150, 300)))
    rng = np.random.default_rng(walk.seed)
    bars = frame_of(walk, rng, traded)
    other = frame_of(replace(walk, seed=walk.seed ^ 1), rng, traded)
    references = {OTHER: ReferenceBars({"1h": other}, draw(pick(0, 3)))}
    feed = feed_from_bars(
        bars, instrument=traded, timeframe="1h", start=draw(pick(0, 0, 10, 40)), references=references
    )
    if traded.kind == "perpetual":
        feed = replace(feed, funding=rng.choice([0.0, 0.0001, -0.0003], walk.bars))
    if traded.kind == "future":
        feed = replace(feed, rolls=rng.random(walk.bars) < draw(pick(0.0, 0.05)))
    optional = st.none() | rules()
    play = Play(
        name="random",
        timeframe="1h",
        entry_long=draw(rules()),
        entry_short=draw(optional),
        exit_long=draw(optional),
        exit_short=draw(optional),
        risk=draw(risks()),
        sides=draw(pick("both", "both", "long", "short")),
        warmup_bars=draw(pick(0, 0, 20)),
        when=draw(st.none() | st.none() | whens()),
        flat_by=draw(pick(None, None, 300)),
    )
    return Case(
        play=play,
        feed=feed,
        costs=draw(costs()),
        cash=draw(pick(30.0, 5.0, 1_000.0)) * walk.level * traded.tick * traded.multiplier,
        policy=draw(pick("pessimistic", "ohlc_path")),
        roll_mode=draw(pick("prev_open", "prev_close")),
        rollover=draw(st.booleans()),
        finer=None,
        fills=draw(fill_rules()),
    )
