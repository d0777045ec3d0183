"""Judging Plays and studies: many backtests, signals, stress tests, comparisons and portfolios."""
