"""Mass tests: every strategy on every month, symbol and interval; each result is written once, and all are ranked."""
