"""History of engine measurements and the committed baseline, both as ratios to the floor."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forge_core.files import write_text

BASELINE = Path(__file__).resolve().parent / "baseline.json"
ROWS = ("forge", "forge_new_play", "forge_stops")
TOLERANCE = 0.25


def ratios_to_floor(milliseconds: dict[str, float]) -> dict[str, float]:
    """Return the time of each row of ``ROWS`` as a multiple of the floor's time."""
    return {row: round(milliseconds[row] / milliseconds["floor"], 3) for row in ROWS}


def entry(result: dict[str, Any]) -> dict[str, Any]:
    """Return the history entry of an engine result (the content of engine.json)."""
    ratios = ratios_to_floor({row: result[f"{row}_ms"] for row in (*ROWS, "floor")})
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "data": result["data"],
        "processor": result["machine"]["processor"],
        "load": result["machine"]["load"],
        "floor_ms": result["floor_ms"],
        "ratios": ratios,
    }


def append(path: Path, line: dict[str, Any]) -> None:
    """Append one JSON line to the history file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_baseline(processor: str, path: Path = BASELINE) -> dict[str, float] | None:
    """Return the recorded ratios of a processor; None if there are none."""
    return _processors(path).get(processor)


def record_baseline(processor: str, ratios: dict[str, float], path: Path = BASELINE) -> None:
    """Write the ratios of a processor; entries of other processors are kept."""
    value = {"processors": _processors(path) | {processor: ratios}}
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def _processors(path: Path) -> dict[str, dict[str, float]]:
    return json.loads(path.read_text(encoding="utf-8"))["processors"] if path.is_file() else {}


def slower_rows(baseline: dict[str, float], measured: dict[str, float], tolerance: float = TOLERANCE) -> list[str]:
    """Return a message per row whose ratio exceeds the baseline by more than ``tolerance``."""
    return [
        f"{row}: {measured[row]:.2f} times the floor, baseline {baseline[row]:.2f} "
        f"({measured[row] / baseline[row] - 1:+.0%}, limit {tolerance:+.0%})"
        for row in ROWS
        if measured[row] > baseline[row] * (1 + tolerance)
    ]


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--tags"]
    done = subprocess.run(command, cwd=BASELINE.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
