"""Benchmarks of Forge and other engines: ``make bench`` or ``python -m benchmarks``; see docs/benchmarks.md.

Peers are installed by the extra ``bench`` and run through their public API; no code of theirs is copied, and forge_core
never imports them.
"""
