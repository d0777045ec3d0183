"""Forge measured beside other engines: ``make bench``, or ``python -m benchmarks [SUITE ...]``; see docs/benchmarks.md.

Peers are installed by the extra ``bench`` and run as their users run them; no line of theirs is copied, and forge_core
never imports them.
"""
