"""What holds for every test."""

import os

# No test reaches out: a symbol whose bars are missing asks an archive that is not there.
os.environ.setdefault("FORGE_BINANCE_URL", "http://127.0.0.1:9")
