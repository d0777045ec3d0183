"""New study files: a short, commented YAML file for given datasets."""

from collections.abc import Sequence
from pathlib import Path

from forge_core.errors import StudyError
from forge_core.evolution.spec.study import StudySpec, list_studies, load_study
from forge_core.files import write_text
from forge_core.market.reference.catalog import get_dataset_spec
from forge_core.paths import project_root, safe_name
from forge_core.study_files import study_files

_TEXT = """# Run: make evolve STUDY={name}. Keys: docs/evolution.md.

description: {description}

train: [{train}]
holdout: [{holdout}] # never seen by the search; the champion is evaluated on it once, at the end
timeframe: {timeframe}

space:
  level: {level} # 1 to 10: more indicators, structures and timeframes

objectives:
  - {{metric: sharpe, aggregate: worst}}
  - {{metric: max_drawdown, aggregate: worst}}

constraints:
  min_trades: 30 # on each train dataset

population: {population}
generations: {generations}
islands: 2
epochs: 2
seed: 1
"""


def new_study(
    name: str,
    train: Sequence[str],
    holdout: Sequence[str] = (),
    *,
    timeframe: str | None = None,
    level: int = 3,
    population: int = 100,
    generations: int = 30,
) -> tuple[Path, StudySpec]:
    """Write ``studies/<name>.yaml`` for the datasets and return its path and the study.

    ``timeframe`` is by default the first one of the first train dataset. The file is written only if the study is
    valid. Raises StudyError for a name that is taken, ConfigError for anything else.
    """
    safe_name(name, "study name")
    path = project_root() / "studies" / f"{name}.yaml"
    if path.exists() or name in list_studies() or name in study_files("sweep"):
        raise StudyError(f"there is a study or sweep {name!r} already ({path}); choose another name")
    if not train:
        raise StudyError("a study needs a dataset to train on; name one with --train, see `forge datasets list`")
    specs = [get_dataset_spec(dataset) for dataset in (*train, *holdout)]
    text = _TEXT.format(
        name=name,
        description=f"Plays of level {level} on {', '.join(dict.fromkeys(spec.symbol for spec in specs))}",
        train=", ".join(train),
        holdout=", ".join(holdout),
        timeframe=timeframe or specs[0].timeframes[0],
        level=level,
        population=population,
        generations=generations,
    )
    write_text(path, text)
    try:
        return path, load_study(name)
    except Exception:
        path.unlink()
        raise
