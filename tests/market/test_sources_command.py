"""``forge refresh`` as its user meets it, and a source of one's own as docs/sources.md writes it."""

import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from forge_core.cli.main import app
from forge_core.errors import ConfigError
from forge_core.market.reference import instruments
from forge_core.market.reference.instruments import get_instrument
from forge_core.market.sources.download import Limits
from forge_core.market.sources.providers.binance import URL_SETTING, BinanceSource
from forge_core.market.sources.refresh import refresh_bars
from forge_core.market.store.bar_store import BarStore
from tests.market.archive_server import serving
from tests.market.bar_tables import same_bars, walk

DOCS = Path(__file__).resolve().parents[2] / "docs" / "sources.md"


def forge(*words):
    return CliRunner().invoke(app, list(words))


def test_refreshing_says_what_came_and_that_nothing_is_new(home, tmp_path, monkeypatch):
    now = pd.Timestamp.now("UTC").floor("D")
    bars = walk(24 * 40, "1h", str((now - pd.Timedelta(days=40)).date())).round(2)
    with serving(tmp_path / "archive") as archive:
        monkeypatch.setenv(URL_SETTING, archive.url)
        archive.put_klines(bars, "BTCUSDT", "1h")
        words = ("refresh", "BTCUSDT", "SP500", "-t", "1h", "--since", str(bars.index[0].date()))
        first = forge(*words)
        assert "BTCUSDT 1h: 960 bars added, 0 known already" in first.stdout
        assert "fetched; 0." in first.stdout
        assert (first.exit_code, "SP500: no source has 1h bars; available: 1d" in first.stderr) == (1, True)
        again = forge(*words[:2], *words[3:])
        assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "BTCUSDT: nothing new")
    with BarStore(home.store) as store:
        same_bars(store.read("BTCUSDT", "1h"), bars)


def test_a_source_that_is_down_ends_the_command_with_its_reason(home, monkeypatch):
    monkeypatch.setattr(BinanceSource, "limits", Limits(attempts=1))
    monkeypatch.setenv(URL_SETTING, "http://127.0.0.1:9")
    result = forge("refresh", "BTCUSDT", "SP500")
    assert result.exit_code == 1
    assert "SP500 1d: 5031 bars added" in result.stdout  # the others are refreshed all the same
    assert "BTCUSDT 15m: source binance failed (http://127.0.0.1:9" in result.stderr
    assert "unknown source 'binanse' (did you mean 'binance'?)" in forge("refresh", "--source", "binanse").stderr


@pytest.fixture
def own_source(home, tmp_path, monkeypatch):
    """A copy of the sources with the example of the manual in it, as ``mine.py``."""
    import forge_core.market.sources.providers as package

    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    folder = tmp_path / "sources"
    shutil.copytree(Path(package.__file__).parent, folder)
    read = "pd.read_parquet(f'{self.options.folder}/{self.instrument.name_at_source}.parquet')[start:end]"
    (folder / "mine.py").write_text("import pandas as pd\n" + code.replace("...  #", f"{read}  #"))
    monkeypatch.setattr(instruments, "_SOURCES", folder)
    monkeypatch.setattr(package, "__path__", [str(folder)])
    yield tmp_path
    sys.modules.pop("forge_core.market.sources.providers.mine", None)


def test_a_source_of_ones_own_is_one_file(own_source, home):
    bars = walk(200, "1h", "2024-01-01")
    bars.to_parquet(own_source / "Soy.parquet")
    spec = {**get_instrument("ZS").model_dump(), "source": "mine", "source_symbol": "Soy"}
    symbol = type(get_instrument("ZS")).model_validate({**spec, "source_options": {"folder": str(own_source)}})
    options = {"timeframes": ["1h"], "since": bars.index[0], "now": pd.Timestamp("2024-02-01", tz="UTC")}
    assert [r.inserted for r in refresh_bars(symbol, home, **options)] == [200]
    with BarStore(home.store) as store:
        same_bars(store.read("ZS", "1h"), bars)
        assert store.sources("ZS", "1h") == ["my source"]
    with pytest.raises(ConfigError, match="source_options of mine: folder is missing"):
        refresh_bars(symbol.model_copy(update={"source_options": {}}), home, **options)
