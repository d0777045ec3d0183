"""Files of a public archive over HTTP: checked by their checksums, taken up where a download broke off, politely."""

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
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers after which asking again makes sense


@dataclass(frozen=True)
class Limits:
    """How hard a server is asked, and for how long: all waits are bounded. Times are in seconds."""

    at_once: int = 4
    attempts: int = 5
    connect: float = 10.0
    silence: float = 30.0  # of a connection, until it is given up
    attempt: float = 180.0  # of one file, until it is given up; what came so far is kept
    first_wait: float = 0.5  # before the second attempt; it doubles, with jitter
    longest_wait: float = 30.0
    say_every: float = 5.0
    largest: int = 2 * 2**30  # bytes of one file; a month of klines has a few MB


@dataclass(frozen=True)
class Part:
    """A file of the archive: its SHA-256, and where it lies now (None where it is the one that was known)."""

    checksum: str
    path: Path | None


def check_url(url: str, setting: str) -> str:
    """Return a base address without its last slash; raises ConfigError unless it is one of http or https."""
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

    None stands for a file that the archive does not have. One whose checksum is ``known`` is not fetched again. An
    unfinished file stays as ``<name>.part`` and is gone on with, also by a later call. Raises DataError when the
    server cannot be reached, answers with an error or gives what does not match the checksum, ``limits.attempts``
    times in a row; whatever else is under way is then given up, and what is complete stays in ``folder``.
    """
    wanted = list(dict.fromkeys(names))
    fetcher = _Fetcher(url, folder, known, limits)
    done: dict[str, Part | None] = {}
    said = time.monotonic()
    executor = ThreadPoolExecutor(limits.at_once, thread_name_prefix="download")
    try:
        futures: dict[Future[Part | None], str] = {executor.submit(fetcher.fetch, name): name for name in wanted}
        for future in as_completed(futures):
            try:
                done[futures[future]] = future.result()
            except _GivenUp:
                continue  # because of another one, which raises what was wrong
            if time.monotonic() - said > limits.say_every and len(done) < len(wanted):
                said = time.monotonic()
                log(f"{subject}: {len(done)} of {len(wanted)} files, {fetcher.received / 1e6:.1f} MB")
    finally:
        fetcher.stop.set()
        executor.shutdown(wait=True, cancel_futures=True)
        fetcher.close()
    if wanted:
        counts = {
            "fetched": sum(part is not None and part.path is not None for part in done.values()),
            "as before": sum(part is not None and part.path is None for part in done.values()),
            "not there": sum(part is None for part in done.values()),
        }
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        log(f"{subject}: {len(wanted)} files asked for: {told}; {fetcher.received / 1e6:.1f} MB")
    return {name: done[name] for name in wanted}


class _TryAgain(Exception):
    """What may go well the next time, ``after`` so many seconds if the server said so."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class _GivenUp(Exception):
    """Another file has failed for good."""


class _Wait(wait_base):
    """Ever longer waits with jitter, and at least as long as the server asks for."""

    def __init__(self, limits: Limits) -> None:
        self._longest = limits.longest_wait
        self._backoff = tenacity.wait_exponential(
            multiplier=limits.first_wait, max=limits.longest_wait
        ) + tenacity.wait_random(0, limits.first_wait)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.after if isinstance(error, _TryAgain) else 0.0
        return max(self._backoff(retry_state), min(asked, self._longest))


class _Fetcher:
    """Fetches files in several threads; ``stop`` ends them all."""

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
        """Fetch one file, trying as often as the limits allow."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._limits.attempts) | tenacity.stop_when_event_set(self.stop),
            wait=_Wait(self._limits),
            retry=tenacity.retry_if_exception_type(_TryAgain),
            sleep=tenacity.sleep_using_event(self.stop),
            reraise=True,
        )
        try:
            return retrying(self._try, name)
        except _TryAgain as error:
            if self.stop.is_set():
                raise _GivenUp from error
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
                raise _TryAgain(f"its SHA-256 is {got[:12]}..., its CHECKSUM file says {checksum[:12]}...")
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
            raise _TryAgain(f"its CHECKSUM file holds no SHA-256 but {text[:40]!r}")
        return found[1].lower()

    def _download(self, name: str, part: Path) -> bool:
        """Add to ``part`` what it lacks of a file; return False if the archive does not have it."""
        have = part.stat().st_size if part.is_file() else 0
        with closing(self._get(name, {"Range": f"bytes={have}-"} if have else {})) as response:
            if response.status_code == requests.codes.not_found:
                return False
            resumed = response.status_code == requests.codes.partial_content
            if have and response.status_code == requests.codes.requested_range_not_satisfiable:
                part.unlink()  # it is longer than the file: another one's
                raise _TryAgain("the file in the archive is shorter than what was fetched of it before")
            if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink()
                raise _TryAgain(f"the server sent {response.headers.get('Content-Range')!r} for bytes {have}-")
            try:
                part.parent.mkdir(parents=True, exist_ok=True)
                size = have if resumed else 0
                with part.open("ab" if resumed else "wb", buffering=0) as file:  # nothing is lost by a kill
                    self._check_size(name, part, size + _announced(response))
                    for chunk in self._chunks(response):
                        size += len(chunk)
                        self._check_size(name, part, size)
                        file.write(chunk)
            except OSError as error:
                raise DataError(f"{part} cannot be written ({error}): make room or mend it, and try again") from error
        return True

    def _check_size(self, name: str, part: Path, size: int) -> None:
        """Raise DataError, and delete what came, for a file larger than the limit."""
        if size > self._limits.largest:
            part.unlink(missing_ok=True)
            raise DataError(
                f"{self._url}/{name}: the file has {size:,} bytes or more, and at most {self._limits.largest:,} are "
                "fetched: it is no file of bars"
            )

    def _get(self, name: str, headers: Mapping[str, str]) -> requests.Response:
        """Ask for a file; the answer is whole or partial content, or that there is none (404)."""
        if self.stop.is_set():
            raise _GivenUp
        limits = self._limits
        try:
            response = self._session().get(
                f"{self._url}/{name}", headers=dict(headers), stream=True, timeout=(limits.connect, limits.silence)
            )
        except (requests.RequestException, HTTPError) as error:
            raise _TryAgain(_reason(error)) from error
        status = response.status_code
        if status in (200, 206, 404) or (status == 416 and headers):
            return response
        response.close()
        answer = f"the server answered {status} {response.reason}"
        if status in _LATER:
            asked = response.headers.get("Retry-After", "")
            raise _TryAgain(answer, float(asked) if asked.isdecimal() else 0.0)
        raise DataError(f"{self._url}/{name}: {answer}")

    def _chunks(self, response: requests.Response, at_most: int | None = None) -> Iterable[bytes]:
        """Yield the body as it comes in; an answer that is too slow or too short is to be tried again."""
        deadline = time.monotonic() + self._limits.attempt
        announced, got = response.headers.get("Content-Length", ""), 0
        while True:
            try:
                chunk = response.raw.read1(_CHUNK)
            except (HTTPError, OSError) as error:  # OSError: a connection that was reset
                raise _TryAgain(f"the connection broke off after {got} bytes ({_reason(error)})") from error
            if not chunk:
                break
            got += len(chunk)
            with self._lock:
                self.received += len(chunk)
            yield chunk
            if at_most is not None and got >= at_most:
                return
            if self.stop.is_set():
                raise _GivenUp
            if time.monotonic() > deadline:
                raise _TryAgain(f"only {got} bytes came in {self._limits.attempt:g} s")
        if announced.isdecimal() and got < int(announced):
            raise _TryAgain(f"the answer ended after {got} of {announced} bytes")

    def _session(self) -> requests.Session:
        """Return this thread's own session: requests does not promise that one can be shared."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.headers["User-Agent"] = f"forge-evolve/{version('forge-evolve')}"
            session.headers["Accept-Encoding"] = "identity"
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return self._local.session


def _announced(response: requests.Response) -> int:
    """Return how many bytes the server says it sends, 0 where it does not."""
    announced = response.headers.get("Content-Length", "")
    return int(announced) if announced.isdecimal() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    """Return what went wrong in words, without the objects that libraries wrap it in."""
    inner = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error
    return str(getattr(inner, "reason", None) or inner).rpartition("): ")[2]
