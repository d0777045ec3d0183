"""Statistics of returns: Sharpe ratios and their luck, block bootstrap, superior predictive ability, e-process."""
