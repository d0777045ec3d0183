"""Known Plays in the first generation, and a study that stops when nothing gets better."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from forge_core.errors import ConfigError
from forge_core.evolution.run.early_stopping import final_generation
from forge_core.evolution.spec.study import StudySpec
from forge_core.evolution.steps import (
    load_study,
    merge_epoch,
    plan_study,
    run_island,
    run_study,
    status_text,
    study_status,
)
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.evolution.storage.tables import read_hypervolume
from forge_core.paths import Home
from forge_core.plays.canonical import play_hash
from forge_core.plays.parser import parse_play

from .studies import content, small_spec

CROSS = {
    "name": "cross",
    "timeframe": "1d",
    "features": {"fast": {"indicator": "ema", "timeperiod": 20}},
    "entry": {"long": "close crosses_above fast", "short": "close crosses_below fast"},
    "risk": {"stop": {"atr": 2}},
}
TREND = CROSS | {"name": "trend", "entry": {"long": "close > fast"}, "exit": {"long": "close < fast"}}
BOUNCE = CROSS | {"name": "bounce", "entry": {"long": "fast rising 2"}, "risk": {"max_bars": 10}}


def seeded(name: str, *plays: dict) -> StudySpec:
    space = {"level": 2, "indicators": {"ema": {"timeperiod": [10, 20, 50]}, "rsi": {}}}
    return small_spec(name, seeds=list(plays), space=space, generations=2)


def test_seeds_are_the_first_children_of_the_first_generation(home: Home) -> None:
    plays = [CROSS, TREND, BOUNCE]
    run_study(seeded("seeded", *plays), home)
    hashes = [play_hash(parse_play(play)) for play in plays]
    for island, expected in ((0, hashes[::2]), (1, hashes[1::2])):
        table = pq.read_table(home.study("seeded") / f"island={island}/generation=0001.parquet", partitioning=None)
        rows = table.to_pandas().sort_values("child_index")
        assert list(rows.play[: len(expected)]) == expected
        assert len(rows) == (5, 4)[island]
    later = pq.read_table(home.study("seeded") / "generations/0002.parquet").to_pandas()
    assert not set(later[later.born == 2].play[~later.is_duplicate]) & set(hashes)


def test_seeds_are_files_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "plays").mkdir()
    (tmp_path / "plays" / "mine.yaml").write_text(
        'name: mine\ntimeframe: 1d\nfeatures: {fast: {indicator: ema, timeperiod: 20}}\nentry: {long: "close > fast"}\n'
        "risk: {stop: {atr: 2}}\n"
    )
    study = tmp_path / "mine.yaml"
    text = (
        "train: [SP500_BEAR_2008]\ntimeframe: 1d\nspace: {level: 2, indicators: {ema: {timeperiod: [20, 50]}}}\n"
        "objectives: risk_adjusted\npopulation: 10\ngenerations: 4\nseeds:\n  - plays/mine.yaml\n"
    )
    study.write_text(text)
    spec = load_study(study)
    assert [seed["name"] for seed in spec.seeds] == ["mine"]
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec

    study.write_text(text + "  - plays/none.yaml\n")
    with pytest.raises(ConfigError, match=r"mine.yaml:9: seeds: .*none.yaml: cannot be read"):
        load_study(study)
    study.write_text(text + "  - plays/mine.yaml\n")
    with pytest.raises(ConfigError, match=r"mine.yaml:9: seeds.*duplicate Play"):
        load_study(study)
    study.write_text(text.replace("[20, 50]", "[10, 50]"))
    with pytest.raises(ConfigError, match=r"mine.yaml:8: seeds.*the space has timeperiod 10; timeperiod 50"):
        load_study(study)


def test_more_seeds_than_plays_are_refused() -> None:
    with pytest.raises(ValueError, match="more Plays than the population of 2"):
        small_spec("crowded", seeds=[CROSS, TREND, BOUNCE], population=2, islands=1)


def stalling(name: str, **changes) -> StudySpec:
    """A search among few Plays, which soon has found what there is."""
    space = {
        "indicator_slots": 1,
        "timeframes": ["1d"],
        "indicators": {"rsi": {"timeperiod": [14]}},
        "operators": ["rising"],
        "risk": {"stop": {}, "take_profit": {}, "trailing": {}, "max_bars": [5, 10]},
    }
    asked = {"generations": 20, "epochs": 10, "constraints": {"min_trades": 1}, "sides": "long"}
    asked |= {"train": ["SP500_BULL_2013"], "migrants": 1}
    return small_spec(name, space=space, **asked | changes)


def test_a_study_that_stalls_stops_where_islands_meet(home: Home) -> None:
    run_study(stalling("whole"), home)
    said: list[str] = []
    report = run_study(stalling("stalled", stall=4), home, said.append)
    status = study_status("stalled", home)
    end = status.generation
    assert (status.state, status.generations) == ("complete", 20)
    assert 4 < end < 20
    assert end % 2 == 0  # an epoch has two generations
    assert "generation 20 of 20" in status_text("whole", home)
    assert f"generation {end} of 20: stopped early, the hypervolume did not rise" in status_text("stalled", home)
    volumes = [read_hypervolume(home.study("whole") / f"generations/{g:04d}.parquet") for g in range(1, 21)]
    assert volumes == sorted(volumes)
    meetings = [g for g in range(2, 20, 2) if g > 4 and volumes[g - 1] - volumes[g - 5] <= 0.001 * volumes[g - 1] > 0]
    assert end == meetings[0]
    assert report.front_size >= 1
    before = content(home.study("stalled"))
    assert run_study(stalling("stalled", stall=4), home) == report  # resuming a study that has stopped goes no further
    document = plan_study(stalling("stalled", stall=4), home)
    assert document["generations"] == end == sum(document["generations_per_epoch"])
    assert run_island(document, 0, 10).generations == 0
    assert content(home.study("stalled")) == before


def test_a_study_with_a_turnover_among_its_objectives_stalls_too(home: Home) -> None:
    chosen = [{"metric": "sharpe"}, {"metric": "turnover"}]
    run_study(stalling("turnover", objectives=chosen, stall={"generations": 6, "gain": 0.001}), home)
    end = study_status("turnover", home).generation
    volumes = [read_hypervolume(home.study("turnover") / f"generations/{g:04d}.parquet") for g in range(1, end + 1)]
    assert volumes == sorted(volumes)
    assert 0.0 < volumes[-1] < 1.0
    assert end < 20
    assert volumes[-1] - volumes[-7] <= 0.001 * volumes[-1]


def test_the_merge_tells_that_a_study_stopped(home: Home) -> None:
    spec = stalling("told", stall=2, epochs=2, generations=12)
    document = plan_study(spec, home)
    for island in (0, 1):
        run_island(document, island, 1)
    figures = merge_epoch(document, 1)
    assert [entry.stopped for entry in figures] == [False] * 5 + [True]


def test_nothing_stalls_before_anything_is_feasible(home: Home) -> None:
    spec = stalling("never", stall=1, constraints={"min_trades": 100_000}, generations=4, epochs=4)
    run_study(spec, home)
    assert study_status("never", home).generation == 4
    assert final_generation(small_spec("never"), StudyFolder.of("never", home)) == 4  # not asked for: all


def test_a_stall_longer_than_the_last_meeting_is_refused() -> None:
    with pytest.raises(ValueError, match="meet for the last time before the end after generation 18"):
        stalling("late", stall=18)
