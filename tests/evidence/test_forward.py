"""Champion on bars after everything its study saw."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.engine.backtest import backtest
from forge_core.evidence.following import champion_forward
from forge_core.evidence.following.champion_forward import DAYS, follow_champion, forward_folder, read_forward
from forge_core.evidence.following.cone import expected_cone
from forge_core.evidence.following.document import Expected, Forward
from forge_core.evidence.following.forward_bars import forward_markets, seen_until
from forge_core.evidence.following.promise import Promise, promise_of
from forge_core.evidence.following.text import forward_lines, forward_picture
from forge_core.evidence.searches.holdout import holdout_days
from forge_core.evidence.searches.subject import Subject
from forge_core.feeds.build import feed_from_bars
from forge_core.files import read_table
from forge_core.market.datasets.build import ensure_dataset
from forge_core.market.datasets.versions import DatasetVersion
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home

STUDY = "two"


@pytest.fixture
def copied(proved_home: Home, tmp_path: Path) -> Home:
    """A copy of the home with the complete study ``two``, whose bars can be deleted."""
    shutil.copytree(proved_home.root, tmp_path / "home")
    home = Home(tmp_path / "home")
    shutil.rmtree(forward_folder(STUDY, home), ignore_errors=True)
    shutil.rmtree(home.ledger / "forward", ignore_errors=True)
    shutil.rmtree(home.study(STUDY) / "evidence", ignore_errors=True)
    return home


def forget(home: Home, after: str) -> None:
    """Delete the bars from ``after`` on."""
    with BarStore(home.store) as store:
        store.connection.execute("DELETE FROM bars WHERE timestamp >= ?", [pd.Timestamp(after, tz="UTC")])


def days(home: Home) -> pd.DataFrame:
    return read_table(forward_folder(STUDY, home) / DAYS).to_pandas()


def test_the_fixed_champion_trades_the_days_after_everything_its_study_saw(copied: Home) -> None:
    subject = Subject.of(STUDY, copied)
    end = seen_until(subject)
    assert end == pd.Timestamp("2015-01-01", tz="UTC")  # of SP500_BULL_2013, the latest of its three datasets
    found = follow_champion(STUDY, copied)
    with BarStore(copied.store) as store:
        bars = store.read("SP500", "1d")
    instrument = subject.markets[subject.spec.train[0]].instrument
    feed = feed_from_bars(bars, instrument=instrument, timeframe="1d", start=int(bars.index.searchsorted(end)))
    run = backtest(subject.play, feed, **subject.spec.terms)
    table = days(copied)
    np.testing.assert_allclose(table["return"], run.daily_returns.to_numpy()[:-1], atol=1e-12)
    assert str(found.first) == str(bars.index[feed.start].date())
    assert found.days == len(bars) - feed.start - 1  # the last day may change yet
    assert found.total_return == pytest.approx((1.0 + table["return"]).prod() - 1.0)
    assert found.evaluation == 1


def test_days_stay_as_they_are_when_bars_are_added(copied: Home, tmp_path: Path) -> None:
    later = Home(tmp_path / "later")
    shutil.copytree(copied.root, later.root)
    forget(copied, "2018-06-01")
    first, second = follow_champion(STUDY, copied), follow_champion(STUDY, later)
    assert 100 < first.days < second.days
    pd.testing.assert_frame_equal(days(copied), days(later).iloc[: first.days])


def test_references_of_the_train_dataset_come_along(copied: Home, monkeypatch) -> None:
    monkeypatch.setattr(DatasetVersion, "references", {"NASDAQ": 7})
    subject = Subject.of(STUDY, copied)
    ensure_dataset("NASDAQ_FULL_CYCLE", copied)  # brings the bars
    with BarStore(copied.store) as store:
        (market,) = forward_markets(subject, store, copied).values()
    assert market.max_ages == {"NASDAQ": 7}
    assert market.references["NASDAQ"].bars.index[-1] == market.bars.index[-1]


def test_it_counts_as_an_evaluation_of_its_own_kind(copied: Home, tmp_path: Path) -> None:
    holdouts = sorted((copied.ledger / "holdout").rglob("*.json"))
    whole = tmp_path / "whole"
    shutil.copy(copied.store, whole)
    forget(copied, "2018-06-01")
    assert [follow_champion(STUDY, copied).evaluation for _ in range(2)] == [1, 1]
    shutil.copy(whole, copied.store)
    assert follow_champion(STUDY, copied).evaluation == 2
    assert sorted((copied.ledger / "holdout").rglob("*.json")) == holdouts


def test_without_new_bars_it_waits(copied: Home) -> None:
    after = seen_until(Subject.of(STUDY, copied))
    forget(copied, str(after.date()))
    found = follow_champion(STUDY, copied)
    assert (found.state, found.days, found.evaluation) == ("waiting", 0, 0)
    assert f"no whole trade date of SP500 after {after.date()}" in found.sentence
    assert forward_picture(found, copied) is None
    assert read_forward(STUDY, copied) == found


def test_the_promise_is_the_holdout_until_there_is_a_walk_forward(copied: Home, proved_home: Home) -> None:
    subject = Subject.of(STUDY, copied)
    held, found = holdout_days(subject), promise_of(subject)
    assert held is not None
    assert found is not None
    assert (found.source, found.sharpe) == ("holdout", held.sharpe)
    assert promise_of(Subject.of("one", copied)) is None


@pytest.mark.parametrize(
    ("mean", "state"), [(0.02, "dead"), (0.0005, "open"), (-0.001, "no promise"), (None, "no promise")]
)
def test_what_the_days_say_depends_on_the_promise(copied: Home, monkeypatch, mean: float | None, state: str) -> None:
    noise = 0.01 * np.random.default_rng(1).standard_normal(500)
    returns = None if mean is None else noise - noise.mean() + mean
    made = None if returns is None else Promise("holdout", returns, mean / 0.01 * np.sqrt(252))
    monkeypatch.setattr(champion_forward, "promise_of", lambda _: made)
    found = follow_champion(STUDY, copied)
    assert found.state == state
    assert (found.decided_on is not None) == (state == "dead")
    assert found.sentence.lower().startswith(state)
    assert (found.expected is None) == (mean is None)
    if mean == 0.02:
        assert not found.behaves
        assert "below the cone" in found.sentence
    assert forward_picture(found, copied)[:4] == b"\x89PNG"
    assert forward_lines(found)[0] == found.sentence


def test_a_cone_holds_nine_in_ten_paths_and_grows_with_the_days() -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(4_000)
    returns = 0.001 + 0.01 * (noise - noise.mean()) / noise.std()
    cone = expected_cone(returns, 250, seed=3)
    others = np.prod(1.0 + 0.001 + 0.01 * rng.standard_normal((4_000, 250)), axis=1)
    inside = ((others > cone.low[-1]) & (others < cone.high[-1])).mean()
    assert inside == pytest.approx(0.9, abs=0.03)
    assert cone.median[-1] == pytest.approx(np.median(others), rel=0.03)
    np.testing.assert_array_equal(expected_cone(returns, 100, seed=3).low, cone.low[:100])


def test_blocks_keep_what_days_have_to_do_with_each_other() -> None:
    """Runs of ten equal days make paths that spread three times as far as single days do."""
    runs = np.repeat(0.01 * np.random.default_rng(4).choice([-1.0, 1.0], 400), 10)
    spread = [float(np.log(expected_cone(runs, 200, seed=5, block=block).last).std()) for block in (50, 1)]
    assert spread[0] / spread[1] == pytest.approx(np.sqrt(10), rel=0.15)


@pytest.mark.parametrize(
    ("share", "place", "behaves"), [(0.03, "below", False), (0.5, "within", True), (0.97, "above", True)]
)
def test_below_the_cone_is_a_warning(share: float, place: str, behaves: bool) -> None:
    expected = Expected(low=0.9, median=1.0, high=1.2, share=share)
    assert expected.place == place
    facts = {"study": "s", "manifest_hash": "0", "play": "p", "after": "2020-01-01", "symbols": ("A",), "sentence": ""}
    assert Forward.model_validate(facts | {"state": "open", "expected": expected}).behaves is behaves


def test_the_command_shows_it_and_the_status_repeats_it(copied: Home, monkeypatch) -> None:
    monkeypatch.setenv("FORGE_HOME", str(copied.root))
    result = CliRunner().invoke(app, ["study", "forward", STUDY])
    assert result.exit_code == 0, result.output
    found = read_forward(STUDY, copied)
    assert found is not None
    assert result.output.startswith(found.sentence)
    assert found.sentence in CliRunner().invoke(app, ["study", "status", STUDY]).output
    refused = CliRunner().invoke(app, ["study", "forward", "sweet_spot"])
    assert refused.exit_code == 1
    assert "sweet_spot" in refused.output
