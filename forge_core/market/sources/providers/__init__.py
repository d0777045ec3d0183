"""Sources of bars, one module each (see ``forge_core.market.sources.protocol``); ``files`` is the import folder."""
