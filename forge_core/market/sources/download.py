"""Download of a public archive's files over HTTP: checked by checksums, resumed after interruptions, rate-limited."""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import requests
import tenacity
from tenacity.wait import wait_base
from urllib3.exceptions import HTTPError

from forge_core.errors import ConfigError, DataError

Log = Callable[[str], None]

_CHECKSUM = re.compile(r"([0-9a-fA-F]{64})\b")
_CHECKSUM_AT_MOST = 4096  # bytes
_CHUNK = 1 << 16
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})  # responses after which a retry makes sense


@dataclass(frozen=True)
class Limits:
    """Limits of requests to a server: number, waits (all bounded) and sizes. Times are in seconds."""

    at_once: int = 4
    attempts: int = 5
    connect: float = 10.0
    silence: float = 30.0  # without data on a connection, until it is closed
    attempt: float = 180.0  # for one attempt at a file; received bytes are kept
    first_wait: float = 0.5  # before the second attempt; doubled for each further one, with jitter
    longest_wait: float = 30.0
    log_interval: float = 5.0
    largest: int = 2 * 2**30  # bytes of one file; a month of klines has a few MB


@dataclass(frozen=True)
class Part:
    """A file of the archive: its SHA-256 and its path (None if the checksum was known and nothing was fetched)."""

    checksum: str
    path: Path | None


def check_url(url: str, setting: str) -> str:
    """Return a base address without its trailing slash; raise ConfigError unless it is one of http or https."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{setting} is {url!r}: an address such as https://archive.example is expected")
    return url.rstrip("/")


def download_parts(
    url: str,
    names: Iterable[str],
    folder: Path,
    *,
    known: Mapping[str, str],
    limits: Limits,
    subject: str,
    log: Log,
) -> dict[str, Part | None]:
    """Fetch the files ``names`` (paths below ``url``) into ``folder``, each checked against ``<name>.CHECKSUM``.

    The result is None for files that the archive does not have. Files whose checksum is ``known`` are not fetched
    again. An incomplete file stays as ``<name>.part`` and is resumed, also by a later call. Raises DataError if the
    server cannot be reached, responds with an error or sends content that does not match the checksum,
    ``limits.attempts`` times in a row. Other downloads are then cancelled; complete files stay in ``folder``.
    """
    wanted = list(dict.fromkeys(names))
    fetcher = _Fetcher(url, folder, known, limits)
    done: dict[str, Part | None] = {}
    logged = time.monotonic()
    executor = ThreadPoolExecutor(limits.at_once, thread_name_prefix="download")
    try:
        futures: dict[Future[Part | None], str] = {executor.submit(fetcher.fetch, name): name for name in wanted}
        for future in as_completed(futures):
            try:
                done[futures[future]] = future.result()
            except _CancelledError:
                continue  # because of another file, whose error is raised
            if time.monotonic() - logged > limits.log_interval and len(done) < len(wanted):
                logged = time.monotonic()
                log(f"{subject}: {len(done)} of {len(wanted)} files, {fetcher.received / 1e6:.1f} MB")
    finally:
        fetcher.stop.set()
        executor.shutdown(wait=True, cancel_futures=True)
        fetcher.close()
    if wanted:
        counts = {
            "fetched": sum(part is not None and part.path is not None for part in done.values()),
            "unchanged": sum(part is not None and part.path is None for part in done.values()),
            "absent": sum(part is None for part in done.values()),
        }
        summary = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        log(f"{subject}: {len(wanted)} files requested: {summary}; {fetcher.received / 1e6:.1f} MB")
    return {name: done[name] for name in wanted}


class _RetryableError(Exception):
    """A failure that a retry may fix, ``after`` a number of seconds if the server gave one."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class _CancelledError(Exception):
    """The download was stopped because another file failed."""


class _Wait(wait_base):
    """Exponential backoff with jitter, at least the server's Retry-After."""

    def __init__(self, limits: Limits) -> None:
        self._longest = limits.longest_wait
        self._backoff = tenacity.wait_exponential(
            multiplier=limits.first_wait, max=limits.longest_wait
        ) + tenacity.wait_random(0, limits.first_wait)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.after if isinstance(error, _RetryableError) else 0.0
        return max(self._backoff(retry_state), min(asked, self._longest))


class _Fetcher:
    """Fetches files in several threads; ``stop`` cancels all of them."""

    def __init__(self, url: str, folder: Path, known: Mapping[str, str], limits: Limits) -> None:
        self.stop = threading.Event()
        self.received = 0  # bytes
        self._url = url
        self._folder = folder
        self._known = known
        self._limits = limits
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def fetch(self, name: str) -> Part | None:
        """Fetch one file, with the retries that the limits allow."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._limits.attempts) | tenacity.stop_when_event_set(self.stop),
            wait=_Wait(self._limits),
            retry=tenacity.retry_if_exception_type(_RetryableError),
            sleep=tenacity.sleep_using_event(self.stop),
            reraise=True,
        )
        try:
            return retrying(self._try, name)
        except _RetryableError as error:
            if self.stop.is_set():
                raise _CancelledError from error
            self.stop.set()
            raise DataError(f"{self._url}/{name}: {error} (tried {self._limits.attempts} times)") from error
        except DataError:
            self.stop.set()
            raise

    def _try(self, name: str) -> Part | None:
        checksum = self._checksum(name)
        if checksum is None:
            return None
        if self._known.get(name) == checksum:
            return Part(checksum, None)
        target = self._folder / name
        if target.is_file() and _sha256(target) == checksum:
            return Part(checksum, target)
        part = target.with_name(target.name + ".part")
        if not (part.is_file() and _sha256(part) == checksum):
            if not self._download(name, part):
                return None
            if (got := _sha256(part)) != checksum:
                part.unlink()
                raise _RetryableError(f"its SHA-256 is {got[:12]}..., its CHECKSUM file says {checksum[:12]}...")
        part.replace(target)
        return Part(checksum, target)

    def _checksum(self, name: str) -> str | None:
        """Return the published SHA-256 of a file, or None if the archive does not have it."""
        with closing(self._get(f"{name}.CHECKSUM", {})) as response:
            if response.status_code == requests.codes.not_found:
                return None
            text = b"".join(self._chunks(response, _CHECKSUM_AT_MOST)).decode("utf-8", "replace")
        found = _CHECKSUM.match(text.strip())
        if found is None:
            raise _RetryableError(f"its CHECKSUM file has no SHA-256, got {text[:40]!r}")
        return found[1].lower()

    def _download(self, name: str, part: Path) -> bool:
        """Append the missing bytes of a file to ``part``; return False if the archive does not have the file."""
        have = part.stat().st_size if part.is_file() else 0
        with closing(self._get(name, {"Range": f"bytes={have}-"} if have else {})) as response:
            if response.status_code == requests.codes.not_found:
                return False
            resumed = response.status_code == requests.codes.partial_content
            if have and response.status_code == requests.codes.requested_range_not_satisfiable:
                part.unlink()  # longer than the file, so it is of another version
                raise _RetryableError("the file in the archive is shorter than the part of it on disk")
            if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink()
                raise _RetryableError(f"the server sent {response.headers.get('Content-Range')!r} for bytes {have}-")
            try:
                part.parent.mkdir(parents=True, exist_ok=True)
                size = have if resumed else 0
                with part.open(
                    "ab" if resumed else "wb", buffering=0
                ) as file:  # unbuffered, so that a kill loses no bytes
                    self._check_size(name, part, size + _announced(response))
                    for chunk in self._chunks(response):
                        size += len(chunk)
                        self._check_size(name, part, size)
                        file.write(chunk)
            except OSError as error:
                raise DataError(f"{part} cannot be written ({error}): free disk space and run again") from error
        return True

    def _check_size(self, name: str, part: Path, size: int) -> None:
        """Delete ``part`` and raise DataError if the file is larger than the limit."""
        if size > self._limits.largest:
            part.unlink(missing_ok=True)
            raise DataError(
                f"{self._url}/{name}: the file has {size:,} bytes or more, expected {self._limits.largest:,} or fewer: "
                "it is not a file of bars"
            )

    def _get(self, name: str, headers: Mapping[str, str]) -> requests.Response:
        """Request a file; the response is its whole or partial content, or 404."""
        if self.stop.is_set():
            raise _CancelledError
        limits = self._limits
        try:
            response = self._session().get(
                f"{self._url}/{name}", headers=dict(headers), stream=True, timeout=(limits.connect, limits.silence)
            )
        except (requests.RequestException, HTTPError) as error:
            raise _RetryableError(_reason(error)) from error
        status = response.status_code
        if status in (200, 206, 404) or (status == 416 and headers):
            return response
        response.close()
        answer = f"the server responded {status} {response.reason}"
        if status in _LATER:
            asked = response.headers.get("Retry-After", "")
            raise _RetryableError(answer, float(asked) if asked.isdecimal() else 0.0)
        raise DataError(f"{self._url}/{name}: {answer}")

    def _chunks(self, response: requests.Response, at_most: int | None = None) -> Iterable[bytes]:
        """Yield the body as it is received; raise the retryable error for a body that is too slow or too short."""
        deadline = time.monotonic() + self._limits.attempt
        announced, got = response.headers.get("Content-Length", ""), 0
        while True:
            try:
                chunk = response.raw.read1(_CHUNK)
            except (HTTPError, OSError) as error:  # OSError: connection reset
                raise _RetryableError(f"the connection was lost after {got} bytes ({_reason(error)})") from error
            if not chunk:
                break
            got += len(chunk)
            with self._lock:
                self.received += len(chunk)
            yield chunk
            if at_most is not None and got >= at_most:
                return
            if self.stop.is_set():
                raise _CancelledError
            if time.monotonic() > deadline:
                raise _RetryableError(f"only {got} bytes were received in {self._limits.attempt:g} s")
        if announced.isdecimal() and got < int(announced):
            raise _RetryableError(f"the response ended after {got} of {announced} bytes")

    def _session(self) -> requests.Session:
        """Return the session of this thread; requests does not guarantee that sessions can be shared."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.headers["User-Agent"] = f"forge-evolve/{version('forge-evolve')}"
            session.headers["Accept-Encoding"] = "identity"
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return self._local.session


def _announced(response: requests.Response) -> int:
    """Return the announced length of a response, 0 if unknown."""
    announced = response.headers.get("Content-Length", "")
    return int(announced) if announced.isdecimal() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    """Return the message of an error without the objects that libraries wrap it in."""
    inner = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error
    return str(getattr(inner, "reason", None) or inner).rpartition("): ")[2]
