"""Read-only SQL views over bars, datasets, generations and mass tests."""
