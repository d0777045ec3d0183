"""Small dataset versions for the tests of the bank and the feeds, and what their columns must be."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from forge_core.features.registry import get_feature
from forge_core.market.bars.model import BAR_COLUMNS, resample_bars
from forge_core.market.datasets.build import build_dataset
from forge_core.market.reference.catalog import DatasetSpec
from forge_core.market.reference.instruments import Instrument
from forge_core.market.reference.timeframes import Timeframe
from forge_core.market.store.bar_store import BarStore
from forge_core.paths import Home

INSTRUMENT = Instrument(symbol="SIMUSDT", kind="spot", tick=0.01)
LEAD_IN = 300


def simulated_bars(count=2_000, *, seed=7):
    """A random walk in bars of 15 minutes, with an hour missing here and two days there."""
    rng = np.random.default_rng(seed)
    index = pd.date_range("2024-01-01", periods=count, freq="15min", tz="UTC", unit="us", name="timestamp")
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.004, count)))
    open_ = np.concatenate(([100.0], close[:-1]))
    bars = pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * (1 + rng.uniform(0, 0.003, count)),
            "low": np.minimum(open_, close) * (1 - rng.uniform(0, 0.003, count)),
            "close": close,
            "volume": rng.uniform(1, 9, count),
        },
        index=index,
    )
    kept = np.ones(count, dtype=bool)
    kept[count // 5 : count // 5 + 4] = False
    kept[count // 2 : count // 2 + 192] = False
    return bars[kept]


def resampled(bars, *labels, session=INSTRUMENT.session):
    return {label: resample_bars(bars, Timeframe.parse(label), session=session) for label in labels}


@contextmanager
def project(folder, *, opens="00:00"):
    """A project that declares SIMUSDT, its session beginning at ``opens``."""
    declared = folder / "datasets" / "instruments.yaml"
    declared.parent.mkdir(parents=True)
    declared.write_text(
        f"instruments: {{SIMUSDT: {{kind: spot, tick: 0.01, session: {{opens: '{opens}'}}}}}}\n", encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORGE_PROJECT", str(folder))
        yield


def dataset_version(home, bars):
    """Export ``bars`` as a dataset of 15m, 1h and 4h whose first ``LEAD_IN`` bars are lead-in."""
    spec = DatasetSpec(
        name="SIM",
        symbol="SIMUSDT",
        start=bars.index[LEAD_IN].to_pydatetime(),
        end=(bars.index[-1] + pd.Timedelta("15min")).to_pydatetime(),
        timeframes=["15m", "1h", "4h"],
        regime="range",
    )
    with BarStore(home.store) as store:
        store.upsert("SIMUSDT", "15m", bars, source="simulated")
        return build_dataset(spec, store, home)


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    with project(folder / "project"):
        yield dataset_version(Home(folder / "data"), simulated_bars())


def native_bars(version, label):
    """The dataset's bars of ``label``, resampled from its finest where it has none."""
    if label in version.timeframes:
        return version.bars(label)
    return resampled(version.bars("15m"), label, session=version.instrument.session)[label]


def expected_column(reference, native, execution_bars, execution):
    """The column by way of pandas: the definition on the native bars, then ``merge_asof`` on the times of closing."""
    fields = {name: native[name].to_numpy() for name in BAR_COLUMNS}
    values = get_feature(reference.name).compute(fields, dict(reference.params))[reference.output]
    if reference.transform == "streak":
        values = _runs(values)
    closes = pd.DataFrame({"closes": native.index + Timeframe.parse(reference.timeframe).timedelta, "value": values})
    bars = pd.DataFrame({"closes": execution_bars.index + Timeframe.parse(execution).timedelta})
    return pd.merge_asof(bars, closes, on="closes")["value"].to_numpy()


def _runs(values):
    steps = pd.Series(np.sign(np.diff(values, prepend=np.nan)))
    return (steps * (steps.groupby((steps != steps.shift()).cumsum()).cumcount() + 1)).to_numpy()
