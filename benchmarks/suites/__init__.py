"""One module a suite. A suite has ``run(options) -> dict``: it prints its tables and returns what its JSON file holds.

``python -m benchmarks`` finds the modules of this package by itself and writes ``benchmarks/out/<module>.json``.
"""
