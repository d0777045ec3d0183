"""Suites, one module each, with ``run(options) -> dict``: print tables and return the content of the JSON file.

``python -m benchmarks`` discovers the modules of this package and writes ``benchmarks/out/<module>.json``.
"""
