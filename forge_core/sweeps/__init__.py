"""Mass tests: every strategy, month, symbol and interval; each result written once, and a ranking over all of them."""
