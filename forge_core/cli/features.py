"""``forge indicators``: indicators and structures available to Plays."""

from typing import Annotated

import typer

from forge_core.cli.console import reports_errors, say, show_table


@reports_errors
def list_features(
    name: Annotated[str | None, typer.Argument(help="Show one indicator or structure in full.")] = None,
    searchable: Annotated[bool, typer.Option("--searchable", help="Only those available to a search space.")] = False,
) -> None:
    """List the indicators and structures for Plays, with parameters, outputs and scales.

    Examples: `forge indicators`, `forge indicators bbands`
    """
    from forge_core.features.registry import all_features, get_feature
    from forge_core.features.registry import searchable as searchable_features

    if name is not None:
        feature = get_feature(name)
        say(f"{feature.name} ({feature.kind}): {feature.description}\n")
        show_table(
            ("parameter", "default", "from", "to", "search grid"),
            [(p.name, p.default, p.low, p.high, ", ".join(map(str, p.grid)) or "-") for p in feature.parameters],
        )
        say("")
        show_table(("output", "scale", "thresholds"), [
            (o.name, str(o.scale), ", ".join(f"{t:g}" for t in o.thresholds) or "-") for o in feature.outputs
        ])  # fmt: skip
        return
    features = searchable_features() if searchable else all_features()
    rows = [
        (
            feature.name,
            feature.kind,
            ", ".join(f"{p.name}={p.default:g}" for p in feature.parameters),
            ", ".join(f"{o.name}: {o.scale}" for o in feature.outputs),
        )
        for feature in features
    ]
    show_table(("name", "kind", "parameters and defaults", "outputs and scales"), rows)
    say(f"\n{len(rows)} in total; `forge indicators NAME` shows one in full")
