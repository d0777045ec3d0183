"""Examples worked by hand, a paragraph of docs/fill_contract.md after the other; both engines must give them."""

import math

import pytest

from forge_core.engine.costs import Costs
from forge_core.engine.fill_rules import FillRules
from forge_core.features.reference import FeatureRef
from forge_core.plays.model import Compare, Distance, Group, Risk, Size, Trend
from tests.engine.hand_bars import (
    ENGINES,
    FUTURE,
    HOUR,
    PERPETUAL,
    SPOT,
    T0,
    hand_feed,
    hand_play,
    signal,
)
from tests.engine.reference_engine import ReferenceResult

ONE = Size("contracts", 1.0)
QUIET = (100.0, 100.0, 100.0, 100.0, "")


@pytest.fixture(params=list(ENGINES))
def engine(request):
    return ENGINES[request.param]


@pytest.fixture
def run(engine):
    """Run rows of bars; keyword arguments go to the feed, the risk, the Play or the engine, by their name."""

    def run_rows(rows, **options) -> ReferenceResult:
        feed_names = ("volume", "instrument", "start", "atr", "rolls", "funding", "hours", "columns", "warmups")
        engine_names = ("costs", "cash", "policy", "roll_mode", "rollover", "finer", "fills")
        risk_names = ("size", "stop", "take_profit", "trailing", "max_bars", "cooldown")
        feed = hand_feed(rows, **{k: options.pop(k) for k in feed_names if k in options})
        settings = {"costs": Costs.zero(), "cash": 1000.0, "policy": "pessimistic", "fills": FillRules.relaxed()}
        settings |= {k: options.pop(k) for k in engine_names if k in options}
        risk = Risk(**{"size": ONE, **{k: options.pop(k) for k in risk_names if k in options}})
        return engine(hand_play(risk, **options), feed, **settings)

    return run_rows


def check(trade: dict, **expected) -> None:
    for name, value in expected.items():
        assert trade[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name


def at(hour: float) -> int:
    return T0 + round(hour * HOUR)


def percent(value: float) -> Distance:
    return Distance("percent", value)


def ticks(value: float) -> Distance:
    return Distance("ticks", value)


# ---- Terms ----------------------------------------------------------------------------------------------------


def test_slippage_and_commission_are_paid_at_both_fills(run):
    costs = Costs(commission_bps=10, commission_per_contract=0.25, slippage_bps=100, slippage_ticks=2)
    rows = [(100, 100, 100, 100, "L"), (100, 100, 100, 100, "l"), (200, 200, 200, 200, "")]
    result = run(rows, costs=costs, size=Size("contracts", 2.0))
    (trade,) = result.trades
    # 100 + 1 % + 2 ticks of 0.5 = 102; 200 - 2 - 1 = 197; 2 * (102 * 0.001 + 0.25) and 2 * (197 * 0.001 + 0.25)
    check(trade, entry_price=102.0, exit_price=197.0, gross_pnl=190.0, commission=0.704 + 0.894)
    check(trade, net_pnl=190 - 1.598, return_pct=100 * (190 - 1.598) / 204)
    assert result.equity == pytest.approx([1000, 1000 - 0.704 - 4, 1000 + 190 - 1.598])


def test_a_short_sells_below_and_buys_above(run):
    rows = [(100, 100, 100, 100, "S"), (100, 100, 100, 100, "s"), (90, 90, 90, 90, "")]
    (trade,) = run(rows, costs=Costs(slippage_ticks=1)).trades
    check(trade, side=-1, entry_price=99.5, exit_price=90.5, gross_pnl=9.0, return_pct=100 * 9 / 99.5)


def test_negative_prices_pay_costs_and_keep_distances_by_their_absolute_value(run):
    costs = Costs(slippage_bps=100, commission_bps=100)
    rows = [(-20, -20, -20, -20, "L"), (-20, -19, -21, -20, ""), (-20, -20, -24, -23, "")]
    (trade,) = run(rows, instrument=FUTURE, costs=costs, stop=percent(0.1)).trades
    # bought at -20 + 0.2 = -19.8, stop -19.8 - 1.98 = -21.78, sold 1 % below it
    check(trade, entry_price=-19.8, exit_price=-21.78 - 0.2178, exit_reason="stop")
    check(trade, gross_pnl=10 * (-21.9978 + 19.8), commission=0.01 * 198 + 0.01 * 219.978)
    check(trade, return_pct=100 * trade["net_pnl"] / 198)


@pytest.mark.parametrize("atr", [[math.nan, 5, 5, 5], [0, 5, 5, 5]])
def test_an_entry_without_a_distance_is_dropped(run, atr):
    rows = [(100, 100, 100, 100, "L"), QUIET, QUIET, QUIET]
    assert run(rows, atr=atr, stop=Distance("atr", 2.0)).trades == []


def test_a_reversal_without_a_distance_only_closes(run):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 100, 100, "S"), (103, 103, 103, 103, ""), QUIET]
    (trade,) = run(rows, atr=[5, math.nan, 5, 5], stop=Distance("atr", 2.0)).trades
    check(trade, exit_reason="reversal", exit_price=103.0)


def test_the_atr_is_that_of_the_queueing_close_and_stays(run):
    rows = [(100, 100, 100, 100, "L"), (100, 101, 91, 100, ""), (100, 100, 89, 95, ""), QUIET]
    (trade,) = run(rows, atr=[5, 50, 1, 1], stop=Distance("atr", 2.0)).trades
    check(trade, exit_reason="stop", exit_price=90.0, exit_time=at(2))


def test_lead_in_bars_are_not_traded(run):
    rows = [(100, 100, 100, 100, "L")] * 2 + [(100, 100, 100, 100, ""), (100, 100, 100, 100, "L"), QUIET, QUIET]
    result = run(rows, start=2)
    (trade,) = result.trades
    check(trade, entry_time=at(4))
    assert len(result.equity) == 4


# ---- 1. Roll --------------------------------------------------------------------------------------------------

# The old contract ends in bar 3; the new one opens 50 higher in bar 4.
ROLLING = [
    (100, 101, 99, 100, "L"),
    (100, 102, 99, 101, ""),
    (101, 103, 100, 102, ""),
    (102, 300, 10, 103, ""),
    (153, 154, 152, 154, ""),
    (154, 156, 153, 155, "l"),
    (156, 156, 156, 156, ""),
]


def with_signals(rows, signals: dict[int, str]):
    return [(*row[:4], signals.get(k, row[4])) for k, row in enumerate(rows)]


def test_prev_open_leaves_at_the_open_before_and_enters_again(run):
    costs = Costs(slippage_ticks=1, commission_per_contract=1.0)
    result = run(ROLLING, instrument=FUTURE, rolls=[4], costs=costs)
    first, second = result.trades
    check(first, entry_price=100.25, exit_price=101.75, exit_time=at(3), exit_reason="roll", bars_held=2, switch=True)
    check(first, commission=2.0, net_pnl=15.0 - 2.0)
    check(second, entry_price=153.25, exit_price=155.75, entry_time=at(4), exit_time=at(6), switch=True, bars_held=2)
    check(second, exit_reason="exit", net_pnl=25.0 - 2.0)
    # flat, and so equal, at the close of bar 3
    assert result.equity == pytest.approx([1000, 1006.5, 1016.5, 1013, 1019.5, 1029.5, 1036])


def test_prev_close_leaves_at_the_close_before(run):
    first, second = run(ROLLING, instrument=FUTURE, rolls=[4], roll_mode="prev_close").trades
    check(first, exit_price=103.0, exit_time=at(4), exit_reason="roll", bars_held=3, switch=True)
    # at its close, so that the wild range of bar 3 counts
    check(first, mfe=200.0, mae=-90.0)
    check(second, entry_price=153.0, entry_time=at(4), gross_pnl=30.0)


@pytest.mark.parametrize("roll_mode", ["prev_open", "prev_close"])
def test_without_rollover_the_position_is_closed(run, roll_mode):
    (trade,) = run(ROLLING, instrument=FUTURE, rolls=[4], roll_mode=roll_mode, rollover=False).trades
    check(trade, exit_reason="roll", switch=True)


@pytest.mark.parametrize("roll_mode", ["prev_open", "prev_close"])
def test_a_close_queued_for_the_rolling_bar_ends_the_position(run, roll_mode):
    rows = with_signals(ROLLING, {0: "L", 3: "l"})
    (trade,) = run(rows, instrument=FUTURE, rolls=[4], roll_mode=roll_mode).trades
    check(trade, exit_reason="roll", switch=True)


@pytest.mark.parametrize("roll_mode", ["prev_open", "prev_close"])
def test_a_reversal_queued_for_the_rolling_bar_opens_its_own_side(run, roll_mode):
    rows = with_signals(ROLLING, {0: "L", 3: "S"})
    first, second = run(rows, instrument=FUTURE, rolls=[4], roll_mode=roll_mode).trades
    check(first, exit_reason="roll", side=1)
    check(second, entry_price=153.0, side=-1, exit_reason="end_of_data")


@pytest.mark.parametrize("roll_mode", ["prev_open", "prev_close"])
def test_a_reversal_with_a_cooldown_does_nothing_to_the_position_left_at_the_roll(run, roll_mode):
    rows = with_signals(ROLLING, {0: "L", 3: "S"})
    (trade,) = run(rows, instrument=FUTURE, rolls=[4], roll_mode=roll_mode, cooldown=1).trades
    check(trade, exit_reason="roll", side=1)


def test_a_close_queued_for_the_bar_before_the_roll_is_served_by_it(run):
    (trade,) = run(with_signals(ROLLING, {0: "L", 2: "l", 5: ""}), instrument=FUTURE, rolls=[4]).trades
    check(trade, exit_reason="roll", exit_time=at(3))


def test_a_reversal_queued_for_the_bar_before_the_roll_opens_in_the_new_contract(run):
    first, second = run(with_signals(ROLLING, {0: "L", 2: "S", 5: ""}), instrument=FUTURE, rolls=[4]).trades
    check(first, exit_reason="roll", exit_time=at(3))
    check(second, side=-1, entry_time=at(4), entry_price=153.0, switch=False, exit_reason="end_of_data")


def test_an_entry_queued_for_the_bar_before_the_roll_opens_in_the_new_contract(run):
    rows = with_signals(ROLLING, {0: "", 2: "L"})
    (trade,) = run(rows, instrument=FUTURE, rolls=[4], stop=ticks(8), max_bars=1).trades
    check(trade, entry_time=at(4), entry_price=153.0, switch=False, exit_reason="max_bars", exit_time=at(5))
    assert run(rows, instrument=FUTURE, rolls=[4]).rejected == 0
    stopped = run([*rows[:4], (153, 154, 151, 152, ""), QUIET], instrument=FUTURE, rolls=[4], stop=ticks(8)).trades[0]
    check(stopped, exit_reason="stop", exit_price=151.0)  # from the price it opened at
    waited = run(rows, instrument=FUTURE, rolls=[4, 5]).trades[0]
    check(waited, entry_time=at(5), entry_price=154.0)


@pytest.mark.parametrize(("signal", "opened"), [("l", []), ("S", [-1]), ("L", [1]), ("s", [1])])
def test_what_the_close_before_the_roll_queues_replaces_an_entry_that_waits(run, signal, opened):
    rows = with_signals(ROLLING, {0: "", 2: "L", 3: signal, 5: ""})
    assert [trade["side"] for trade in run(rows, instrument=FUTURE, rolls=[4]).trades] == opened


def test_without_rollover_an_entry_queued_for_the_bar_before_the_roll_is_rejected(run):
    result = run(with_signals(ROLLING, {0: "", 2: "L"}), instrument=FUTURE, rolls=[4], rollover=False)
    assert (result.trades, result.rejected) == ([], 1)


def test_the_equity_at_the_open_of_a_roll_comes_first(run):
    rows = [*ROLLING[:3], (-60, 3, -70, -65, ""), *ROLLING[4:]]  # 1 contract of 10 from 100: 1600 lost of 1000
    result = run(rows, instrument=FUTURE, rolls=[4])
    (trade,) = result.trades
    check(trade, exit_reason="ruin", exit_price=-60.0, exit_time=at(3), switch=False)
    assert result.ruined


@pytest.mark.parametrize("roll_mode", ["prev_open", "prev_close"])
def test_a_roll_that_costs_all_there_is_ends_the_run(run, roll_mode):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 2, 2, ""), *[(2, 2, 2, 2, "")] * 2, (50, 50, 50, 50, ""), QUIET]
    near = {"instrument": FUTURE.model_copy(update={"initial_margin": 10.0}), "rolls": [4], "roll_mode": roll_mode}
    alive = run(rows, **near)
    assert [trade["exit_reason"] for trade in alive.trades] == ["roll", "end_of_data"]
    ended = run(rows, costs=Costs(slippage_ticks=4), **near)  # 101 to 1 of a contract of 10: all of 1000
    assert [trade["exit_reason"] for trade in ended.trades] == ["roll"]
    assert ended.ruined
    assert ended.equity[-1] == 0


def test_at_the_close_before_an_entry_may_be_held(run):
    (trade,) = run(with_signals(ROLLING, {0: "", 2: "L"}), instrument=FUTURE, rolls=[4], roll_mode="prev_close").trades[
        :1
    ]
    check(trade, entry_time=at(3), exit_reason="roll")


def test_levels_move_with_the_contract(run):
    # stop 100 - 10, target 100 + 20, moved by 153 - 102 = 51 to 141 and 171; bar 3 of the old contract touches neither
    levels = {"stop": percent(0.1), "take_profit": percent(0.2), "instrument": FUTURE, "rolls": [4]}
    stopped = run([*ROLLING[:5], (154, 154, 141, 142, ""), QUIET], **levels).trades[1]
    check(stopped, exit_reason="stop", exit_price=141.0)
    reached = run([*ROLLING[:5], (154, 171, 150, 151, ""), QUIET], **levels).trades[1]
    check(reached, exit_reason="take_profit", exit_price=171.0)


def test_the_trail_moves_with_the_contract(run):
    # best 103 in bars 1 and 2, moved by 51 to 154; 155 of bar 4 raises it to 155; trail 8 ticks = 2 below
    rows = [*ROLLING[:4], (154, 155, 153, 154, ""), (154, 154, 152, 153, ""), QUIET]
    rows[3] = (103, 300, 10, 103, "")
    first, second = run(rows, instrument=FUTURE, rolls=[4], trailing=ticks(20)).trades
    check(first, exit_reason="roll", exit_price=103.0)
    # shifted by 154 - 103 = 51: 154 - 5 = 149, after bar 4 155 - 5 = 150: not hit before the open of 100
    check(second, exit_reason="trailing_stop", exit_price=100.0, exit_time=at(6))
    tight = run(rows, instrument=FUTURE, rolls=[4], trailing=ticks(12)).trades[1]
    check(tight, exit_reason="trailing_stop", exit_price=152.0, exit_time=at(5))


def test_max_bars_counts_from_the_first_entry(run):
    rows = with_signals(ROLLING, {0: "L", 5: ""})
    first, second = run(rows, instrument=FUTURE, rolls=[4], max_bars=4).trades
    check(first, bars_held=2, exit_reason="roll")
    check(second, bars_held=1, exit_reason="max_bars", exit_time=at(5), exit_price=154.0)


def test_the_time_limit_reached_while_pending_closes(run):
    (trade,) = run(ROLLING, instrument=FUTURE, rolls=[4], max_bars=3).trades
    check(trade, exit_reason="roll", bars_held=2)


def test_two_rolls_in_a_row_keep_the_position_waiting(run):
    # left at 102 in bar 3; bar 4 rolls and is the bar before the roll of bar 5; entered at 154, levels moved by 52
    first, second = run(ROLLING, instrument=FUTURE, rolls=[4, 5], stop=ticks(40)).trades
    check(first, exit_time=at(3), exit_price=102.0)
    check(second, entry_time=at(5), entry_price=154.0)
    rows = with_signals(ROLLING, {0: "L", 3: "l"})
    (waiting_ended,) = run(rows, instrument=FUTURE, rolls=[4, 5]).trades
    check(waiting_ended, exit_time=at(3))


def test_two_rolls_in_a_row_with_prev_close_give_three_legs(run):
    legs = run(ROLLING, instrument=FUTURE, rolls=[4, 5], roll_mode="prev_close").trades
    assert [(leg["entry_price"], leg["exit_price"]) for leg in legs] == [(100, 103), (153, 154), (154, 156)]
    assert [leg["bars_held"] for leg in legs] == [3, 1, 1]


def test_a_short_rolls_too(run):
    rows = with_signals(ROLLING, {0: "S", 5: "s"})
    first, second = run(rows, instrument=FUTURE, rolls=[4], costs=Costs(slippage_ticks=1), stop=percent(0.3)).trades
    check(first, side=-1, entry_price=99.75, exit_price=102.25)
    check(second, side=-1, entry_price=152.75, exit_price=156.25, quantity=1.0)


# ---- 2. Open --------------------------------------------------------------------------------------------------


def test_a_queued_entry_fills_at_the_next_open(run):
    rows = [(100, 101, 99, 100, "L"), (102, 104, 101, 103, "l"), (105, 106, 104, 105, ""), QUIET]
    result = run(rows, size=Size("contracts", 2.0))
    (trade,) = result.trades
    check(trade, entry_time=at(1), exit_time=at(2), entry_price=102.0, exit_price=105.0, side=1, quantity=2.0)
    check(trade, exit_reason="exit", bars_held=1, gross_pnl=6.0, commission=0.0, financing=0.0, net_pnl=6.0)
    check(trade, switch=False)
    assert result.equity == [1000, 1002, 1006, 1006]


def test_a_reversal_closes_and_opens_at_the_same_price_and_pays_twice(run):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 100, 100, "S"), (110, 110, 110, 110, ""), (105, 105, 105, 105, "")]
    costs = Costs(commission_per_contract=1.0, slippage_ticks=2)
    result = run(rows, costs=costs)
    first, second = result.trades
    check(first, exit_reason="reversal", entry_price=101.0, exit_price=109.0, net_pnl=6.0, exit_time=at(2))
    check(second, side=-1, entry_price=109.0, exit_price=106.0, net_pnl=1.0, entry_time=at(2))
    assert result.equity[-1] == 1007


def test_a_reversal_is_sized_from_the_equity_after_the_exit(run):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 100, 100, "S"), (120, 120, 120, 120, ""), QUIET]
    first, second = run(rows, size=Size("fraction", 1.0)).trades
    check(first, quantity=10.0)
    check(second, quantity=10.0)  # 1200 / 120


@pytest.mark.parametrize("restriction", [{"sides": "long"}, {"cooldown": 1}])
def test_a_reversal_that_may_not_open_only_closes(run, restriction):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 100, 100, "S"), (110, 110, 110, 110, ""), QUIET]
    (trade,) = run(rows, **restriction).trades
    check(trade, exit_reason="reversal", exit_price=110.0, exit_time=at(2))


@pytest.mark.parametrize(
    ("size", "quantity"),
    [
        (Size("fraction", 1.0), 9.90),  # 1000 / (100 + 1)
        (Size("fraction", 0.5), 4.95),  # 500 / 101 = 4.9504
        (Size("notional", 250.0), 2.5),
        (Size("notional", 5000.0), 9.90),  # cut to 1000 / (100 + 1)
        (Size("contracts", 3.0), 3.0),
        (Size("contracts", 3.456), 3.45),  # whole lots of 0.01
        (Size("contracts", 10.0), None),  # more than 9.9: dropped
        (Size("risk", 0.02), 4.0),  # 20 / 5
        (Size("risk", 0.10), 9.90),  # 20 units, cut
        (Size("notional", 0.9), None),  # less than a lot
    ],
)
def test_the_size_in_whole_lots_that_can_be_paid(run, size, quantity):
    rows = [(100, 100, 100, 100, "L"), QUIET, QUIET]
    costs = Costs(commission_bps=50, commission_per_contract=0.5)
    result = run(rows, size=size, costs=costs, stop=percent(0.05))
    assert [t["quantity"] for t in result.trades] == ([] if quantity is None else [pytest.approx(quantity, rel=1e-12)])


@pytest.mark.parametrize(
    ("size", "quantity"),
    [
        (Size("fraction", 1.0), 5.0),  # 5000 / (100 * 10)
        (Size("fraction", 20.0), 50.0),  # 100, cut to 5000 / 100 of margin
        (Size("contracts", 50.0), 50.0),
        (Size("contracts", 51.0), None),
        (Size("risk", 0.1), 10.0),  # 500 / (5 * 10)
        (Size("notional", 2999.0), 2.0),
    ],
)
def test_a_future_is_held_on_margin(run, size, quantity):
    rows = [(100, 100, 100, 100, "S"), QUIET, QUIET]
    result = run(rows, size=size, instrument=FUTURE, cash=5000.0, stop=ticks(20))
    assert [t["quantity"] for t in result.trades] == ([] if quantity is None else [quantity])


def test_leverage_is_the_most_a_perpetual_can_hold(run):
    rows = [(100, 100, 100, 100, "L"), QUIET, QUIET]
    assert run(rows, size=Size("fraction", 4.0), instrument=PERPETUAL).trades[0]["quantity"] == pytest.approx(40)
    assert run(rows, size=Size("fraction", 40.0), instrument=PERPETUAL).trades[0]["quantity"] == pytest.approx(100)


def test_a_shortfall_of_a_billionth_of_a_lot_is_a_whole_lot(run):
    tenth = SPOT.model_copy(update={"lot": 0.1})
    rows = [(1, 1, 1, 1, "L"), (1, 1, 1, 1, ""), (1, 1, 1, 1, "")]
    # 0.3 / 0.1 is 2.9999999999999996 in floating point
    (trade,) = run(rows, instrument=tenth, size=Size("notional", 0.3)).trades
    check(trade, quantity=0.3)


def test_size_and_levels_come_from_the_slipped_price(run):
    # two ticks of slippage: bought at 110, so 1000 / 110 = 9.09; the stop 5 % below 110
    rows = [(100, 100, 100, 100, "L"), (109, 112, 106, 108, ""), (105, 106, 103, 104, ""), QUIET]
    (trade,) = run(rows, size=Size("fraction", 1.0), costs=Costs(slippage_ticks=2), stop=percent(0.05)).trades
    check(trade, entry_price=110.0, quantity=9.09, exit_price=104.5 - 1, exit_time=at(2))


def test_an_entry_at_a_price_of_zero_is_dropped(run):
    rows = [(0, 0, 0, 0, "L"), (0, 1, -1, 0, ""), (0, 1, -1, 0, "")]
    assert run(rows, instrument=FUTURE).trades == []


# ---- 3. Inside the bar ----------------------------------------------------------------------------------------

BOUGHT = [(100, 100, 100, 100, "L"), (100, 101, 99, 100, "")]
SOLD = [(100, 100, 100, 100, "S"), (100, 101, 99, 100, "")]


def test_a_stop_fills_at_its_level_and_pays_slippage(run):
    (trade,) = run([*BOUGHT, (100, 101, 94, 99, ""), QUIET], stop=ticks(10), costs=Costs(slippage_ticks=1)).trades
    # bought at 100.5, stop 95.5
    check(trade, exit_reason="stop", exit_price=95.0, exit_time=at(2), bars_held=2)


def test_a_gap_through_the_stop_fills_at_the_open(run):
    (long,) = run([*BOUGHT, (90, 101, 89, 99, ""), QUIET], stop=ticks(10), take_profit=ticks(1)).trades[:1]
    check(long, exit_reason="take_profit")  # in bar 1 already, at 100.5
    (long,) = run([*BOUGHT, (90, 101, 89, 99, ""), QUIET], stop=ticks(10)).trades
    check(long, exit_reason="stop", exit_price=90.0, bars_held=2)
    (short,) = run([*SOLD, (111, 112, 98, 99, ""), QUIET], stop=ticks(10)).trades
    check(short, exit_reason="stop", exit_price=111.0)


def test_a_price_that_just_touches_the_level_fills(run):
    (trade,) = run([*BOUGHT, (100, 101, 95, 99, ""), QUIET], stop=ticks(10)).trades
    check(trade, exit_reason="stop", exit_price=95.0)
    (trade,) = run([*BOUGHT, (100, 105, 99, 99, ""), QUIET], take_profit=ticks(10)).trades
    check(trade, exit_reason="take_profit", exit_price=105.0)


def test_the_stop_is_live_in_the_entry_bar(run):
    (trade,) = run([(100, 100, 100, 100, "L"), (100, 101, 94, 99, ""), QUIET], stop=ticks(10)).trades
    check(trade, exit_reason="stop", exit_price=95.0, entry_time=at(1), exit_time=at(1), bars_held=1)


def test_a_stop_closer_than_the_slippage_fills_at_once(run):
    rows = [(100, 100, 100, 100, "L"), (100, 101, 99, 100, ""), QUIET]
    (trade,) = run(rows, stop=ticks(1), costs=Costs(slippage_ticks=2)).trades
    # bought at 101, stop 100.5: the open is beyond it
    check(trade, entry_price=101.0, exit_price=99.0, exit_reason="stop", bars_held=1)


def test_a_target_pays_no_slippage_and_a_gap_fills_better(run):
    costs = Costs(slippage_ticks=1)
    (trade,) = run([*BOUGHT, (100, 106, 99, 99, ""), QUIET], take_profit=ticks(10), costs=costs).trades
    check(trade, exit_reason="take_profit", exit_price=105.5)
    (trade,) = run([*BOUGHT, (108, 109, 99, 99, ""), QUIET], take_profit=ticks(10), costs=costs).trades
    check(trade, exit_reason="take_profit", exit_price=108.0)
    (trade,) = run([*SOLD, (90, 109, 80, 99, ""), QUIET], take_profit=ticks(10), costs=costs).trades
    check(trade, exit_reason="take_profit", exit_price=90.0)


@pytest.mark.parametrize(
    ("entry", "close", "policy", "reason"),
    [
        ("L", 101, "pessimistic", "stop"),
        ("S", 101, "pessimistic", "stop"),
        ("L", 101, "ohlc_path", "stop"),  # open, low, high, close
        ("L", 100, "ohlc_path", "stop"),  # unchanged counts as up
        ("L", 99, "ohlc_path", "take_profit"),  # open, high, low, close
        ("S", 101, "ohlc_path", "take_profit"),
        ("S", 99, "ohlc_path", "stop"),
        ("L", 101, "replay", "stop"),  # no finer bars in it
    ],
)
def test_an_ambiguous_bar(run, entry, close, policy, reason):
    rows = [(100, 100, 100, 100, entry), (100, 101, 99, 100, ""), (100, 106, 94, close, ""), QUIET]
    finer = hand_feed([QUIET], hours=[0.0], bar_hours=0.25) if policy == "replay" else None
    result = run(rows, stop=ticks(10), take_profit=ticks(10), policy=policy, finer=finer)
    price = 95.0 if (reason == "stop") == (entry == "L") else 105.0
    check(result.trades[0], exit_reason=reason, exit_price=price, exit_time=at(2))
    assert result.ambiguous == 1


@pytest.mark.parametrize(
    ("quarters", "reason", "price"),
    [
        ([(100, 104, 99, 104), (104, 106, 103, 104), (104, 105, 94, 94), (94, 95, 94, 95)], "take_profit", 105.0),
        ([(100, 104, 94, 104), (104, 106, 103, 104)], "stop", 95.0),
        ([(100, 104, 99, 99), (94.5, 106, 94, 104)], "stop", 94.5),  # a gap between two quarters
        ([(100, 104, 99, 104), (105.5, 106, 94, 95)], "take_profit", 105.5),
        ([(100, 106, 94, 104), (104, 106, 103, 104)], "stop", 95.0),  # a quarter as ambiguous as the hour
        ([(100, 104, 96, 104)], "stop", 95.0),  # touches neither
    ],
)
def test_replay_walks_the_finer_bars(run, quarters, reason, price):
    rows = [(100, 100, 100, 100, "L"), (100, 101, 99, 100, ""), (100, 106, 94, 99, ""), QUIET]
    around = [(100, 200, 99, 100)]  # quarters of the hours before and after say nothing
    count = len(quarters)
    hours = [1.75, *(2 + k / 4 for k in range(count)), 3.0]
    finer = hand_feed([(*bar, "") for bar in around + quarters + around], hours=hours, bar_hours=0.25)
    result = run(rows, stop=ticks(10), take_profit=ticks(10), policy="replay", finer=finer)
    check(result.trades[0], exit_reason=reason, exit_price=price, exit_time=at(2))
    assert result.ambiguous == 1


def test_only_bars_that_open_between_and_touch_both_are_ambiguous(run):
    rows = [(100, 100, 100, 100, "L"), (100, 101, 99, 100, ""), (95, 106, 94, 99, ""), QUIET]
    result = run(rows, stop=ticks(10), take_profit=ticks(10))
    check(result.trades[0], exit_reason="stop")
    assert result.ambiguous == 0
    rows[2] = (105, 106, 94, 99, "")
    result = run(rows, stop=ticks(10), take_profit=ticks(10))
    check(result.trades[0], exit_reason="take_profit", exit_price=105.0)
    assert result.ambiguous == 0


def test_the_trail_runs_from_the_best_price_so_far(run):
    rows = [*BOUGHT, (103, 110, 102, 109, ""), (109, 109, 104, 106, ""), QUIET]
    (trade,) = run(rows, trailing=ticks(10), costs=Costs(slippage_ticks=1)).trades
    # 110 - 5, less a tick
    check(trade, exit_reason="trailing_stop", exit_price=104.5, exit_time=at(3))
    rows = [*SOLD, (97, 98, 90, 91, ""), (91, 96, 91, 92, ""), QUIET]
    check(run(rows, trailing=ticks(10)).trades[0], exit_reason="trailing_stop", exit_price=95.0)


def test_the_trail_is_not_raised_by_the_high_of_the_bar_it_is_hit_in(run):
    # high 110 would put the trail at 105; the low of the same bar, 98, is above 101 - 5
    rows = [*BOUGHT, (100, 110, 98, 104.5, ""), (104, 104, 104, 104, "")]
    (trade,) = run(rows, trailing=ticks(10)).trades
    check(trade, exit_reason="trailing_stop", exit_price=104.0, exit_time=at(3))
    (trade,) = run([*BOUGHT, (100, 110, 96, 106, ""), (106, 106, 106, 106, "")], trailing=ticks(10)).trades
    check(trade, exit_reason="trailing_stop", exit_price=96.0, exit_time=at(2))


def test_the_trail_starts_at_the_entry_price_in_the_entry_bar(run):
    rows = [(100, 100, 100, 100, "L"), (100, 120, 95, 118, ""), QUIET]
    (trade,) = run(rows, trailing=ticks(10)).trades
    check(trade, exit_reason="trailing_stop", exit_price=95.0, bars_held=1)


def test_a_percent_trail_is_taken_at_the_extreme(run):
    rows = [*BOUGHT, (103, 200, 102, 190, ""), (190, 190, 170, 175, ""), QUIET]
    (trade,) = run(rows, trailing=percent(0.1)).trades
    check(trade, exit_reason="trailing_stop", exit_price=180.0)


@pytest.mark.parametrize(
    ("stop", "trailing", "reason", "price"),
    [(4, 8, "stop", 98.0), (8, 4, "trailing_stop", 99.0), (4, 6, "stop", 98.0), (4, 4, "trailing_stop", 99.0)],
)
def test_of_several_adverse_levels_the_nearest_fires(run, stop, trailing, reason, price):
    # the best price is 101 in bar 1; equal levels (98 and 101 - 3) are the stop's
    (trade,) = run([*BOUGHT, (100, 101, 90, 95, ""), QUIET], stop=ticks(stop), trailing=ticks(trailing)).trades
    check(trade, exit_reason=reason, exit_price=price)


LIQUIDATED = PERPETUAL.model_copy(update={"maintenance_margin_rate": 0.05, "liquidation_fee_rate": 0.01})


def test_a_liquidation_fills_at_its_price_and_pays_its_fee(run):
    costs = Costs(slippage_ticks=2, commission_bps=10)
    (trade,) = run([*BOUGHT, (100, 101, 90, 95, ""), QUIET], instrument=LIQUIDATED, costs=costs).trades
    # bought at 101 with 10.1 of margin: (101 - 10.1) / 0.95
    price = 90.9 / 0.95
    check(trade, exit_reason="liquidation", exit_price=price)
    check(trade, commission=0.101 + 0.001 * price + 0.01 * price)
    (trade,) = run([*SOLD, (100, 106, 90, 95, ""), QUIET], instrument=LIQUIDATED).trades
    check(trade, exit_reason="liquidation", exit_price=110 / 1.05)


def test_a_liquidation_loses_no_more_than_the_margin(run):
    (long,) = run([*BOUGHT, (80, 85, 75, 85, ""), QUIET], instrument=LIQUIDATED).trades
    check(long, exit_reason="liquidation", exit_price=90.0, gross_pnl=-10.0)
    (short,) = run([*SOLD, (120, 125, 115, 118, ""), QUIET], instrument=LIQUIDATED).trades
    check(short, exit_reason="liquidation", exit_price=110.0)
    (between,) = run([*BOUGHT, (92, 95, 75, 85, ""), QUIET], instrument=LIQUIDATED).trades
    check(between, exit_price=92.0)


def test_a_stop_before_the_liquidation_price_fires_first(run):
    (trade,) = run([*BOUGHT, (100, 101, 90, 95, ""), QUIET], instrument=LIQUIDATED, stop=ticks(4)).trades
    check(trade, exit_reason="stop", exit_price=98.0)


def test_an_unleveraged_instrument_without_maintenance_is_never_liquidated(run):
    (trade,) = run([*BOUGHT, (100, 101, 1, 95, ""), QUIET], instrument=PERPETUAL).trades
    check(trade, exit_reason="end_of_data")


# ---- 4. Close -------------------------------------------------------------------------------------------------


def test_borrow_is_paid_by_shorts_for_the_time_that_passes(run):
    rows = [(100, 100, 100, 100, "S"), (100, 100, 100, 110, ""), (110, 110, 110, 120, "s"), (90, 90, 90, 90, "")]
    costs = Costs(borrow_rate=0.365)
    (trade,) = run(rows, costs=costs, hours=[0, 1, 24, 25], size=Size("contracts", 2.0)).trades
    # a day costs a thousandth: one hour at 110 and, the gap included, 23 hours at 120
    check(trade, financing=0.001 * 2 * (110 * 1 + 120 * 23) / 24, gross_pnl=20.0)
    check(trade, net_pnl=20 - trade["financing"])
    longs = [(*row[:4], row[4].upper().replace("S", "L")) for row in rows]
    assert run(longs, costs=costs).trades[0]["financing"] == 0
    future = run(rows, costs=costs, instrument=FUTURE).trades[0]
    check(future, financing=0.0)


def test_a_short_stopped_inside_a_bar_pays_no_borrow_for_it(run):
    rows = [(100, 100, 100, 100, "S"), (100, 120, 100, 110, ""), QUIET]
    (trade,) = run(rows, costs=Costs(borrow_rate=0.365), stop=ticks(10)).trades
    check(trade, financing=0.0, exit_reason="stop")


def test_funding_is_paid_by_the_position_held_at_the_close(run):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 100, 110, ""), (110, 110, 110, 120, "l"), (90, 90, 90, 90, "")]
    funding = [1.0, 0.001, -0.002, 1.0]
    result = run(rows, instrument=PERPETUAL, funding=funding)
    check(result.trades[0], financing=0.11 - 0.24, net_pnl=-10 + 0.13)
    assert result.equity == pytest.approx([1000, 1000 - 0.11 + 10, 1000 - 0.11 + 0.24 + 20, 990.13])
    shorts = [(*row[:4], {"L": "S", "l": "s", "": ""}[row[4]]) for row in rows]
    check(run(shorts, instrument=PERPETUAL, funding=funding).trades[0], financing=0.24 - 0.11)


def test_the_last_bar_pays_financing_and_closes_at_its_close(run):
    rows = [(100, 100, 100, 100, "L"), (100, 104, 98, 100, ""), (100, 110, 90, 105, "S")]
    result = run(rows, instrument=PERPETUAL, funding=[0, 0, 0.001], costs=Costs(slippage_ticks=1))
    (trade,) = result.trades
    check(trade, exit_reason="end_of_data", exit_price=104.5, exit_time=at(3), bars_held=2, financing=0.105)
    check(trade, mfe=100 * 9.5 / 100.5, mae=100 * -10.5 / 100.5)
    assert result.equity[-1] == pytest.approx(1000 + 4 - 0.105)


def test_what_is_queued_on_the_last_bar_but_one_still_fills(run):
    (trade,) = run([(100, 100, 100, 100, ""), (100, 100, 100, 100, "L"), (100, 101, 100, 101, "")]).trades
    check(trade, entry_time=at(2), exit_time=at(3), bars_held=1, gross_pnl=1.0)


def test_long_and_short_at_once_count_for_nothing(run):
    assert run([(100, 100, 100, 100, "LS"), QUIET, QUIET]).trades == []
    assert run([(100, 100, 100, 100, "LS"), QUIET, QUIET], sides="long").trades == []
    (held,) = run([(100, 100, 100, 100, "L"), (100, 100, 100, 100, "LS"), QUIET, QUIET]).trades
    check(held, exit_reason="end_of_data")
    (left,) = run([(100, 100, 100, 100, "L"), (100, 100, 100, 100, "LSl"), QUIET, QUIET]).trades
    check(left, exit_reason="exit", exit_time=at(2))


@pytest.mark.parametrize("signals", ["Ll", "Ss"])
def test_an_exit_beats_an_entry_of_the_same_side(run, signals):
    assert run([(100, 100, 100, 100, signals), QUIET, QUIET]).trades == []


def test_an_exit_beats_a_reversal_into_the_same_side(run):
    (trade,) = run([(100, 100, 100, 100, "L"), (100, 100, 100, 100, "Ss"), QUIET, QUIET]).trades
    check(trade, exit_reason="end_of_data", side=1)


def test_entries_at_once_cancel_each_other_before_an_exit_takes_one_away(run):
    assert run([(100, 100, 100, 100, "LSs"), QUIET, QUIET]).trades == []


def test_the_exit_of_the_other_side_does_not_matter_when_flat(run):
    assert len(run([(100, 100, 100, 100, "Ls"), QUIET, QUIET]).trades) == 1


def test_an_entry_of_the_side_held_is_ignored(run):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 100, 100, "L"), QUIET, QUIET]
    (trade,) = run(rows).trades
    check(trade, entry_time=at(1), exit_reason="end_of_data")
    (trade,) = run([*rows[:1], (100, 100, 100, 100, "Ll"), QUIET, QUIET]).trades
    check(trade, exit_reason="exit")


def test_a_reversal_beats_the_exit_of_the_side_held(run):
    first, second = run([(100, 100, 100, 100, "L"), (100, 100, 100, 100, "Sl"), QUIET, QUIET]).trades
    check(first, exit_reason="reversal")
    check(second, side=-1)


@pytest.mark.parametrize(("sides", "entry", "count"), [("long", "S", 0), ("short", "S", 1), ("short", "L", 0)])
def test_a_side_that_is_not_allowed_is_not_entered(run, sides, entry, count):
    assert len(run([(100, 100, 100, 100, entry), QUIET, QUIET], sides=sides).trades) == count


def test_max_bars(run):
    rows = [(100, 100, 100, 100, "L"), *[QUIET] * 5]
    (trade,) = run(rows, max_bars=2).trades
    check(trade, exit_reason="max_bars", entry_time=at(1), exit_time=at(3), bars_held=2)
    rows[2] = (100, 100, 100, 100, "l")
    check(run(rows, max_bars=2).trades[0], exit_reason="exit", exit_time=at(3))
    rows[2] = (100, 100, 100, 100, "S")
    check(run(rows, max_bars=2).trades[0], exit_reason="reversal", exit_time=at(3))


def test_cooldown_counts_from_the_bar_of_the_exit(run):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 90, 100, "L"), *[(100, 100, 100, 100, "L")] * 5]
    # stopped in bar 1, 5 below 100; no more stops after it
    assert [t["entry_time"] for t in run(rows, stop=ticks(20)).trades] == [at(1), at(2)]
    assert [t["entry_time"] for t in run(rows, stop=ticks(20), cooldown=1).trades] == [at(1), at(3)]
    assert [t["entry_time"] for t in run(rows, stop=ticks(20), cooldown=3).trades] == [at(1), at(5)]


@pytest.mark.parametrize(
    ("options", "first_entry"),
    [
        ({"warmup_bars": 3}, 4),  # bar 3 has three bars before it
        ({"warmups": {signal("s"): 2}}, 3),
        ({"warmups": {signal("s"): 2}, "warmup_bars": 1, "start": 3}, 4),
    ],
)
def test_rules_wait_for_the_warm_up(run, options, first_entry):
    rows = [(100, 100, 100, 100, "L")] * 7
    assert run(rows, **options).trades[0]["entry_time"] == at(first_entry)


X = FeatureRef("x", (), "real", "1h")
Y = FeatureRef("y", (), "real", "1h")
NAN = math.nan


@pytest.mark.parametrize(
    ("rule", "true_at"),
    [
        (Compare(X, ">", Y), {3, 5}),
        (Compare(X, ">=", Y), {2, 3, 4, 5}),
        (Compare(X, "<", Y), {1, 6}),
        (Compare(X, "<=", 2.0), {1, 2, 4}),
        (Compare(X, "crosses_above", Y), {3, 5}),
        (Compare(X, "crosses_below", Y), {6}),
        (Compare(X, "crosses_above", 2.0), {3, 5}),
        (Trend(X, "rising", 2), {3, 6}),
        (Trend(X, "falling", 1), {4}),
        (Group(2, (Compare(X, ">", Y), Compare(X, ">", 1.5), Compare(Y, ">", 3.5))), {3, 5, 6}),
        (Group(1, (Compare(X, "<", Y), Group(2, (Compare(X, ">", Y), Compare(X, ">", 3.5))))), {1, 5, 6}),
    ],
)
def test_rules(run, rule, true_at):
    columns = {
        X: [NAN, 1, 2, 3, 2, 4, 5],
        Y: [2, 2, 2, 2, 2, 3, 6],
        X.streak(): [NAN, NAN, 1, 2, -1, 1, 2],
    }
    rows = [(100 + k, 100 + k, 100 + k, 100 + k, "") for k in range(8)]
    padded = {reference: [*values, NAN] for reference, values in columns.items()}
    entry = rule if isinstance(rule, Group) else Group(1, (rule,))
    result = run(rows, columns=padded, entry_long=entry, entry_short=None, exit_long=None, exit_short=None, max_bars=1)
    # held for one bar at a time, so that only the first of two true bars in a row is seen as an entry
    seen, free_at = set(), 0
    for k in sorted(true_at):
        if k >= free_at:
            seen.add(k)
            free_at = k + 2
    assert {(t["entry_time"] - T0) // HOUR - 1 for t in result.trades} == seen


# ---- Ruin -----------------------------------------------------------------------------------------------------


def test_ruin_at_an_open(run):
    # 10 contracts of multiplier 10 on 1000 of margin: a fall of 10 takes everything
    rows = [(100, 100, 100, 100, "L"), (100, 100, 95, 95, "S"), (90, 95, 80, 95, ""), (95, 99, 95, 99, "L"), QUIET]
    result = run(rows, instrument=FUTURE, size=Size("contracts", 10.0), costs=Costs(slippage_ticks=1))
    (trade,) = result.trades
    # bought at 100.25, sold at 89.75
    check(trade, exit_reason="ruin", exit_price=89.75, exit_time=at(2), bars_held=1)
    assert result.equity == [1000, 475, -50, -50, -50]
    assert result.ruined


def test_nothing_left_at_an_open_is_ruin(run):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 95, 95, ""), (90, 95, 90, 95, ""), QUIET]
    result = run(rows, instrument=FUTURE, size=Size("contracts", 10.0))
    check(result.trades[0], exit_reason="ruin", exit_price=90.0, exit_time=at(2))
    assert result.equity == [1000, 500, 0, 0]


def test_ruin_at_a_close(run):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 85, 90, "S"), (100, 110, 100, 110, ""), QUIET]
    result = run(rows, instrument=FUTURE, size=Size("contracts", 10.0))
    (trade,) = result.trades
    check(trade, exit_reason="ruin", exit_price=90.0, exit_time=at(2), bars_held=1, mae=-15.0)
    assert result.equity == [1000, 0, 0, 0]
    assert result.ruined


def test_financing_can_ruin_at_a_close(run):
    rows = [(100, 100, 100, 100, "S"), *[QUIET] * 5]
    hours = [0, 1, 2, 500, 600, 700]
    # 500 hours of 40 times 900 a year
    result = run(rows, hours=hours, costs=Costs(borrow_rate=40.0), size=Size("contracts", 9.0))
    check(result.trades[0], exit_reason="ruin", exit_time=at(501), bars_held=3, financing=900 * 40 * 500 / 8760)
    assert result.equity[3:] == pytest.approx([1000 - 900 * 40 * 500 / 8760] * 3)
    assert result.ruined


def test_isolated_margin_is_not_ruined_at_an_open_but_liquidated(run):
    # all of 1000 is margin for 100 units; the gap of 20 would cost 2000, liquidation costs 1000
    rows = [(100, 100, 100, 100, "L"), (100, 100, 99, 100, ""), (80, 85, 75, 85, ""), QUIET]
    result = run(rows, instrument=LIQUIDATED, size=Size("fraction", 10.0))
    (trade,) = result.trades
    check(trade, exit_reason="liquidation", exit_price=90.0, bars_held=2)
    assert result.equity == pytest.approx([1000, 1000, -90, -90])  # the fee: 1 % of 9000
    assert result.ruined


def test_a_stop_that_leaves_nothing_ruins_at_the_close(run):
    rows = [(100, 100, 100, 100, "L"), (100, 100, 85, 99, "S"), (100, 110, 100, 110, ""), QUIET]
    result = run(rows, instrument=FUTURE, size=Size("contracts", 10.0), stop=ticks(40))
    (trade,) = result.trades
    check(trade, exit_reason="stop", exit_price=90.0, bars_held=1, mae=-10.0)
    assert result.equity == [1000, 0, 0, 0]
    assert result.ruined


# ---- What a trade records -------------------------------------------------------------------------------------


def test_excursions_take_whole_bars_before_the_exit_bar_and_the_exit_price(run):
    rows = [(100, 100, 100, 100, "L"), (100, 108, 97, 100, ""), (100, 104, 80, 100, ""), QUIET]
    (trade,) = run(rows, stop=ticks(10)).trades
    check(trade, mae=-5.0, mfe=8.0, exit_time=at(2))
    shorts = [(100, 100, 100, 100, "S"), (100, 103, 91, 100, "s"), (120, 150, 50, 100, ""), QUIET]
    (trade,) = run(shorts).trades
    check(trade, mae=-20.0, mfe=9.0, gross_pnl=-20.0)


def test_excursions_are_never_on_the_wrong_side_of_zero(run):
    rows = [(100, 100, 100, 100, "L"), (100, 103, 101, 103, "l"), (104, 104, 104, 104, ""), QUIET]
    (trade,) = run(rows).trades
    check(trade, mae=0.0, mfe=4.0)


def test_the_trades_add_up_to_the_equity(run):
    signals = ["L", "", "S", "", "l", "s", "L", "Sl", "", "L", "", ""]
    prices = [100 + 7 * math.sin(k) for k in range(len(signals))]
    rows = [(p, p + 2, p - 2, p + 1, signals[k]) for k, p in enumerate(prices)]
    costs = Costs(commission_bps=12, slippage_bps=3, borrow_rate=0.1)
    result = run(rows, costs=costs, size=Size("fraction", 0.8), trailing=percent(0.04))
    assert len(result.trades) > 3
    assert sum(t["net_pnl"] for t in result.trades) == pytest.approx(result.equity[-1] - 1000, abs=1e-9)
