"""A real HTTP server on loopback that serves an archive-shaped folder, and misbehaves where it is told to."""

import hashlib
import io
import threading
import time
import zipfile
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd


class Archive:
    """An archive below ``root``. ``faults[path]`` are served once each, in order, before ``path`` itself:

    a status (``503``), ``drop`` (no answer), ``cut`` (the connection ends half way), ``short`` (half, announced as
    whole), ``stall`` (silence after half), ``drip`` (a byte at a time), ``other`` (something else of the same length).
    ``always`` holds one fault for every request.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: dict[str, deque[int | str]] = defaultdict(deque)
        self.always: int | str | None = None
        self.ranges = True
        self.requests: list[str] = []  # paths, as they came
        self.ranged: list[str] = []  # the Range headers that came
        self.at_once = self.most_at_once = 0
        self.pause = 0.0  # seconds each answer takes
        self.lock = threading.Lock()
        self.url = ""

    def put(self, folder: str, name: str, bars: pd.DataFrame, *, futures: bool = False) -> Path:
        """Write bars as Binance writes klines: spot in microseconds without a header, futures in milliseconds with."""
        times = pd.DatetimeIndex(bars.index).as_unit("ms" if futures else "us").asi8
        table = pd.DataFrame({"open_time": times, **{name: bars[name].to_numpy() for name in bars.columns}})
        table["close_time"] = times + (table["open_time"].diff().min() if len(bars) > 1 else 60_000) - 1
        table["quote_volume"] = table["volume"] * (table["high"] + table["low"]) / 2
        table["count"] = (table["volume"] > 0).astype(int)
        table["taker_buy_volume"] = table["volume"] / 2
        table["taker_buy_quote_volume"] = table["quote_volume"] / 2
        table["ignore"] = 0
        form = None if futures else "%.8f"
        times_ = ("open_time", "close_time")
        table[list(times_)] = table[list(times_)].astype("int64")
        return self.put_text(folder, name, table.to_csv(index=False, header=futures, float_format=form))

    def put_text(self, folder: str, name: str, text: str) -> Path:
        """Write a zip with one CSV of ``text``, and its checksum; return the zip."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name.replace(".zip", ".csv"), text)
        return self.put_bytes(folder, name, packed.getvalue())

    def put_bytes(self, folder: str, name: str, content: bytes) -> Path:
        """Write a file and its checksum; return the file."""
        path = self.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        path.with_name(name + ".CHECKSUM").write_text(f"{digest}  {name}\n")
        return path

    def put_klines(
        self, bars: pd.DataFrame, symbol: str, timeframe: str, *, market: str = "spot", daily: bool = True
    ) -> None:
        """Publish bars as Binance does: files of each day, and of each month but the last, which is not over."""
        for kind, form in (("monthly", "%Y-%m"), ("daily", "%Y-%m-%d"))[: 1 + daily]:
            folder = f"data/{market}/{kind}/klines/{symbol}/{timeframe}"
            groups = list(bars.groupby(bars.index.strftime(form)))
            for label, part in groups[:-1] if kind == "monthly" else groups:
                self.put(folder, f"{symbol}-{timeframe}-{label}.zip", part, futures=market != "spot")

    def asked(self, ending: str = ".zip") -> list[str]:
        """Return the names of the files that were asked for, in order of their names."""
        return sorted(path.rsplit("/", 1)[-1] for path in self.requests if path.endswith(ending))


@contextmanager
def serving(root: Path) -> Iterator[Archive]:
    """Serve ``root`` on a free port of loopback."""
    archive = Archive(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with archive.lock:
                archive.requests.append(self.path)
                if self.headers.get("Range"):
                    archive.ranged.append(self.headers["Range"])
                archive.at_once += 1
                archive.most_at_once = max(archive.most_at_once, archive.at_once)
                fault = archive.always or (archive.faults[self.path].popleft() if archive.faults[self.path] else None)
            try:
                time.sleep(archive.pause)
                self.answer(fault)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                with archive.lock:
                    archive.at_once -= 1

        def answer(self, fault: int | str | None) -> None:
            path = archive.root / self.path.lstrip("/")
            if isinstance(fault, int) or not path.is_file():
                status = fault if isinstance(fault, int) else 404
                self.send_response(status)
                if status in (429, 503):
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if fault == "drop":
                self.close_connection = True
                return
            content, begin = path.read_bytes(), 0
            whole = len(content)
            if fault == "other":
                content = bytes(255 - byte for byte in content)
            if archive.ranges and (wanted := self.headers.get("Range")):
                begin = int(wanted.removeprefix("bytes=").rstrip("-"))
                if begin >= whole:
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                content = content[begin:]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
            else:
                self.send_response(200)
            half = content[: len(content) // 2]
            self.send_header("Content-Length", str(len(half) if fault == "short" else len(content)))
            self.end_headers()
            if fault == "drip":
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
                return
            self.wfile.write(half if fault in ("cut", "short", "stall") else content)
            self.wfile.flush()
            if fault == "stall":
                time.sleep(1.5)
            if fault in ("cut", "stall"):
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            pass  # a client that went away is what some tests are about

    with Server(("127.0.0.1", 0), Handler) as server:
        archive.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield archive
        finally:
            server.shutdown()
            thread.join()
