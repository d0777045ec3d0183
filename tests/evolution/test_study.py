"""The study file: what it may say, and how it is refused."""

from pathlib import Path

import pytest
import yaml

from forge_core.engine.fill_rules import FillRules
from forge_core.errors import ConfigError, StudyError
from forge_core.evolution.search.evaluation import Objectives
from forge_core.evolution.spec.objectives import constraint_metric
from forge_core.evolution.spec.study import StudySpec, cautions, holdout_relation, list_studies, load_study, split

from .studies import small_spec

GOOD = """\
description: two regimes
train: [SP500_BEAR_2008, SP500_BULL_2013]
holdout: [SP500_BULL_2003]
timeframe: 1d
space:
  level: 2
objectives:
  - {metric: sharpe, aggregate: worst}
  - metric: max_drawdown
constraints:
  min_trades: 30
  max_drawdown: {value: 0.6, aggregate: mean}
population: 20
generations: 10
"""


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_a_study_file(tmp_path: Path) -> None:
    spec = load_study(write(tmp_path, GOOD))
    assert (spec.name, spec.islands, spec.epochs, spec.sides, spec.champion) == ("mine", 2, 2, "both", "knee")
    assert [(o.metric, o.aggregate) for o in spec.objectives] == [("sharpe", "worst"), ("max_drawdown", "worst")]
    assert spec.constraints["max_drawdown"].aggregate == "mean"
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec


def test_the_studies_that_come_with_forge() -> None:
    studies = list_studies()
    assert {"quickstart", "sweet_spot"} <= studies.keys()
    for name in studies:
        assert load_study(name).name == name
    sweet_spot = load_study("sweet_spot")
    assert (sweet_spot.population, sweet_spot.generations, sweet_spot.space.level) == (150, 50, 5)
    assert (sweet_spot.islands, sweet_spot.epochs, sweet_spot.timeframe) == (2, 2, "15m")


def test_named_objectives() -> None:
    def declared(objectives: object) -> list[tuple[str, str, str]]:
        found = Objectives.of(small_spec("objectives", objectives=objectives)).terms
        return [(o.name, o.direction, o.aggregate) for o in found]

    assert declared("risk_adjusted") == [("sharpe", "maximize", "worst"), ("max_drawdown", "minimize", "worst")]
    assert declared("robust") == [
        ("sharpe", "maximize", "worst"),
        ("total_return", "maximize", "median"),
        ("max_drawdown", "minimize", "worst"),
    ]
    assert declared("single:sortino") == [("sortino", "maximize", "worst")]
    assert declared([{"metric": "sharpe"}, {"metric": "sharpe", "aggregate": "mean"}]) == [
        ("sharpe_worst", "maximize", "worst"),
        ("sharpe_mean", "maximize", "mean"),
    ]


def test_thirty_trades_are_asked_for_unless_said_otherwise() -> None:
    assert small_spec("a", constraints={}).constraints["min_trades"].value == 30
    assert small_spec("a", constraints={"min_exposure": 0.1}).constraints.keys() == {"min_trades", "min_exposure"}
    assert small_spec("a", constraints={"min_trades": 0}).constraints["min_trades"].value == 0


def test_constraint_names() -> None:
    assert constraint_metric("min_trades") == "total_trades"
    assert constraint_metric("max_drawdown") == "max_drawdown"
    assert constraint_metric("min_sharpe") == "sharpe"
    assert constraint_metric("max_longest_drawdown") == "longest_drawdown"


def test_remainders_go_to_the_first() -> None:
    spec = small_spec("a", population=11, islands=3, generations=7, epochs=3)
    assert spec.island_sizes == [4, 4, 3]
    assert spec.epoch_generations == [3, 2, 2]
    assert split(7, 7) == [1] * 7


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        ("population: 20 -> population: 1", 13, "greater than or equal to 2, got 1"),
        ("population: 20 -> population: '20'", 13, "valid integer, got '20'"),
        ("population: 20 -> population: 20\nislands: 11", 14, "too small for 11 islands"),
        ("population: 20 -> population: 20\nepochs: 11", 14, "at most 10 epochs"),
        ("generations: 10 -> generations: 1", 14, "1 generations cannot be divided over 2 epochs"),
        ("population: 20 -> population: 20\nmigrants: 11", 14, "more than the 10 Plays"),
        ("population: 20 -> popluation: 20", 13, "did you mean 'population'"),
        ("min_trades: 30 -> min_trades: -1", 11, "must lie between 0 and"),
        ("min_trades: 30 -> min_trads: 30", 11, "did you mean 'min_trades'"),
        ("min_trades: 30 -> trades: 30", 11, "write min_ or max_ and a metric"),
        ("min_trades: 30 -> min_trades: many", 11, "number|valid"),
        ("{metric: sharpe, aggregate: worst} -> {metric: sharp}", 8, "did you mean 'sharpe'"),
        ("{metric: sharpe, aggregate: worst} -> {metric: wins}", 8, "neither more nor less"),
        ("{metric: sharpe, aggregate: worst} -> {metric: sharpe, direction: minimize}", 8, "maximize it"),
        ("{metric: sharpe, aggregate: worst} -> {metric: max_drawdown}", 9, "duplicate objective"),
        ("train: [SP500_BEAR_2008, -> train: [SP500_BEAR_208,", 2, "did you mean 'SP500_BEAR_2008'"),
        ("holdout: [SP500_BULL_2003] -> holdout: [SP500_BULL_2013]", 3, "overlaps the train dataset"),
        ("holdout: [SP500_BULL_2003] -> holdout: [SP500_2000_2011]", 3, "SP500_2000_2011 overlaps the train dataset"),
        ("timeframe: 1d -> timeframe: 15m", 2, "no bars of timeframe 15m"),
        ("timeframe: 1d -> timeframe: 1y", 4, "timeframe '1y'"),
        ("level: 2 -> level: 4\n  timeframes: [1d, 1h]", 5, "1h is finer than the execution timeframe"),
        ("level: 2 -> level: 4\n  timeframes: [1d, 4w]", 5, "not every dataset has the timeframe 4w"),
        ("level: 2 -> level: 6", 5, "level 6 reads 3 timeframes, but .* share only 1d, 1w; choose a level of 1 to 5"),
        ("level: 2 -> level: 12", 6, "less than or equal to 10"),
        ("generations: 10 -> generations: 10\nchampion: best:sortino", 15, "knee or best:sharpe or best:max_drawdown"),
        ("generations: 10 -> generations: 10\nchampion: loudest", 15, "knee or best:sharpe"),
        ("generations: 10 -> generations: 10\ncosts: {commission: 3}", 15, "unknown key 'costs.commission'"),
        ("generations: 10 -> generations: 10\nname: other", 15, "the name must be 'mine'"),
        ("generations: 10 -> generations: 10\ngenerations: 11", 15, "duplicate key"),
        (
            "generations: 10 -> generations: 10\nfills: loose",
            15,
            "write strict, relaxed, or a mapping of .*, got 'loose'",
        ),
        ("generations: 10 -> generations: 10\nfills: {targets: touch}", 15, "did you mean 'target'"),
        ("generations: 10 -> generations: 10\nfills:\n  target: touched", 16, "'through' or 'touch', got 'touched'"),
        ("generations: 10 -> generations: 10\nfills: {volume_share: 1.5}", 15, "less than or equal to 1, got 1.5"),
        ("generations: 10 -> generations: 10\nfills: {volume_share: '0.1'}", 15, "valid number, got '0.1'"),
    ],
)
def test_refused_with_file_line_and_suggestion(tmp_path: Path, change: str, line: int, message: str) -> None:
    before, after = change.split(" -> ")
    assert before in GOOD
    path = write(tmp_path, GOOD.replace(before, after))
    with pytest.raises(ConfigError, match=message) as caught:
        load_study(path)
    assert f"{path}:{line}: " in str(caught.value)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("population: 20", "population: 20\nislands: 11\nepochs: 12")
    with pytest.raises(ConfigError) as caught:
        load_study(write(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 2


def test_another_symbol_may_be_held_out_at_the_same_time() -> None:
    assert small_spec("a", holdout=["NASDAQ_FULL_CYCLE"]).holdout == ["NASDAQ_FULL_CYCLE"]


def test_what_a_holdout_tests_is_said() -> None:
    assert holdout_relation(small_spec("a"), "SP500_BULL_2003") == "SP500 at another time"
    assert "another symbol, NASDAQ, over the same time" in holdout_relation(small_spec("a"), "NASDAQ_FULL_CYCLE")
    assert holdout_relation(small_spec("a"), "NASDAQ_DOTCOM_BUST") == "another symbol, NASDAQ, at another time"


def test_levels_near_the_open_of_an_index_are_cautioned_against() -> None:
    assert [text[:18] for text in cautions(small_spec("a"))] == ["SP500 is an index,"]
    assert "(0.5%, 1 ATR) flatter; take levels of 3% and 2.5 ATR or more" in cautions(small_spec("a"))[0]
    far = {"percent": [0.03], "atr": [2.5]}
    space = {"level": 2, "risk": {"stop": far, "take_profit": far, "trailing": {}}}
    assert cautions(small_spec("a", space=space)) == []
    assert cautions(load_study("quickstart")) == []
    assert cautions(load_study("sweet_spot")) == []  # of a coin


def test_fill_rules_are_strict_unless_the_file_relaxes_them(tmp_path: Path) -> None:
    def fills(text: str) -> FillRules:
        return load_study(write(tmp_path, GOOD + text)).fills

    assert fills("") == fills("fills: strict") == fills("fills: {}") == FillRules()
    assert fills("fills: relaxed") == FillRules.relaxed()
    assert fills("fills: {target: touch, volume_share: null}") == FillRules(target="touch", volume_share=None)
    relaxed = load_study(write(tmp_path, GOOD + "fills: {target: touch}"))
    assert StudySpec.model_validate(relaxed.document()) == relaxed.model_copy(update={"description": ""})
    assert "fills" not in load_study(write(tmp_path, GOOD)).document()
    assert "fill rules are target=touch: fills are better" in cautions(relaxed)[0]


@pytest.mark.parametrize(
    ("change", "line", "metric"),
    [("metric: max_drawdown -> metric: calmar", 9, "calmar"), ("min_trades: 30 -> min_cagr: 0.05", 11, "cagr")],
)
def test_annual_returns_are_refused_where_a_train_dataset_is_shorter_than_a_year(
    tmp_path: Path, change: str, line: int, metric: str
) -> None:
    text = GOOD.replace("[SP500_BEAR_2008, SP500_BULL_2013]", "[ETHUSDT_RANGE]").replace("SP500_BULL_2003", "")
    text = text.replace(*change.split(" -> "))
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    place = "objectives.1" if metric == "calmar" else "constraints.min_cagr"
    needs = f"{metric} needs 360 days in each train dataset, ETHUSDT_RANGE has 214"
    assert str(caught.value).splitlines()[0].startswith(f"{path}:{line}: {place}: {needs}; use total_return or sharpe")
    load_study(write(tmp_path, text.replace("ETHUSDT_RANGE", "SP500_BULL_2013")))


def test_unknown_studies(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"unknown study 'quickstrat'.*did you mean 'quickstart'"):
        load_study("quickstrat")
    with pytest.raises(StudyError, match="no study file"):
        load_study(tmp_path / "none.yaml")


def test_what_is_no_mapping_or_no_yaml(tmp_path: Path) -> None:
    for text in ("- 1", "", "train: [", "just text"):
        with pytest.raises(ConfigError, match=r"mine\.yaml"):
            load_study(write(tmp_path, text))
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_study(tmp_path / "mine.yaml")


def test_study_files_say_nothing_that_is_not_read() -> None:
    """A study in the repository that pydantic accepts is also plain YAML with the keys in a reader's order."""
    for path in list_studies().values():
        keys = list(yaml.safe_load(path.read_text()))
        assert keys[:2] == ["description", "train"]
