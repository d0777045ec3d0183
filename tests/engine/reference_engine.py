"""The slow engine: docs/fill_contract.md written out in plain Python, one function for each of its steps.

It knows nothing of the kernel. Speed is of no concern here; that a reader can lay this file beside the page is.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.features.reference import FeatureRef
from forge_core.feeds.feed import Feed
from forge_core.plays.model import Compare, Distance, Group, Play, Rule, Trend

YEAR_MICROSECONDS = 365 * 86_400_000_000
LONG, SHORT = 1, -1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ReferenceResult:
    """``equity`` is marked at each close from bar ``start`` on; ``ambiguous`` counts bars.

    ``exposed`` counts the closes at which a position was held, ``rejected`` the entries that opened nothing and
    ``capped`` those that the bar's volume cut. The kernel's result has the metrics and daily returns of
    its fast pass as well, which records neither trades nor equity.
    """

    trades: list[dict]
    equity: list[float]
    ambiguous: int
    ruined: bool
    exposed: int = 0
    rejected: int = 0
    capped: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    daily_returns: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Order:
    """What one close queues for the next open: ``side`` 0 only closes; ``reason`` is that of the position it closes."""

    side: int
    reason: str = ""


@dataclass
class Position:
    """One leg. ``atrs`` holds the ATR of the queueing close by timeperiod; ``first_bar`` outlives contract rolls."""

    side: int
    quantity: float
    entry_price: float
    entry_bar: int
    first_bar: int
    stop: float | None
    target: float | None
    extreme: float
    atrs: dict[int, float]
    commission: float
    financing: float = 0.0
    rolled_in: bool = False


@dataclass(frozen=True)
class Pending:
    """A position between two contracts; ``left_at`` is the price, before slippage, at which the old one was left."""

    position: Position
    left_at: float


@dataclass(frozen=True)
class Fill:
    """Where and why a level inside a bar fills, before slippage."""

    price: float
    reason: str


@dataclass
class Reference:
    """The state of one run. Columns are lists, one value a bar, NaN where there is none."""

    play: Play
    feed: Feed
    costs: Costs
    cash: float
    policy: str
    roll_mode: str
    rollover: bool
    finer: Feed | None
    fills: FillRules
    balance: float = 0.0
    position: Position | None = None
    pending: Pending | None = None
    carried: Order | None = None  # an entry order that a roll has put off to the new contract's first open
    order: Order | None = None
    last_exit_bar: int | None = None
    ambiguous: int = 0
    exposed: int = 0
    rejected: int = 0
    capped: int = 0
    ruined: bool = False
    trades: list[dict] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        feed = self.feed
        self.balance = self.cash
        self.instrument = feed.instrument
        self.multiplier = feed.instrument.multiplier
        self.time = [int(t) for t in feed.time]
        self.open, self.high = feed.open.tolist(), feed.high.tolist()
        self.low, self.close = feed.low.tolist(), feed.close.tolist()
        self.volume = feed.volume.tolist()
        self.knows_volume = feed.instrument.kind != "index" and any(volume > 0 for volume in self.volume)
        self.tick = Fraction(str(feed.instrument.tick))
        self.is_isolated = feed.instrument.maintenance_margin_rate > 0
        self.rolls = [False] * len(feed) if feed.rolls is None else feed.rolls.tolist()
        self.last = len(feed) - 1
        self.known_columns: dict[FeatureRef, list[float]] = {}
        references = [r for rule in self.rules() for r in references_of(rule)]
        levels = (self.play.risk.stop, self.play.risk.take_profit, self.play.risk.trailing)
        references += [self.atr_reference(d.timeperiod) for d in levels if d is not None and d.kind == "atr"]
        warmups = [feed.columns.warmup(reference) for reference in references]
        self.first_signal_bar = max([feed.start, self.play.warmup_bars, *warmups])

    def rules(self) -> list[Group]:
        play = self.play
        return [r for r in (play.entry_long, play.entry_short, play.exit_long, play.exit_short) if r is not None]

    # ---- Terms ------------------------------------------------------------------------------------------------

    def column(self, reference: FeatureRef) -> list[float]:
        if reference not in self.known_columns:
            self.known_columns[reference] = self.feed.columns.column(reference).tolist()
        return self.known_columns[reference]

    def slip(self, price: float) -> float:
        return abs(price) * self.costs.slippage_bps / 10_000 + self.costs.slippage_ticks * self.instrument.tick

    def bought(self, price: float) -> float:
        return price + self.slip(price)

    def sold(self, price: float) -> float:
        return price - self.slip(price)

    def commission(self, price: float, quantity: float) -> float:
        of_notional = abs(price) * self.multiplier * self.costs.commission_bps / 10_000
        return quantity * (of_notional + self.costs.commission_per_contract)

    def open_profit(self, price: float) -> float:
        if self.position is None:
            return 0.0
        held = self.position
        return held.side * held.quantity * self.multiplier * (price - held.entry_price)

    def distance(self, rule: Distance, price: float, atrs: dict[int, float]) -> float:
        if rule.kind == "percent":
            return rule.value * abs(price)
        if rule.kind == "atr":
            return rule.value * atrs[rule.timeperiod]
        return rule.value * self.instrument.tick

    def margin_of_one(self, price: float) -> float:
        if self.instrument.initial_margin > 0:
            return self.instrument.initial_margin
        return abs(price) * self.multiplier / self.instrument.max_leverage

    def to_tick(self, level: float, direction: int) -> float:
        """Whole ticks, up (+1) or down (-1); what is a millionth of a tick away from one is one."""
        if self.fills.levels == "exact":
            return level
        ticks = level * (self.tick.denominator / self.tick.numerator)
        whole = math.ceil(ticks - 1e-6) if direction > 0 else math.floor(ticks + 1e-6)
        return float(whole) * self.tick.numerator / self.tick.denominator

    def reach(self) -> float:
        """The price at which the target of the position fills."""
        held = self.position
        if self.fills.target == "touch":
            return held.target
        return self.to_tick(held.target + held.side * self.instrument.tick, held.side)

    def needed(self) -> float:
        """The equity at which the position is closed inside a bar."""
        maintenance = 0.0
        if self.instrument.kind == "future":
            maintenance = self.instrument.initial_margin / 1.1
            if self.instrument.maintenance_margin is not None:
                maintenance = self.instrument.maintenance_margin
        return self.position.quantity * maintenance

    def allowed(self, side: int) -> bool:
        return self.play.sides == "both" or self.play.sides == ("long" if side == LONG else "short")

    # ---- The run ----------------------------------------------------------------------------------------------

    def run(self) -> ReferenceResult:
        for i in range(self.feed.start, self.last + 1):
            if not self.ruined:
                self.bar(i)
            self.equity.append(self.balance + self.open_profit(self.close[i]))
        return ReferenceResult(
            self.trades, self.equity, self.ambiguous, self.ruined, self.exposed, self.rejected, self.capped
        )

    def bar(self, i: int) -> None:
        next_bar_rolls = i < self.last and self.rolls[i + 1]
        if self.roll_mode == "prev_close" and self.rolls[i]:
            self.leave_contract_at_previous_close(i)
        if not (self.is_isolated and self.position is not None) and self.balance + self.open_profit(self.open[i]) <= 0:
            self.ruin(i, self.open[i], "open")
            return
        if self.roll_mode == "prev_open" and next_bar_rolls:
            self.leave_contract_at_open(i)
        else:
            self.step_open(i)
            self.step_inside(i)
        if not self.ruined:
            self.step_close(i)

    # ---- 1. Roll ----------------------------------------------------------------------------------------------

    def leave_contract_at_open(self, i: int) -> None:
        """``prev_open``, in the bar before the one that rolls: an entry queued for it waits for the new contract."""
        order, self.order = self.order, None
        if self.position is not None:
            self.leave_contract(i, self.open[i], "open")
        if order is not None:  # the position was to be closed or reversed here: the roll was its exit
            self.pending = self.carried = None
            if order.side != 0 and self.rollover:
                self.carried = order
            elif order.side != 0:
                self.rejected += 1

    def leave_contract_at_previous_close(self, i: int) -> None:
        if self.position is not None:
            self.leave_contract(i - 1, self.close[i - 1], "close")

    def leave_contract(self, i: int, price: float, moment: str) -> None:
        held = self.position
        self.close_position(i, price, "roll", moment)
        if self.rollover:
            self.pending = Pending(held, price)

    def enter_new_contract(self, i: int) -> None:
        """The pending position is opened again, its levels shifted by the gap between the contracts."""
        old, shift = self.pending.position, self.open[i] - self.pending.left_at
        self.pending = None
        price = self.bought(self.open[i]) if old.side == LONG else self.sold(self.open[i])
        commission = self.commission(price, old.quantity)
        self.balance -= commission
        self.position = replace(
            old,
            entry_price=price,
            entry_bar=i,
            stop=None if old.stop is None else self.to_tick(old.stop + shift, -old.side),
            target=None if old.target is None else self.to_tick(old.target + shift, old.side),
            extreme=old.extreme + shift,
            commission=commission,
            financing=0.0,
            rolled_in=True,
        )

    # ---- 2. Open ----------------------------------------------------------------------------------------------

    def step_open(self, i: int) -> None:
        order, self.order = self.order, None
        if order is None:
            order, self.carried = self.carried, None
        if order is None:
            if self.pending is not None:
                self.enter_new_contract(i)
            return
        self.pending = self.carried = None
        if self.position is not None:
            gone = self.is_isolated and self.position.side * (self.open[i] - self.liquidation_price()) <= 0
            self.close_position(i, self.open[i], "liquidation" if gone else order.reason, "open")
        if order.side != 0:
            self.enter(i, order.side)

    def enter(self, i: int, side: int) -> None:
        """Open a position at the open of bar ``i``, or reject the order."""
        risk = self.play.risk
        price = self.bought(self.open[i]) if side == LONG else self.sold(self.open[i])
        distances = [rule for rule in (risk.stop, risk.take_profit, risk.trailing) if rule is not None]
        atrs = {rule.timeperiod: self.atr(rule.timeperiod, i - 1) for rule in distances if rule.kind == "atr"}
        if price == 0 or not all(self.distance(rule, price, atrs) > 0 for rule in distances):
            self.rejected += 1
            return
        stop, target = None, None
        if risk.stop is not None:
            stop = self.to_tick(price - side * self.distance(risk.stop, price, atrs), -side)
        if risk.take_profit is not None:
            target = self.to_tick(price + side * self.distance(risk.take_profit, price, atrs), side)
        stop_distance = None
        if stop is not None:
            exact = self.fills.levels == "exact"
            stop_distance = self.distance(risk.stop, price, atrs) if exact else side * (price - stop)
        quantity = self.quantity(i, price, stop_distance)
        if quantity <= 0:
            self.rejected += 1
            return
        commission = self.commission(price, quantity)
        self.balance -= commission
        self.position = Position(
            side=side,
            quantity=quantity,
            entry_price=price,
            entry_bar=i,
            first_bar=i,
            stop=stop,
            target=target,
            extreme=price,
            atrs=atrs,
            commission=commission,
        )

    def atr_reference(self, timeperiod: int) -> FeatureRef:
        return FeatureRef("atr", (("timeperiod", timeperiod),), "real", self.feed.timeframe)

    def atr(self, timeperiod: int, i: int) -> float:
        """The ATR as a distance in traded prices: features may see those of a future at another level."""
        atr = self.column(self.atr_reference(timeperiod))[i]
        return atr if self.feed.price_scale is None else atr / float(self.feed.price_scale[i])

    def quantity(self, i: int, price: float, stop_distance: float | None) -> float:
        """The size in whole lots, from the equity of a flat account (its balance) and the volume of the bar."""
        size, equity = self.play.risk.size, self.balance
        commission_of_one = self.commission(price, 1.0)
        most = equity / (self.margin_of_one(price) + commission_of_one)
        if size.kind == "contracts":
            wanted = size.value
            if wanted > most:
                return 0.0
        elif size.kind == "fraction":
            wanted = size.value * equity / (abs(price) * self.multiplier + commission_of_one)
        elif size.kind == "notional":
            wanted = size.value / (abs(price) * self.multiplier)
        else:
            wanted = size.value * equity / (stop_distance * self.multiplier)
        lot = self.instrument.lot
        lots = math.floor(min(wanted, most) / lot + 1e-9)
        if self.fills.volume_share is not None and self.knows_volume:
            available = math.floor(self.fills.volume_share * self.volume[i] / lot + 1e-9)
            if available < lots:
                self.capped += 1
                lots = available
        return lots * lot

    # ---- 3. Inside the bar ------------------------------------------------------------------------------------

    def step_inside(self, i: int) -> None:
        if self.position is None:
            return
        adverse = self.adverse_level()
        fill = self.first_fill(self.open[i], self.high[i], self.low[i], adverse)
        if fill == "both":
            self.ambiguous += 1
            fill = self.settle_ambiguous(i, adverse)
        if fill is not None and fill.reason == "ruin":
            self.ruin(i, fill.price, "inside")
        elif fill is not None:
            self.close_position(i, fill.price, fill.reason, "inside")
        elif self.position.side == LONG:
            self.position.extreme = max(self.position.extreme, self.high[i])
        else:
            self.position.extreme = min(self.position.extreme, self.low[i])

    def adverse_level(self) -> Fill | None:
        """Of stop, trailing stop, liquidation and ruin the nearest to the open; of equal ones the first of these."""
        held, levels = self.position, []
        if held.stop is not None:
            levels.append(Fill(held.stop, "stop"))
        if self.play.risk.trailing is not None:
            distance = self.distance(self.play.risk.trailing, held.extreme, held.atrs)
            levels.append(Fill(self.to_tick(held.extreme - held.side * distance, -held.side), "trailing_stop"))
        if self.is_isolated:
            levels.append(Fill(self.liquidation_price(), "liquidation"))
        elif self.fills.margin == "intrabar":
            exposure = held.side * held.quantity * self.multiplier
            price = self.to_tick(held.entry_price + (self.needed() - self.balance) / exposure, -held.side)
            levels.append(Fill(price, "liquidation" if self.needed() > 0 else "ruin"))
        if not levels:
            return None
        nearest = max if held.side == LONG else min
        return nearest(levels, key=lambda level: level.price)  # the first of equal ones

    def liquidation_price(self) -> float:
        held, rate = self.position, self.instrument.maintenance_margin_rate
        margin = self.margin_of_one(held.entry_price) / self.multiplier
        if held.side == LONG:
            return (held.entry_price - margin) / (1 - rate)
        return (held.entry_price + margin) / (1 + rate)

    def first_fill(self, open_: float, high: float, low: float, adverse: Fill | None) -> Fill | str | None:
        """Rules 1 to 3 for one bar; ``"both"`` where rule 4 has to decide."""
        side, target = self.position.side, self.position.target
        reach = None if target is None else self.reach()
        worst, best = (low, high) if side == LONG else (high, low)
        if adverse is not None and side * open_ <= side * adverse.price:
            return Fill(open_, adverse.reason)
        if target is not None and side * open_ >= side * reach:
            return Fill(open_, "take_profit")
        hits_adverse = adverse is not None and side * worst <= side * adverse.price
        hits_target = target is not None and side * best >= side * reach
        if hits_adverse and hits_target:
            return "both"
        if hits_adverse:
            return adverse
        return Fill(target, "take_profit") if hits_target else None

    def settle_ambiguous(self, i: int, adverse: Fill) -> Fill:
        """Rule 4."""
        target = Fill(self.position.target, "take_profit")
        if self.policy == "ohlc_path":
            low_comes_first = self.close[i] >= self.open[i]
            adverse_is_low = self.position.side == LONG
            return adverse if low_comes_first == adverse_is_low else target
        if self.policy == "replay":
            return self.replay(i, adverse)
        return adverse

    def replay(self, i: int, adverse: Fill) -> Fill:
        finer, until = self.finer, self.time[i] + self.feed.bar_microseconds
        for k in range(0 if finer is None else len(finer)):
            if self.time[i] <= finer.time[k] < until:
                bar = float(finer.open[k]), float(finer.high[k]), float(finer.low[k])
                fill = self.first_fill(*bar, adverse)
                if fill == "both":
                    return adverse
                if fill is not None:
                    return fill
        return adverse

    # ---- 4. Close ---------------------------------------------------------------------------------------------

    def step_close(self, i: int) -> None:
        if self.position is not None:
            self.exposed += 1
            self.charge_financing(i)
        if i == self.last and self.position is not None:
            self.close_position(i, self.close[i], "end_of_data", "close")
        if self.balance + self.open_profit(self.close[i]) <= 0:
            self.ruin(i, self.close[i], "close")
        elif self.first_signal_bar <= i < self.last:
            self.order = self.evaluate_rules(i)

    def charge_financing(self, i: int) -> None:
        held, kind, charge = self.position, self.instrument.kind, 0.0
        if kind in ("spot", "index") and held.side == SHORT:
            until = self.time[i] + self.feed.bar_microseconds
            since = self.time[i] if i == held.entry_bar else self.time[i - 1] + self.feed.bar_microseconds
            notional = held.quantity * self.multiplier * abs(self.close[i])
            charge = self.costs.borrow_rate * notional * (until - since) / YEAR_MICROSECONDS
        if kind == "perpetual":
            rate = float(self.feed.funding[i])
            charge = held.side * held.quantity * self.multiplier * self.close[i] * rate
        held.financing += charge
        self.balance -= charge

    def evaluate_rules(self, i: int) -> Order | None:
        entries = {LONG: self.true(self.play.entry_long, i), SHORT: self.true(self.play.entry_short, i)}
        exits = {LONG: self.true(self.play.exit_long, i), SHORT: self.true(self.play.exit_short, i)}
        if not self.within_hours(i):
            entries = {LONG: False, SHORT: False}
        if self.flat_is_due(i):
            exits = {LONG: True, SHORT: True}
        both = entries[LONG] and entries[SHORT]
        entries = {side: entries[side] and not both and not exits[side] for side in (LONG, SHORT)}
        if self.carried is not None:
            return self.order_when_holding(i, self.carried.side, None, entries, exits)
        held = self.pending.position if self.pending is not None else self.position
        if held is None:
            return self.order_when_flat(i, entries)
        return self.order_when_holding(i, held.side, held.first_bar, entries, exits)

    def zone(self) -> ZoneInfo:
        when = self.play.when
        return ZoneInfo((when and when.timezone) or self.instrument.session.timezone)

    def close_time(self, i: int) -> datetime:
        return EPOCH + timedelta(microseconds=self.time[i] + self.feed.bar_microseconds)

    def within_hours(self, i: int) -> bool:
        """Whether the Play's ``when`` lets an entry count at the close of bar ``i``."""
        when = self.play.when
        if when is None:
            return True
        local = self.close_time(i).astimezone(self.zone())
        minutes, weekday = local.hour * 60 + local.minute + local.second / 60, local.weekday()
        if minutes == 0:  # midnight is the end of the day before
            minutes, weekday = 1440, (weekday - 1) % 7
        if when.weekdays and weekday not in when.weekdays:
            return False
        if when.start <= when.end:
            return when.start <= minutes <= when.end
        return minutes >= when.start or minutes <= when.end

    def flat_is_due(self, i: int) -> bool:
        """Whether no later close, by the timeframe, is at or before ``flat_by``, and no earlier one dealt with it."""
        if self.play.flat_by is None:
            return False
        bar = timedelta(microseconds=self.feed.bar_microseconds)
        close = self.close_time(i)
        since = close if i == 0 else min(close, self.close_time(i - 1) + bar)
        day = since.astimezone(self.zone()).date() - timedelta(days=1)
        while (moment := self.time_of_day(day)) < close + bar:
            if moment >= since:
                return True
            day += timedelta(days=1)
        return False

    def time_of_day(self, day: date) -> datetime:
        """``flat_by`` on a date; a time that daylight saving skips is right after the hour skipped."""
        hours, minutes = divmod(self.play.flat_by, 60)
        local = datetime(day.year, day.month, day.day, hours, minutes, tzinfo=self.zone())
        moment = local.astimezone(UTC)
        if moment.astimezone(self.zone()).replace(tzinfo=None) == local.replace(tzinfo=None):
            return moment
        after = local.replace(fold=1).astimezone(UTC)  # by the offset after the change: before the hour skipped
        while after.astimezone(self.zone()).utcoffset() != moment.astimezone(self.zone()).utcoffset():
            after += timedelta(minutes=1)
        return after

    def order_when_holding(self, i: int, side: int, first_bar: int | None, entries: dict, exits: dict) -> Order | None:
        if entries[-side]:
            only_closes = not self.allowed(-side) or self.play.risk.cooldown > 0
            return Order(0 if only_closes else -side, "reversal")
        if exits[side]:
            return Order(0, "flat_by" if self.flat_is_due(i) else "exit")
        limit = self.play.risk.max_bars
        if limit is not None and first_bar is not None and i - first_bar + 1 >= limit:
            return Order(0, "max_bars")
        return None

    def order_when_flat(self, i: int, entries: dict) -> Order | None:
        if self.last_exit_bar is not None and i - self.last_exit_bar < self.play.risk.cooldown:
            return None
        for side in (LONG, SHORT):
            if entries[side] and self.allowed(side):
                return Order(side)
        return None

    def true(self, rule: Rule | None, i: int) -> bool:
        """Whether a rule holds at bar ``i``; a comparison with NaN is false."""
        if rule is None:
            return False
        if isinstance(rule, Group):
            return sum(self.true(part, i) for part in rule.rules) >= rule.at_least
        if isinstance(rule, Trend):
            streak = self.column(rule.feature.streak())[i]
            return streak >= rule.bars if rule.direction == "rising" else streak <= -rule.bars
        left, right = self.value(rule.left, i), self.value(rule.right, i)
        if rule.operator in ("crosses_above", "crosses_below"):
            if i == 0:
                return False
            before_left, before_right = self.value(rule.left, i - 1), self.value(rule.right, i - 1)
            if rule.operator == "crosses_above":
                return left > right and before_left <= before_right
            return left < right and before_left >= before_right
        return {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[rule.operator]

    def value(self, operand: FeatureRef | float, i: int) -> float:
        return self.column(operand)[i] if isinstance(operand, FeatureRef) else operand

    # ---- Ruin, and what a trade records -----------------------------------------------------------------------

    def ruin(self, i: int, price: float, moment: str) -> None:
        if self.position is not None:
            self.close_position(i, price, "ruin", moment)
        self.pending = self.order = self.carried = None
        self.ruined = True

    def close_position(self, i: int, price: float, reason: str, moment: str) -> None:
        """Close at ``price``, before slippage; ``moment`` of bar ``i`` is ``open``, ``inside`` or ``close``."""
        held, fee = self.position, 0.0
        if reason == "liquidation" and not self.is_isolated:
            price = self.sold(price) if held.side == LONG else self.bought(price)
            fee = self.instrument.liquidation_fee_rate * held.quantity * self.multiplier * abs(price)
        elif reason == "liquidation":
            margin = self.margin_of_one(held.entry_price) / self.multiplier
            bankruptcy = held.entry_price - held.side * margin
            price = max(price, bankruptcy) if held.side == LONG else min(price, bankruptcy)
            fee = self.instrument.liquidation_fee_rate * held.quantity * self.multiplier * abs(price)
        elif reason != "take_profit":
            price = self.sold(price) if held.side == LONG else self.bought(price)
        gross = held.side * held.quantity * self.multiplier * (price - held.entry_price)
        paid = self.commission(price, held.quantity) + fee
        self.balance += gross - paid
        self.position, self.last_exit_bar = None, i
        self.record(held, i, price, reason, moment, gross, held.commission + paid)

    def record(
        self, held: Position, i: int, price: float, reason: str, moment: str, gross: float, commission: float
    ) -> None:
        net = gross - commission - held.financing
        notional = held.quantity * self.multiplier * abs(held.entry_price)
        worst, best = self.excursion(held, i, price, moment)
        self.trades.append(
            {
                "entry_time": self.time[held.entry_bar],
                "exit_time": self.time[i] + (self.feed.bar_microseconds if moment == "close" else 0),
                "entry_price": held.entry_price,
                "exit_price": price,
                "side": held.side,
                "quantity": held.quantity,
                "exit_reason": reason,
                "bars_held": i - held.entry_bar + (0 if moment == "open" else 1),
                "gross_pnl": gross,
                "commission": commission,
                "financing": held.financing,
                "net_pnl": net,
                "return_pct": 100 * net / notional if notional else 0.0,
                "mae": worst,
                "mfe": best,
                "switch": held.rolled_in or reason == "roll",
            }
        )

    def excursion(self, held: Position, i: int, exit_price: float, moment: str) -> tuple[float, float]:
        prices = [held.entry_price, exit_price]
        for k in range(held.entry_bar, i + 1 if moment == "close" else i):
            prices += [self.high[k], self.low[k]]
        if held.entry_price == 0:
            return 0.0, 0.0
        moves = [100 * held.side * (price - held.entry_price) / abs(held.entry_price) for price in prices]
        return min(moves), max(moves)


def references_of(rule: Rule) -> list[FeatureRef]:
    """The columns a rule reads."""
    if isinstance(rule, Group):
        return [reference for part in rule.rules for reference in references_of(part)]
    if isinstance(rule, Trend):
        return [rule.feature.streak()]
    assert isinstance(rule, Compare)
    return [operand for operand in (rule.left, rule.right) if isinstance(operand, FeatureRef)]


def reference_backtest(
    play: Play,
    feed: Feed,
    *,
    costs: Costs,
    cash: float,
    policy: str,
    roll_mode: str = "prev_open",
    rollover: bool = True,
    finer: Feed | None = None,
    fills: FillRules | None = None,
) -> ReferenceResult:
    """Run ``play`` over ``feed`` bar by bar, as the fill contract says."""
    return Reference(play, feed, costs, cash, policy, roll_mode, rollover, finer, fills or FillRules()).run()
