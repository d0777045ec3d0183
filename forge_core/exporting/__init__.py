"""Plays for other programs: a plain Python file, a Pine script, a freqtrade strategy; studies for Optuna."""
