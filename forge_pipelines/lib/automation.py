"""Declarative automation: datasets and banks follow the bars they are made of."""

import dagster as dg

CHANGED_UPSTREAM = (
    dg.AutomationCondition.eager()
    .replace(
        "any_deps_updated",
        dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()).with_label(
            "any_deps_changed"
        ),
    )
    .with_label("changed_upstream")
)
"""Made again when what it is made of has another content than before: a refresh that brought nothing new, or new bars
after a dataset's end, start nothing further down the line."""
