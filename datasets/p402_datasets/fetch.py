"""How a file comes from a URL to a folder: whole or not at all, resumed, and never changed unseen.

Nothing is fetched unless it is asked for. A download goes to a `.part` file and takes its name once its
length is the one that the server named; cut, the next one goes on from there, if the server can tell that the
file is still the same (`If-Range`), and begins anew otherwise. The SHA-256 of the first
download is kept in `fetched.json` beside it, and from then on other bytes are refused, on disk and from the
wire.

It knows nothing of what the files mean.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Final

import httpx
import msgspec

from p402_datasets.errors import CorruptData, DatasetError, MissingData

LOCK: Final = "fetched.json"
BLOCK: Final = 1 << 18
TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there, and how many there will be, if the server says."""


class Fetched(msgspec.Struct, frozen=True):
    """What came the first time."""

    url: str
    sha256: str
    bytes: int
    fetched_on: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file: its name in the folder, which may hold slashes, and where it is to be had."""

    name: str
    url: str


def locked(folder: Path) -> dict[str, Fetched]:
    """What was fetched into a folder, by name.

    Raises
    ------
    CorruptData
        The record cannot be read.
    """
    path = folder / LOCK
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Fetched])
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (msgspec.DecodeError, OSError) as error:
        raise CorruptData(
            f"{path}: {error}; expected what an earlier fetch wrote; delete it to trust anew"
        ) from error


def check(folder: Path, names: list[str]) -> None:
    """Hold files to the record of their first download; those that were put there by hand have none.

    Raises
    ------
    CorruptData
        A file's bytes are others than they were.
    """
    known = locked(folder)
    for name in names:
        if name in known and (folder / name).is_file():
            _hold(folder / name, known[name])


def fetch(
    wanted: Wanted,
    folder: Path,
    by_hand: str,
    progress: Progress = lambda _name, _done, _total: None,
    *,
    client: httpx.Client | None = None,
) -> bool:
    """Fetch one file; False where it is there already, as it was.

    Parameters
    ----------
    by_hand
        How to get it otherwise, for errors.

    Raises
    ------
    MissingData
        The server cannot be reached, has no such file, or stopped in the middle; the message says how to go
        on.
    CorruptData
        The bytes on disk, or those that came, are not those of the first download.
    DatasetError
        The folder cannot be written.
    """
    path = folder / wanted.name
    part = path.with_name(path.name + ".part")
    try:
        if _is_there(folder, wanted.name):
            return False
        with _alone(folder), ExitStack() as stack:
            path.parent.mkdir(parents=True, exist_ok=True)
            if _is_there(folder, wanted.name):  # another fetch ended just now
                return False
            known = locked(folder).get(wanted.name)
            if client is None:
                client = stack.enter_context(httpx.Client(timeout=TIMEOUT, follow_redirects=True))
            _download(client, wanted, part, by_hand, progress)
            _take(folder, wanted, part, known)
    except OSError as error:
        raise DatasetError(
            f"{path}: {error.strerror}; expected to write there; name another --cache"
        ) from error
    return True


def _is_there(folder: Path, name: str) -> bool:
    """Whether a file is there, and is what came the first time."""
    path, known = folder / name, locked(folder).get(name)
    if not path.is_file():
        return False
    if known is not None:
        _hold(path, known)
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else fetches into a folder: two would write one part, and lock a digest that no server gave.

    The lock is the system's, so that it ends with its process, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(
                f"{folder}: another fetch is writing there; expected to be alone; wait until it is done"
            ) from error
        yield
    finally:
        os.close(fd)


def _take(folder: Path, wanted: Wanted, part: Path, known: Fetched | None) -> None:
    """Give a whole part its name, and record it; refuse it where other bytes came the first time."""
    path = folder / wanted.name
    came = Fetched(wanted.url, _digest(part), part.stat().st_size, f"{datetime.now(UTC):%Y-%m-%d}")
    if known is not None and known.sha256 != came.sha256:
        part.unlink()
        raise CorruptData(
            f"{wanted.url} now has SHA-256 {came.sha256}; expected {known.sha256}, as on "
            f"{known.fetched_on}; "
            f"nothing was replaced: to take the new content, delete `{wanted.name}` from {folder / LOCK}"
        )
    part.replace(path)
    _record(folder, wanted.name, came)


def _download(client: httpx.Client, wanted: Wanted, part: Path, by_hand: str, progress: Progress) -> None:
    tag = part.with_name(part.name + ".tag")
    there, version = (part.stat().st_size, _read(tag)) if part.exists() else (0, "")
    headers = {"Range": f"bytes={there}-", "If-Range": version} if there and version else {}
    headers["Accept-Encoding"] = "identity"  # lengths are of the bytes that come
    try:
        with client.stream("GET", wanted.url, headers=headers) as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                if answer.headers.get("Content-Range") == f"bytes */{there}":
                    tag.unlink()
                    return  # all of it had come
                part.unlink()
                raise MissingData(
                    f"{wanted.url}: what had come is longer than the file; fetch again. Else {by_hand}"
                )
            if answer.status_code not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
                raise MissingData(
                    f"{wanted.url} answered {answer.status_code}; expected the file; give another --url, "
                    f"or {by_hand}"
                )
            resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT
            total = _total(answer, there if resumed else 0)
            done = there if resumed else 0
            if not resumed:
                part.unlink(missing_ok=True)
                tag.write_text(_version(answer))
            with part.open("ab" if resumed else "wb") as file:
                for block in answer.iter_bytes(BLOCK):
                    file.write(block)
                    done += len(block)
                    progress(wanted.name, done, total)
                file.flush()
                os.fsync(file.fileno())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = str(error) or type(error).__name__
        raise MissingData(
            f"{wanted.url} cannot be fetched: {said}; fetch again to go on where it stopped, give another "
            "--url, "
            f"or {by_hand}"
        ) from error
    if total is not None and done != total:
        if done > total:
            part.unlink()
        raise MissingData(
            f"{wanted.url} gave {done:,} bytes; expected {total:,}; fetch again, give another --url, or "
            f"{by_hand}"
        )
    tag.unlink(missing_ok=True)


def _version(answer: httpx.Response) -> str:
    """What names this very content for `If-Range`: a strong ETag, else when it last changed, else nothing.

    Source: RFC 9110, sections 13.1.5 and 8.8.3, read 2026-11-26.
    """
    tag = str(answer.headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(answer.headers.get("Last-Modified", ""))


def _read(tag: Path) -> str:
    try:
        return tag.read_text()
    except FileNotFoundError:
        return ""


def _total(answer: httpx.Response, before: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return before + int(length) if length is not None and length.isdigit() else None


def _hold(path: Path, known: Fetched) -> None:
    size = path.stat().st_size
    digest = _digest(path) if size == known.bytes else "of another length"
    if digest != known.sha256:
        raise CorruptData(
            f"{path} has {size:,} bytes, SHA-256 {digest}; expected {known.bytes:,} and {known.sha256}, as "
            "fetched "
            f"on {known.fetched_on}; delete it and fetch it again"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _record(folder: Path, name: str, came: Fetched) -> None:
    known = {**locked(folder), name: came}
    path = folder / LOCK
    fresh = path.with_name(f"{LOCK}.part")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(known.items()))), indent=1))
    fresh.replace(path)
