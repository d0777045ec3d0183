"""Staging of an import: checked bars on disk, so that memory does not grow with the file."""

import errno
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forge_core.errors import DataError
from forge_core.market.bars.model import BAR_COLUMNS
from forge_core.market.datasets.versions import bars_table
from forge_core.paths import Home

_PREFIX = ".importing-"
_LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextmanager
def workspace(home: Home) -> Iterator[Path]:
    """Create a folder for one import and delete it afterwards; folders of killed imports are deleted too.

    Raises DataError with the remedy if the disk is full.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    for left in home.root.glob(f"{_PREFIX}*{_LOCK}"):
        _remove_if_left(left)
    folder = home.root / f"{_PREFIX}{secrets.token_hex(6)}"
    lock = filelock.FileLock(f"{folder}{_LOCK}")  # released by the operating system when this process dies
    lock.acquire()  # before anything is written
    try:
        folder.mkdir()
        yield folder
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DataError(
            f"the disk of {home.root} is full ({error}): nothing of this import was stored; free disk space, or "
            "move the data with FORGE_HOME, and run it again"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _remove_if_left(path: Path) -> None:
    """Delete a lock file and its folder unless a running import holds the lock."""
    lock = filelock.FileLock(path, timeout=0)
    try:
        with lock:
            shutil.rmtree(path.with_name(path.name.removesuffix(_LOCK)), ignore_errors=True)
            path.unlink(missing_ok=True)
    except filelock.Timeout:
        return


class BarStaging:
    """Bars written to a Parquet file in chunks; readable after the ``with`` block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, bars: pd.DataFrame) -> None:
        """Append bars."""
        table = bars_table(bars)
        table = table.set_column(0, "timestamp", table["timestamp"].cast(pa.timestamp("us")))  # as in the store
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema, compression="lz4")
        self._writer.write_table(table)
        self.rows += len(bars)

    def read(self) -> pd.DataFrame:
        """Return all bars, in Forge's form, oldest first."""
        table = pq.read_table(self.path, partitioning=None)
        times = table["timestamp"].cast(pa.int64()).to_numpy().astype("datetime64[us]")
        index = pd.DatetimeIndex(times, tz="UTC", name="timestamp")
        return pd.DataFrame({name: table[name].to_numpy() for name in BAR_COLUMNS}, index=index).sort_index()
