"""Forge's computing core: market data, features, Plays, the backtest engine, metrics and evolution.

Nothing in this package imports dagster; ``forge_pipelines`` wires it into assets and jobs.
"""
