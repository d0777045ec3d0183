"""Transforms in a Play's file: read, written, described, hashed, mirrored, and refused where they make no sense."""

import pytest

from forge_core.evolution.search.mirror import mirror_rule
from forge_core.features.registry import make_reference
from forge_core.plays.canonical import play_hash
from forge_core.plays.describe import describe_column
from forge_core.plays.model import Compare, Trend
from forge_core.plays.parser import parse_play, play_to_dict, play_to_yaml
from tests.plays.example import TEXT, change, refusal

ATR = "  atr: {indicator: atr}\n"


def with_feature(text: str, rule: str = "x > 1") -> str:
    return change(ATR, f"{ATR}  x: {text}\n").replace("long: fast > slow", f"long: {rule}")


def test_transforms_are_read_written_and_described():
    play = parse_play(with_feature("{indicator: rsi, transform: {zscore: 100}, timeframe: 1h}"))
    reference = make_reference("rsi", {}, timeframe="1h", transform="zscore:100")
    assert play.features["x"] == reference
    assert parse_play(play_to_yaml(play)) == play
    assert play_to_dict(play)["features"]["x"]["transform"] == {"zscore": 100}
    assert describe_column(reference, "15m") == "zscore(rsi(14)@1h, 100)"
    assert reference.canonical == "zscore:100[rsi.real(timeperiod=14)@1h]"
    far = parse_play(with_feature("{indicator: bbands, output: upperband, transform: distance}", "x.lowerband < -2"))
    assert parse_play(play_to_yaml(far)) == far
    assert far.entry_long.rules[0].left.transform == "distance"
    assert far.entry_long.rules[0].left.output == "lowerband"


def test_an_unnamed_transformed_column_gets_a_name():
    play = parse_play(with_feature("{price: close, transform: {lag: 5}}", "[x < close, x rising 2]"))
    unnamed = parse_play(play_to_yaml(play.__class__(**{**vars_of(play), "features": {}})))
    assert play_hash(unnamed) == play_hash(play)
    assert "close_lag_5" in unnamed.features


def vars_of(play) -> dict:
    return {name: getattr(play, name) for name in play.__dataclass_fields__}


def test_columns_on_unlike_scales_become_comparable():
    volume = "{price: volume, transform: {zscore: 50}}"
    text = with_feature(volume, "x > y").replace("  x:", "  y: {indicator: rsi, transform: {zscore: 20}}\n  x:")
    assert len({play_hash(parse_play(text)), play_hash(parse_play(text.replace("50", "51")))}) == 2
    assert "is a z-score" in refusal(with_feature(volume, "x > rsi"))


@pytest.mark.parametrize(
    ("feature", "why"),
    [
        ("{indicator: rsi, transform: distance}", "it takes a price"),
        ("{indicator: rsi, transform: {zscor: 20}}", "did you mean 'zscore'?"),
        ("{indicator: rsi, transform: zscore}", "zscore needs a window: write {zscore: 20}"),
        ("{price: close, transform: {distance: 3}}", "distance takes no window"),
        ("{indicator: rsi, transform: {zscore: 20, lag: 3}}", "one transform is expected"),
        ("{indicator: rsi, transform: {zscore: 1}}", "greater than or equal to 2"),
        ("{indicator: rsi, transform: {lag: 1.5}}", "lag"),
    ],
)
def test_transforms_that_mean_nothing_are_refused(feature, why):
    assert why in refusal(with_feature(feature))


def test_bounds_of_a_rank_are_known():
    message = refusal(with_feature("{indicator: atr, transform: {percentile_rank: 50}}", "x > 100"))
    assert "never true: percentile_rank(atr(14), 50) lies between 0 and 100" in message


def column(name, transform, output=None):
    return make_reference(name, {}, output=output, timeframe="1h", transform=transform)


RANK = column("sma", "percentile_rank:9")


@pytest.mark.parametrize(
    ("rule", "image"),
    [
        (Compare(column("rsi", "zscore:20"), ">", 2.0), Compare(column("rsi", "zscore:20"), "<", -2.0)),
        (Compare(column("ema", "distance"), "<", -3.0), Compare(column("ema", "distance"), ">", 3.0)),
        (
            Compare(column("ema", "percentile_rank:9"), ">", 90.0),
            Compare(column("ema", "percentile_rank:9"), "<", 10.0),
        ),
        (Compare(column("atr", "zscore:20"), ">", 2.0), Compare(column("atr", "zscore:20"), ">", 2.0)),
        (Compare(column("hour", ""), ">", 9.5), Compare(column("hour", ""), ">", 9.5)),
        (Trend(column("volume", "slope:5"), "rising", 2), Trend(column("volume", "slope:5"), "rising", 2)),
        (
            Compare(column("bbands", "lag:3", "upperband"), "<", column("ema", "lag:3")),
            Compare(column("bbands", "lag:3", "lowerband"), ">", column("ema", "lag:3")),
        ),
    ],
)
def test_mirror_images_of_transformed_columns(rule, image):
    assert mirror_rule(rule) == image
    assert mirror_rule(image) == rule


def test_the_text_of_the_example_is_sound():
    assert parse_play(TEXT).name == "example"
