"""Markets in memory: real bars, mirrored ones without memory, disturbed ones."""
