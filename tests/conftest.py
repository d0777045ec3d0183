"""What holds for every test."""

import os

from hypothesis import settings

# No test reaches out: a symbol whose bars are missing asks an archive that is not there.
os.environ.setdefault("FORGE_BINANCE_URL", "http://127.0.0.1:9")

# A machine under load is slow: no example has a deadline, and every run takes the same examples.
settings.register_profile("forge", deadline=None, derandomize=True, database=None)
settings.load_profile("forge")
