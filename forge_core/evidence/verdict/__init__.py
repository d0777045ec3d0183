"""Verdict on a champion: its rules, its document, and how it is shown."""
