"""Extensions are loaded once, checked, refused one by one, and keyed by their source."""

# ruff: noqa: E501  (the table of wrong files)

import sys
import types
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from forge_core import extension_files
from forge_core.cli.main import app
from forge_core.errors import ConfigError, PlayError
from forge_core.extension_files import KINDS, load_extensions
from forge_core.extensions.scaffold import TEMPLATES, new_extension
from forge_core.features.registry import all_features, get_feature, searchable
from forge_core.features.version import REGISTRY_VERSION, feature_version
from forge_core.market.importing.formats import get_format
from forge_core.market.reference.instruments import source_names
from forge_core.plays.classic import classic_strategies, get_strategy
from forge_core.plays.parser import parse_play

GAP = '''"""An indicator."""
import talib
from forge_core.extensions import indicator


@indicator(scale="centred", grids={"timeperiod": (10, 20)}, thresholds=(0,))
def gap(bars, timeperiod=20):
    """Close minus its EMA, in percent."""
    return 100 * (bars["close"] / talib.EMA(bars["close"], timeperiod) - 1)
'''


def indicator(body: str, options: str = 'scale="centred"', arguments: str = "n=3") -> str:
    return (
        "import numpy as np\nfrom forge_core.extensions import indicator\n\n\n"
        f"@indicator({options})\ndef mine(bars, {arguments}):\n    {body}\n"
    )


def test_an_indicator_is_a_feature_like_any_other(folder):
    folder.write("gap.py", GAP)
    feature = get_feature("gap")
    assert feature in all_features()
    assert feature not in searchable()  # a study names it
    assert feature.description == "Close minus its EMA, in percent."
    assert feature.lookback({"timeperiod": 30}) == 29
    assert [choice["timeperiod"] for choice in feature.combinations()] == [10, 20]
    with pytest.raises(PlayError, match=r"timeperiod is 2\.5; it must be a whole number from 1"):
        feature.resolve({"timeperiod": 2.5})
    play = parse_play(
        "name: x\ntimeframe: 1d\nfeatures: {gap: {indicator: gap}}\nentry: {long: gap < -2}\nexit: {long: gap > 0}"
    )
    assert play.features["gap"].canonical == "gap.real(timeperiod=20)@1d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 / 0\n", "mine.py:1: ZeroDivisionError: division by zero"),
        ("def broken(:\n", "mine.py:1: SyntaxError: invalid syntax"),
        ("\n\nraise SystemExit(3)\n", "mine.py:3: SystemExit: 3"),
        ("import not_installed_anywhere\n", "mine.py:1: ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        (indicator("return np.roll(bars['close'], -n)", 'scale="price"'), "mine.py:5: mine(n=3): look-ahead: real at bar"),
        (indicator("return bars['close'] - bars['close'].mean()"), "look-ahead"),
        (indicator("return bars['close'] / bars['close'].max()", "scale=(0, 1)"), "look-ahead"),
        (indicator("return bars['close']", "scale=(0, 1)"), "real is declared between 0 and 1, but has values from"),
        (indicator("return bars['close'] / bars['open']", 'scale="price"'), "does not change when all prices double"),
        (indicator("return np.random.rand(len(bars['close']))"), "real has other values when computed again"),
        (indicator("return bars['close'][n:]"), "returned arrays of shape (406,); expected 1 of (409,), one value per bar"),
        (indicator("return bars['close'], bars['open']"), "expected 1 of"),
        (indicator("return ['x'] * len(bars['close'])"), "mine.py:5: indicator mine returned no array of numbers"),
        (indicator("return np.full(len(bars['close']), np.nan)"), "has no value on"),
        (indicator("bars['close'][0] = 1; return bars['close']"), "mine.py:7: ValueError: assignment destination is read"),
        (indicator("return bars['clsoe']"), "mine.py:7: KeyError: 'clsoe' (in indicator mine)"),
        (indicator("return bars['close']", 'scale="prize"'), "unknown scale 'prize'; use price, centred, volume, unbounded"),
        (indicator("return bars['close']", "scale=(1, 0)"), "bounds are two numbers, the lower first"),
        (indicator("return bars['close']", ""), "give scale=... for one output"),
        (indicator("return bars['close']", arguments="n"), "parameter n needs a number as default, such as n=20"),
        (indicator("return bars['close']", 'scale="price", grids={"m": (1,)}'), "'m' is no parameter; they are n"),
        (indicator("x = bars['close'].copy(); x[:9] = np.nan; return x", 'scale="price", lookback=lambda n: n'), "lookback is 3, but the first value of real is at bar 9"),
        (indicator("return bars['close']").replace("mine", "rsi"), "indicator 'rsi' has the name of one of Forge's features"),
        ("from forge_core.extensions import metric\n@metric('maximize', worst=0)\ndef m(trades, equity): ...\n", "metric m: expected def m(trades, equity, daily)"),
        ("from forge_core.extensions import metric\n@metric('maximize', worst=0)\ndef m(trades, equity, daily):\n    return 1 / len(trades)\n", "mine.py:4: ZeroDivisionError: division by zero (in metric m) on a backtest of 0 trades"),
        ("from forge_core.extensions import metric\n@metric('maximize', worst=0)\ndef sharpe(trades, equity, daily): ...\n", "metric 'sharpe' has the name of one of Forge's metrics"),
        ("from forge_core.extensions import strategy\n@strategy\nclass A: ...\n", "is no subclass of ClassicStrategy"),
        ("from forge_core.extensions import source\n@source('a')\nclass A:\n    on_demand = True\n    def __init__(self, i, h): ...\n", "source a: method timeframes is missing"),
        ("from forge_core.extensions.market import Format, import_format\n@import_format\nclass A(Format):\n    name = 'a'\n    description = 'b'\n", "format a: method contents is missing"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line_and_without_forges_frames(folder, text, message):
    found = folder.refusal(text)
    assert message in found
    assert found.startswith("mine.py:")
    assert "forge_core/" not in found
    assert "\n" not in found


def test_a_refused_file_adds_nothing_and_the_others_are_loaded(folder, caplog):
    extensions = folder.write("gap.py", GAP)
    extensions = folder.write("broken.py", GAP.replace("def gap", "def other") + "\n1 / 0\n")
    assert set(extensions.parts) == {("indicator", "gap")}
    assert "extension refused" in caplog.text
    with pytest.raises(PlayError, match=r"unknown feature 'othr'.*refused extension: .*broken.py:11: "):
        get_feature("othr")
    result = CliRunner().invoke(app, ["extensions", "check"])
    assert result.exit_code == 1
    assert "broken.py:11: ZeroDivisionError" in result.output
    listed = CliRunner().invoke(app, ["extensions", "list"]).output
    assert "gap.py:6" in listed
    assert "refused: " in listed


def test_two_files_may_not_define_the_same_part(folder):
    folder.write("gap.py", GAP)
    assert "duplicate indicator 'gap', also in " in folder.refusal(GAP, "second.py")
    assert get_feature("gap").name == "gap"


def test_a_strategy_may_read_an_indicator_of_a_later_file(folder):
    text = (
        "from typing import ClassVar\nfrom forge_core.extensions import ClassicStrategy, column, strategy, when\n"
        "@strategy\nclass A(ClassicStrategy):\n    name: ClassVar[str] = 'first'\n"
        "    def entries(self, timeframe):\n        gap = column('gap', timeframe)\n"
        "        return when(gap, '>', 1), when(gap, '<', -1)\n"
    )
    folder.write("a_strategy.py", text)
    assert folder.write("gap.py", GAP).refused == []
    assert get_strategy("first")().label == "first"


def test_files_may_import_each_other(folder):
    (folder.path / "_helpers.py").write_text("FACTOR = 100\ndef scaled(x):\n    return FACTOR * x\n")
    text = GAP.replace("return 100 * (", "return scaled(").replace(
        "import talib", "import talib\nfrom ._helpers import scaled"
    )
    assert folder.write("gap.py", text).refused == []
    before = feature_version("gap")
    (folder.path / "_helpers.py").write_text("FACTOR = 50\ndef scaled(x):\n    return FACTOR * x\n")
    assert version_in_a_new_process(folder) != before


def version_in_a_new_process(folder) -> str:
    import subprocess

    code = "from forge_core.features.version import feature_version as v; print(v('gap'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_an_edit_changes_the_version_of_the_part_and_of_nothing_else(folder):
    folder.write("gap.py", GAP)
    before, rsi = feature_version("gap"), feature_version("rsi")
    assert version_in_a_new_process(folder) == before
    folder.write("gap.py", GAP.replace("100 *", "1000 *"))
    assert feature_version("gap") != before
    assert feature_version("rsi") == rsi
    assert REGISTRY_VERSION not in ("", before)


def test_an_installed_package_registers_its_parts(folder, monkeypatch, tmp_path):
    package = tmp_path / "forge_parts_of_a_package.py"
    package.write_text(GAP)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [EntryPoint("mine", package.stem, "forge.extensions"), EntryPoint("gone", "no_such_module_at_all", "x")]
    monkeypatch.setattr(extension_files, "entry_points", lambda group: points)
    extensions = folder.load()
    assert extensions.parts["indicator", "gap"].file == str(package)
    assert [refusal.file for refusal in extensions.refused] == ["package no_such_module_at_all"]
    assert "no_such_module_at_all" in extensions.refused[0].message


def test_without_a_folder_there_is_nothing(monkeypatch):
    monkeypatch.setenv("FORGE_EXTENSIONS", "")
    assert isinstance(sys.modules["forge_core.extension_files"], types.ModuleType)
    assert load_extensions().files == []
    assert "switched off" in CliRunner().invoke(app, ["extensions", "list"]).output


@pytest.mark.parametrize("kind", TEMPLATES)
def test_what_new_writes_loads_as_it_is(folder, kind):
    result = CliRunner().invoke(app, ["extensions", "new", kind, "my_part"])
    assert result.exit_code == 0, result.output
    extensions = folder.load()
    assert extensions.refused == []
    assert set(extensions.parts) == {(kind, "my_part")}
    assert CliRunner().invoke(app, ["extensions", "check"]).output == "1 parts of 1 files are valid\n"
    with pytest.raises(ConfigError, match="exists already"):
        new_extension(kind, "my_part")


def test_names_of_new_parts_are_checked(folder):
    with pytest.raises(ConfigError, match=r"unknown kind of extension 'indicater' \(did you mean 'indicator'\?\)"):
        new_extension("indicater", "x")
    with pytest.raises(ConfigError, match="'my-part' is no name of a part"):
        new_extension("indicator", "my-part")
    assert set(TEMPLATES) <= set(KINDS)


def test_a_notebook_registers_a_part_for_its_process(folder):
    folder.load()
    exec(compile(GAP, "<notebook>", "exec"), {"__name__": "__main__"})
    assert get_feature("gap").lookback({}) == 19
    exec(compile(GAP, "<notebook>", "exec"), {"__name__": "__main__"})  # a cell that is run again


def test_sources_formats_and_strategies_are_found_by_name(folder):
    for kind in ("source", "format", "strategy"):
        new_extension(kind, f"my_{kind}")
    folder.load()
    assert "my_source" in source_names()
    assert get_format("my_format").name == "my_format"
    assert "my_strategy" in classic_strategies()
