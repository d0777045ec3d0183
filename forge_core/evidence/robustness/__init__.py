"""Probes and controls of one champion; they may lower a verdict, never raise it."""
