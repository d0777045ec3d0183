"""The examples of docs/extending.md run as they are printed: in a Play, an evolution, a mass test, an import."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forge_core
from forge_core.errors import StudyError
from forge_core.evolution.run.plan import StudyPlan
from forge_core.evolution.spec.study import StudySpec
from forge_core.evolution.steps import run_study
from forge_core.extension_files import KINDS
from forge_core.features.bank.bank import Bank
from forge_core.features.registry import make_reference
from forge_core.files import read_table
from forge_core.market.datasets.build import ensure_dataset
from forge_core.market.importing.importer import read_bars_file
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.sources.protocol import Request, open_source
from forge_core.plays.parser import parse_play
from forge_core.plays.rules import play_columns
from forge_core.sweeps.plan import test_hash as hash_of_test
from forge_core.sweeps.steps import run_sweep
from tests.docs.pages import ROOT, blocks
from tests.evolution.studies import small_spec
from tests.sweeps.made import futures_home, sweep

FILES = {
    block.text.splitlines()[0].removeprefix("# extensions/"): block.text
    for block in blocks()
    if block.page == "docs/extending.md" and block.text.startswith("# extensions/")
}
(PLAY,) = [
    b.text for b in blocks() if b.page == "docs/extending.md" and b.language == "yaml" and b.text.startswith("name:")
]


@pytest.fixture
def examples(folder, home):
    for name, text in FILES.items():
        (folder.path / name).write_text(text)
    assert folder.load().refused == []
    return folder


def test_there_is_an_example_of_each_kind_of_at_most_twenty_lines(examples):
    kinds = {kind for kind, _ in examples.load().parts}
    assert kinds == set(KINDS)
    for name, text in FILES.items():
        lines = [line for line in text.splitlines()[1:] if line.strip()]
        assert len(lines) <= 20, name


def test_the_play_trades(examples):
    result = forge_core.backtest(parse_play(PLAY), "SP500_BEAR_2008")
    assert len(result.trades) > 3


def test_the_indicator_is_searched_and_the_manifest_names_its_version(examples, home):
    spec = small_spec("own", space={"level": 2, "indicators": ["ema_gap", "sma"], "structures": ["inside_bar"]})
    report = run_study(spec, home)
    assert report.champion is not None
    plan = StudyPlan.open("own", home)
    assert set(plan.manifest["versions"]["extensions"]) == {"ema_gap"}
    read = {column.name for column in play_columns(parse_play(report.champion.yaml))}
    assert read <= {"ema_gap", "sma", "close"}
    (examples.path / "ema_gap.py").write_text(FILES["ema_gap.py"].replace("100 *", "99 *"))
    examples.load()
    with pytest.raises(StudyError, match=r"versions.extensions.ema_gap: was \"\w+\", is \"\w+\"") as caught:
        run_study(spec, home)
    assert "forge study reset own" in str(caught.value)


def test_the_metric_and_formulas_are_objectives_and_constraints(examples, home):
    spec = small_spec(
        "measured",
        objectives=[
            {"metric": "tail_ratio"},
            {"formula": "sharpe * sqrt(total_trades)", "direction": "maximize"},
        ],
        constraints={"min_tail_ratio": 0.1, "max_pain": {"formula": "max_drawdown * 2", "value": 1.5}},
    )
    report = run_study(spec, home)
    plan = StudyPlan.open("measured", home)
    assert StudySpec.model_validate(plan.manifest["study"]) == spec
    assert set(plan.manifest["versions"]["extensions"]) == {"metric tail_ratio"}
    front = read_table(plan.folder.pareto_front).to_pandas()
    assert report.champion is not None
    for row in front.to_dict("records"):
        values = []
        for name in spec.train:
            result = forge_core.backtest(parse_play(row["yaml"]), plan.open_feed(name), cash=spec.cash)
            low, high = np.percentile(result.daily_returns, [5, 95])
            values.append((high / -low, result.metrics["sharpe"] * result.metrics["total_trades"] ** 0.5))
            assert row[f"{name}.tail_ratio"] == pytest.approx(values[-1][0])
            assert result.metrics["max_drawdown"] <= 0.75
        tail, quality = np.min(values, axis=0)
        assert row["objective.tail_ratio"] == pytest.approx(tail)
        assert row["objective.sharpe_sqrt_total_trades"] == pytest.approx(quality)
    examples.write("tail_ratio.py", FILES["tail_ratio.py"].replace("[5, 95]", "[10, 90]"))
    with pytest.raises(StudyError, match=r"versions.extensions.metric tail_ratio: was"):
        run_study(spec, home)


def test_an_edited_indicator_gives_new_numbers_in_the_bank(examples, home):
    version = ensure_dataset("SP500_BEAR_2008", home=home)
    gap = make_reference("ema_gap", {}, timeframe="1d")
    before = np.array(Bank(version, "1d", home).column(gap))
    again = np.array(Bank(version, "1d", home).column(gap))
    np.testing.assert_array_equal(before, again)
    examples.write("ema_gap.py", FILES["ema_gap.py"].replace("100 *", "50 *"))
    after = np.array(Bank(version, "1d", home).column(gap))
    np.testing.assert_allclose(after, before / 2)


def test_the_strategy_is_mass_tested_and_tested_again_after_an_edit(examples, home, monkeypatch):
    futures_home(home)
    spec = sweep(strategies={"gap": {"timeperiod": [5, 8], "percent": 0.1}})
    report = run_sweep(spec, home)
    assert report["failed"] == 0
    assert report["run"] > 0
    before = [hash_of_test(variant, "4h") for variant in spec.variants]
    examples.write("ema_gap.py", FILES["ema_gap.py"].replace("100 *", "50 *"))
    assert not set(before) & {hash_of_test(variant, "4h") for variant in spec.variants}


def test_the_source_gives_bars(examples, home):
    bars = pd.DataFrame(
        {"timestamp": ["2024-01-02", "2024-01-03"], "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 10.0}
    )
    (home.root / "csv").mkdir(parents=True)
    bars.to_csv(home.root / "csv" / "SP500.csv", index=False)
    instrument = get_instrument("SP500").model_copy(update={"source": "csv_folder"})
    source = open_source("csv_folder", instrument, home)
    now = pd.Timestamp("2024-02-01", tz="UTC")
    request = Request(Timeframe.parse("1d"), now, now, now, np.empty(0, np.int64))
    (fetched,) = source.fetch(request, print)
    assert fetched.bars["close"].tolist() == [1.5, 1.5]


def test_the_format_reads_its_files(examples, tmp_path: Path):
    path = tmp_path / "prices.txt"
    path.write_text("DATE;O;H;L;C;V\n02/01/2024;1;2;0.5;1.5;10\n03/01/2024;1.5;2;1;1.8;11\n")
    bars = read_bars_file(path)
    assert bars.index.strftime("%Y-%m-%d").tolist() == ["2024-01-02", "2024-01-03"]
    assert bars["close"].tolist() == [1.5, 1.8]


def test_every_argument_of_the_decorator_is_documented():
    import inspect

    from forge_core.extensions import indicator, structure

    table = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "extending.md").read_text(), re.MULTILINE))
    assert table == set(inspect.signature(indicator).parameters) == set(inspect.signature(structure).parameters)
