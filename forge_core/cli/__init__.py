"""The ``forge`` command line, for tasks outside Dagster's own commands."""
