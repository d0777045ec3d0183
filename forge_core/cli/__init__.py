"""The ``forge`` command: what Dagster's own commands do not do."""
