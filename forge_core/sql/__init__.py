"""Asking what Forge has written, in SQL: views over bars, datasets, generations and mass tests, read-only."""
