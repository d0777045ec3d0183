"""Where bars come from: a module a source (see ``forge_core.market.source``), and the import folder (``files``)."""
