"""Versions of features: an edit of the code changes those of the features it computes, and no others."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import forge_core
from forge_core.features.version import FEATURE_VERSIONS, REGISTRY_VERSION

PACKAGE = Path(forge_core.__file__).parent
SHOW = """
import json
from forge_core.features.version import FEATURE_VERSIONS, REGISTRY_VERSION
print(json.dumps([FEATURE_VERSIONS, REGISTRY_VERSION]))
"""
NEUTRAL = (  # comments, docstrings, layout, what no number of a column depends on
    ("features/catalogue/structures/fibonacci.py", "RATIOS = (0.236,", "# a comment\nRATIOS = (0.2360,"),
    ("features/catalogue/talib/momentum.py", "steps(10, 90, 5)", "steps(20, 90, 5)"),
    ("features/catalogue/structures/trend.py", "def _trend(", "def _unused():\n    return 1\n\n\ndef _trend("),
    ("features/alignment.py", '"""Return ``values[index]``', '"""Give ``values[index]``'),
    ("plays/describe.py", '"""', '"""Another page. '),
    ("errors.py", '"""', '"""Other errors. '),
)
ZONES = ("features/catalogue/structures/zones.py", "prices[bar] <= width", "prices[bar] < width")
RANGE = ("features/catalogue/undefined.py", 'bars["low"], params["timeperiod"])', 'bars["low"], 2)')
PIVOTS = ("features/catalogue/structures/pivots.py", "other <= top", "other < top")
STREAK = ("features/transforms.py", "run[i] = 0.0", "run[i] = 1.0")
ADJUSTMENT = ("market/futures/adjustment.py", "_ON_THE_GRID = 1e-6", "_ON_THE_GRID = 1e-5")
RESAMPLING = ("market/reference/sessions.py", "_SATURDAY, _SUNDAY = 5, 6", "_SATURDAY, _SUNDAY = 4, 5")


def versions_after(tmp_path, *edits):
    """Return the versions that a copy of the package has after ``edits`` (file, what, by what)."""
    copy = tmp_path / "forge_core"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, what, by in edits:
        text = (copy / name).read_text(encoding="utf-8")
        assert what in text, (name, what)
        (copy / name).write_text(text.replace(what, by, 1), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(shown.stdout)


def test_edits_that_change_no_number_change_no_version(tmp_path):
    assert versions_after(tmp_path, *NEUTRAL[1:], NEUTRAL[0]) == [FEATURE_VERSIONS, REGISTRY_VERSION]


@pytest.mark.parametrize(
    ("edits", "changed"),
    [
        ((ZONES, RANGE), {"zones", "willr"}),
        ((ADJUSTMENT,), set(FEATURE_VERSIONS)),
        ((PIVOTS,), {"swings", "trend", "breaks", "zones", "fibonacci"}),
        ((STREAK,), set(FEATURE_VERSIONS)),
        ((RESAMPLING,), set(FEATURE_VERSIONS)),
    ],
    ids=["kernels", "prices of futures", "a kernel others call", "what all columns go through", "the bars"],
)
def test_an_edit_changes_the_versions_of_what_it_computes(edits, changed, tmp_path):
    features, registry = versions_after(tmp_path, *edits, *NEUTRAL)
    assert {name for name, key in features.items() if key != FEATURE_VERSIONS[name]} == changed
    assert registry != REGISTRY_VERSION


def test_no_two_features_have_one_version():
    assert len(set(FEATURE_VERSIONS.values())) == len(FEATURE_VERSIONS)
    assert len(REGISTRY_VERSION) == 12
