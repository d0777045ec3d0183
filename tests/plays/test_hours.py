"""``when`` and ``flat_by`` in a Play's file: read, written, described, hashed, and refused where they make no sense."""

from dataclasses import replace

import pytest

from forge_core.plays.canonical import canonical_play, play_hash
from forge_core.plays.describe import describe_play
from forge_core.plays.model import Compare, When
from forge_core.plays.parser import parse_play, play_to_dict, play_to_yaml
from forge_core.plays.validation import check_play
from tests.plays.example import TEXT, refusal
from tests.plays.test_validation import CLOSE, EMA, built, complaint

HOURS = """\
when: {from: "13:30", to: "20:00", timezone: America/New_York, weekdays: [tue, mon]}
flat_by: "20:55"
"""


def test_hours_are_read_written_and_described():
    play = parse_play(TEXT + HOURS)
    assert play.when == When(13 * 60 + 30, 20 * 60, "America/New_York", (0, 1))
    assert play.flat_by == 20 * 60 + 55
    assert parse_play(play_to_yaml(play)) == play
    assert play_to_dict(play)["when"] == {
        "from": "13:30", "to": "20:00", "timezone": "America/New_York", "weekdays": ["mon", "tue"],
    }  # fmt: skip
    shown = "; entries 13:30-20:00 America/New_York mon tue; flat by 20:55 America/New_York; stop 2.5 ATR"
    assert shown in describe_play(play)


def test_a_play_without_hours_has_the_hash_it_had():
    assert canonical_play(parse_play(TEXT)).keys() == {
        "timeframe", "entry", "exit", "sides", "size", "levels", "bars",
    }  # fmt: skip


def test_plays_of_the_same_hours_have_one_hash_and_of_others_another():
    play = parse_play(TEXT + HOURS)
    every_day = parse_play(TEXT + "when: {from: '10:00', weekdays: [mon, tue, wed, thu, fri, sat, sun]}\n")
    assert play_hash(every_day) == play_hash(parse_play(TEXT + "when: {from: '10:00', to: '24:00'}\n"))
    others = [
        replace(play, flat_by=None),
        replace(play, flat_by=1),
        replace(play, when=None),
        replace(play, when=replace(play.when, timezone=None)),
        replace(play, when=replace(play.when, weekdays=(0,))),
        replace(play, when=replace(play.when, start=1)),
        play,
    ]
    assert len({play_hash(each) for each in others}) == len(others)


def test_flat_by_is_a_way_out():
    text = "name: x\ntimeframe: 1h\nentry: {long: close > open}\n"
    assert "no exit" in refusal(text)
    assert parse_play(text + 'flat_by: "20:00"\n').flat_by == 1200


@pytest.mark.parametrize(
    ("hours", "why"),
    [
        ("when: {from: 13:30}", '19: when.from: a time of day in quotes is expected, such as "13:30"'),
        ("flat_by: 20:55", 'a time of day in quotes is expected, such as "13:30"'),
        ("when: {to: '25:00'}", "when.to"),
        ("flat_by: '24:00'", "flat_by"),
        ("when: {from: '10:00', to: '10:00'}", "from and to are both 10:00"),
        ("when: {timezone: America/New_Yrok, from: '10:00'}", "not a time zone (did you mean 'America/New_York'?)"),
        ("when: {weekdays: [mon, mon]}", "a weekday is listed twice"),
        ("when: {weekdays: [monday]}", "weekdays"),
        ("when: {weekdays: []}", "weekdays"),
        ("when: {}", "it excludes no close"),
        ("when: {timezone: UTC}", "it excludes no close"),
        ("when: {form: '10:00'}", "'from'"),
    ],
)
def test_hours_that_mean_nothing_are_refused(hours, why):
    assert why in refusal(TEXT + hours + "\n")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"when": When(0, 2000)}, "when"),
        ({"when": When(weekdays=(1, 0))}, "not in its simplest form"),
        ({"when": When(weekdays=(7,))}, "when"),
        ({"when": When(600, 1200), "timeframe": "1d"}, "bars of 1d all close at one time of day"),
        ({"flat_by": 1440}, "flat_by: 1440 minutes after 00:00; 0 to 1439 are allowed"),
        ({"flat_by": 600, "timeframe": "1d"}, "flat_by: it needs bars shorter than a day; the Play trades 1d"),
    ],
)
def test_built_hours_are_checked_like_written_ones(changes, why):
    rule = Compare(CLOSE, ">", 3.0) if "timeframe" not in changes else Compare(daily(CLOSE), ">", 3.0)
    assert why in complaint(built(rule, **changes))


def daily(column):
    return replace(column, timeframe="1d")


def test_weekdays_of_daily_bars_are_allowed():
    check_play(built(Compare(daily(CLOSE), ">", 3.0), timeframe="1d", when=When(weekdays=(4,))))
    check_play(built(Compare(CLOSE, ">", EMA), when=When(timezone="UTC"), flat_by=0))


def test_a_calendar_feature_is_read_and_its_bounds_are_known():
    text = TEXT.replace("  atr: {indicator: atr}\n", "  atr: {indicator: atr}\n  hour: {calendar: hour}\n")
    play = parse_play(text.replace("long: fast > slow", "long: hour > 9.5"))
    assert parse_play(play_to_yaml(play)) == play
    assert "never true: hour lies between 0 and 24" in refusal(text.replace("long: fast > slow", "long: hour > 24"))
    assert "write calendar: hour" in refusal(text.replace("{calendar: hour}", "{indicator: hour}"))
