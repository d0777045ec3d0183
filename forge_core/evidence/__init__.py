"""Evidence that a champion is more than luck: statistics, markets without memory, out-of-sample tests, a verdict."""
