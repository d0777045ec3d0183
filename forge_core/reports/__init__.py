"""Reports as single HTML pages without network access: figures, charts, tables."""
