"""The jobs: ``evolve``, and one for each asset that is refreshed or built on its own."""
