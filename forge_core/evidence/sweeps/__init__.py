"""Luck of mass tests: the luck line and the luck test over whole sweeps."""
