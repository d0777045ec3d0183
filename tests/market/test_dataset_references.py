"""Other symbols of a dataset: declared, cut over the same period, pinned by its hash, and read by the bank."""

import numpy as np
import pandas as pd
import pytest

from forge_core.engine.backtest import backtest
from forge_core.errors import ConfigError, DataError, PlayError
from forge_core.evidence.markets.market import Market
from forge_core.evidence.markets.mirrored import mirrored_markets
from forge_core.features.registry import make_reference
from forge_core.feeds.build import open_feed
from forge_core.files import write_table
from forge_core.market.datasets.build import build_dataset, open_version
from forge_core.market.datasets.versions import bars_table, follows
from forge_core.market.reference.catalog import DatasetSpec, load_catalog
from forge_core.market.store.bar_store import BarStore
from tests.market.bar_tables import same_bars, walk

COLUMNS = [
    make_reference("ema", {"timeperiod": 5}, timeframe="1h", symbol="BTCUSDT"),
    make_reference("rsi", {"timeperiod": 3}, timeframe="1d", symbol="BTCUSDT", transform="zscore:5"),
    make_reference("sma", {"timeperiod": 3}, timeframe="12h", symbol="BTCUSDT"),  # resampled by the bank
    make_reference("relative", {}, timeframe="4h", symbol="BTCUSDT"),
]
PLAY = """
name: filtered
timeframe: 1h
features:
  other: {indicator: rsi, timeperiod: 5, symbol: BTCUSDT}
  ratio: {relative: {to: BTCUSDT}, transform: {zscore: 50}}
entry: {long: [other > 50, ratio < 0]}
exit: {long: other < 40}
"""


def spec_of(references, symbol="ETHUSDT", **changes):
    fields = {"start": "2024-02-01", "end": "2024-03-01", "timeframes": ["1h", "4h", "1d"], "regime": "bull"}
    return DatasetSpec(name="HERE", symbol=symbol, references=references, **{**fields, **changes})


@pytest.fixture
def store(home):
    with BarStore(home.store) as store:
        own, other = walk(2_400, "1h"), walk(2_400, "1h")
        store.upsert("ETHUSDT", "1h", own, source="walk")
        shifted = other.assign(**{name: 7.0 * other[name] ** 1.5 for name in ("open", "high", "low", "close")})
        store.upsert("BTCUSDT", "1h", shifted.drop(shifted.index[900:950]), source="walk")
        yield store


def test_the_bars_of_references_are_cut_over_the_same_period(store, home):
    version = build_dataset(spec_of({"BTCUSDT": {"max_age": 5}}), store, home)
    alone = build_dataset(spec_of({}, symbol="BTCUSDT"), store, home)
    assert version.references == {"BTCUSDT": 5}
    for label in ("1h", "4h", "1d"):
        same_bars(version.reference_bars("BTCUSDT", label), alone.bars(label))
    with pytest.raises(DataError, match="has no 1h bars of SOLUSDT; add it to its references"):
        version.reference_bars("SOLUSDT", "1h")


def test_a_dataset_without_references_has_the_hash_it_had(store, home):
    plain = build_dataset(spec_of({}), store, home)
    assert "references" not in plain.manifest
    assert plain.references == {}


def test_the_hash_covers_the_bars_and_the_age_of_references(store, home):
    specs = [spec_of({}), spec_of(["BTCUSDT"]), spec_of({"BTCUSDT": {"max_age": 4}})]
    versions = [build_dataset(spec, store, home) for spec in specs]
    store.upsert("BTCUSDT", "1h", store.read("ETHUSDT", "1h").iloc[900:950], source="walk")  # the bars it lacked
    hashes = [version.content_hash for version in (*versions, build_dataset(specs[1], store, home))]
    assert len(set(hashes)) == 4
    for number, version in enumerate(versions):
        assert [follows(version.manifest, spec) for spec in specs] == [k == number for k in range(3)]


def test_a_damaged_reference_is_noticed(store, home):
    version = build_dataset(spec_of(["BTCUSDT"]), store, home)
    path = version.path / "BTCUSDT-1h.parquet"
    bars = version.reference_bars("BTCUSDT", "1h")
    write_table(path, bars_table(bars.assign(close=bars["close"] + 1.0)))
    with pytest.raises(DataError, match="does not hold the bars it was written with"):
        version.reference_bars("BTCUSDT", "1h")
    path.unlink()
    with pytest.raises(DataError, match=r"BTCUSDT-1h\.parquet is missing or damaged"):
        open_version("HERE", version.content_hash, home)


def test_the_bank_gives_what_columns_in_memory_give(store, home):
    version = build_dataset(spec_of(["BTCUSDT"]), store, home)
    stored, again = (open_feed(version, timeframe="1h", home=home).columns for _ in range(2))
    memory = Market.of(version, "1h").feed().columns
    for reference in COLUMNS:
        values = stored.column(reference)
        np.testing.assert_array_equal(values, memory.column(reference))
        np.testing.assert_array_equal(values, again.column(reference))
        assert stored.warmup(reference) == memory.warmup(reference)
        assert np.isnan(values[900:950]).any() == (reference.timeframe != "1d")


def test_a_play_on_a_dataset_with_its_references(store, home):
    version = build_dataset(spec_of(["BTCUSDT"]), store, home)
    feed = open_feed(version, timeframe="1h", home=home)
    result = backtest(PLAY, feed)
    assert len(result.trades) > 3
    assert backtest(PLAY, Market.of(version, "1h").feed()).trades.equals(result.trades)
    without = open_feed(build_dataset(spec_of({}), store, home), timeframe="1h", home=home)
    with pytest.raises(PlayError, match="no bars of BTCUSDT"):
        backtest(PLAY, without)


def test_mirrored_markets_turn_references_by_the_same_coins(store, home):
    real = Market.of(build_dataset(spec_of(["BTCUSDT"]), store, home), "1h")
    image = mirrored_markets({"a": real}, np.random.default_rng(1))["a"]
    other, real_other = image.references["BTCUSDT"], real.references["BTCUSDT"]

    def turned(mirror, market):
        changes = [np.diff(np.log(bars["close"])) for bars in (mirror.bars, market.bars)]
        return pd.Series(changes[0] * changes[1] < 0, market.bars.index[1:])

    both = pd.concat([turned(image, real), turned(other, real_other)], axis=1, keys=["own", "other"]).dropna()
    assert 0.3 < both["own"].mean() < 0.7
    assert (both["own"] == both["other"]).mean() > 0.9  # but where the mean step outweighs the move
    end = other.higher["4h"]["close"].iloc[-1]
    assert end == other.bars["close"].iloc[-1]
    backtest(PLAY, image.feed())
    window = real.window(int(real.days[3]), int(real.days[9]))
    assert window.references["BTCUSDT"].bars.index[-1] <= window.bars.index[-1]


def test_a_mirrored_market_without_references_is_the_one_it_was(store, home):
    real = Market.of(build_dataset(spec_of({}), store, home), "1h")
    one, two = (mirrored_markets({"a": real}, np.random.default_rng(1))["a"].bars for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize(
    ("references", "why"),
    [
        ("[ETHUSDT]", "the dataset's own symbol"),
        ("[BTCUSDT, BTCUSDT]", "a symbol is listed twice"),
        ("[BTCUSDTX]", "unknown symbol 'BTCUSDTX'"),
        ("[ES]", "ES is a dated future"),
        ("{BTCUSDT: {max_age: -1}}", "max_age"),
    ],
)
def test_references_that_cannot_be_are_refused(tmp_path, references, why):
    path = tmp_path / "catalog.yaml"
    path.write_text(
        "datasets:\n  HERE: {symbol: ETHUSDT, start: 2024-01-01, end: 2024-02-01, timeframes: [1h], regime: bull, "
        f"references: {references}}}\n"
    )
    with pytest.raises(ConfigError, match=why):
        load_catalog(path)


def test_references_that_do_not_cover_the_period_are_refused(store, home):
    with pytest.raises(DataError, match="needs SOLUSDT 1h bars"):
        build_dataset(spec_of(["SOLUSDT"]), store, home)
