"""Searches that evidence repeats: luck searches and walk-forward windows, as tasks that survive a kill."""
