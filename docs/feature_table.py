"""Table of features in docs/features.md, written from the registry: ``python docs/feature_table.py``."""

from itertools import groupby
from pathlib import Path

from forge_core.features.definition import FeatureDefinition
from forge_core.features.registry import builtin_features

PAGE = Path(__file__).with_name("features.md")
MARK = "<!-- written by docs/feature_table.py -->\n"


def row(definition: FeatureDefinition) -> str:
    """Return one line of the table: name, parameters with defaults, outputs with scales (default in bold), choices."""
    parameters = ", ".join(f"`{p.name}` {p.default:g}" for p in definition.parameters)
    by_scale = groupby(definition.outputs, key=lambda output: str(output.scale))
    names = {
        o.name: f"**`{o.name}`**" if o.name == definition.default_output else f"`{o.name}`" for o in definition.outputs
    }
    outputs = "; ".join(f"{', '.join(names[o.name] for o in group)} ({scale})" for scale, group in by_scale)
    searched = len(definition.combinations()) if definition.search else ""
    return f"| `{definition.name}` | {definition.description} | {parameters} | {outputs} | {searched} |"


def table() -> str:
    """Return the table of all features except candlestick patterns, and the list of those, as Markdown."""
    patterns = [definition for definition in builtin_features() if definition.name.startswith("cdl")]
    others = [definition for definition in builtin_features() if definition not in patterns]
    lines = ["| name | what | parameters and defaults | outputs (scale) | searched |", "|---|---|---|---|---|"]
    lines += map(row, others)
    lines += ["", "Candlestick patterns (output `integer`): " + ", ".join(f"`{p.name}`" for p in patterns) + "."]
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with a new table."""
    before, _, _ = text.partition(MARK)
    return before + MARK + "\n" + table()


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
