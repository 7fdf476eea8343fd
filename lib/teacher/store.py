"""The response store: what was asked and answered, once and for good.

One JSON line a response, appended when it arrives; the key is everything that changes the answer and nothing else:

    {"key": "5e88…", "text": "Tom has 3 pens. …", "finish_reason": "stop", "prompt_tokens": 9, "completion_tokens": 17}

    with Store(paths.GENERATE_STORE) as store:
        key = request_key(teacher.identity, request)
        if store.get(key) is None:
            store.put(key, teacher.complete(request))
        store.compact()

A killed process loses only what was in flight; a loss of power may also lose what the system had not yet written.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from functools import lru_cache
from pathlib import Path

from lib.errors import UserError
from lib.teacher import Request, Response

FIELDS = ("key", *(field.name for field in fields(Response)))
TYPES = (str, str, str, int, int)


def request_key(identity: str, request: Request) -> str:
    """SHA-256 (hex) of teacher, messages, temperature, max_tokens and sample index.

    Concurrency, time-outs, the order and the number of other requests do not enter.
    """
    *prefix, last = ((message["role"], message["content"]) for message in request.messages)
    digest = _prefix_digest(identity, float(request.temperature), request.max_tokens, tuple(prefix)).copy()
    digest.update(json.dumps([last, request.sample]).encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _prefix_digest(identity: str, temperature: float, max_tokens: int, prefix: tuple[tuple[str, str], ...]):
    """The part all questions of one few-shot prompt share, hashed once. Looked up by value, so never stale."""
    # One JSON line each: no two different requests run together into the same bytes.
    return hashlib.sha256(json.dumps([identity, temperature, max_tokens, prefix]).encode() + b"\n")


class Store:
    """Append-only JSON Lines with one writer, which reads through to earlier stores.

    path       opened (created) for writing, locked; a torn last line, left by a crash, is cut and counted in `repaired`
    reads      earlier stages' stores, only read
    Raises UserError where another process holds the lock, or a line is not a response (file and line number).
    """

    def __init__(self, path: Path, reads: Sequence[Path] = ()):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.path)
        self._earlier: dict[str, Response] = {}
        try:
            for earlier in map(Path, reads):
                if earlier.exists():
                    _merge(self._earlier, _rows(earlier, _whole_lines(earlier)))
            self.repaired = _repair(self.path)
            self._rows: dict[str, Response] = {}
            _merge(self._rows, _rows(self.path, _whole_lines(self.path)))
            self._file = _open_for_append(self.path)
        except BaseException:
            os.close(self._lock)
            raise

    def get(self, key: str) -> Response | None:
        """The stored response, from here or an earlier store; a good one before a failed one."""
        here, earlier = self._rows.get(key), self._earlier.get(key)
        if here is None or (here.failure and earlier is not None and not earlier.failure):
            return earlier
        return here

    def put(self, key: str, response: Response) -> None:
        """Store one response; when this returns it survives the death of the process."""
        line = _line(key, response)
        # One write to an O_APPEND descriptor: a line is there whole or, after a crash, the torn last one.
        if os.write(self._file, line) != len(line):
            raise UserError(f"{self.path}: a response could only be written in part; is the disk full?")
        _merge(self._rows, [(key, response)])

    def compact(self) -> None:
        """Rewrite as one line a key, sorted by key, atomically: equal content becomes equal bytes."""
        partial = self.path.with_name(f".{self.path.name}.partial")
        with partial.open("wb") as file:
            file.writelines(_line(key, self._rows[key]) for key in sorted(self._rows))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.path)
        os.close(self._file)
        self._file = _open_for_append(self.path)

    def close(self) -> None:
        """Write out and let go of the lock. Closing twice is harmless."""
        if self._lock is not None:
            os.fsync(self._file)
            os.close(self._file)
            os.close(self._lock)
            self._lock = None

    def __len__(self) -> int:
        return len(self._rows)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _lock(path: Path) -> int:
    """Hold `<path>.lock`, which names the holder's process id. The file stays: removing a lock file is a race."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise UserError(f"{path}: another writer, process {holder}, is at work; allowed: one at a time") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _open_for_append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def _repair(path: Path) -> int:
    """Cut off a last line that a crash left without its end. Returns 1 where one was cut, else 0."""
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        whole = _end_of_last_line(file)
        torn = file.seek(0, os.SEEK_END) > whole
        file.truncate(whole)
    return int(torn)


def _end_of_last_line(file, block: int = 1 << 16) -> int:
    """Offset just behind the last newline, searched from the end; 0 where there is none."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _whole_lines(path: Path) -> Iterator[bytes]:
    """All lines but a torn last one: an earlier store may still be growing."""
    if path.exists():
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))


def _rows(path: Path, lines: Iterator[bytes]) -> Iterator[tuple[str, Response]]:
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            values = [row[field] for field in FIELDS]
            if [type(value) for value in values] != list(TYPES):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path}:{number}: not a stored response (given {line[:60]!r}); fields: {', '.join(FIELDS)}"
            ) from None
        yield values[0], Response(*values[1:])


def _merge(rows: dict[str, Response], new) -> None:
    """Later rows win, but a failure never replaces a good response."""
    for key, response in new:
        old = rows.get(key)
        if old is None or old.failure or not response.failure:
            rows[key] = response


def _line(key: str, response: Response) -> bytes:
    return (json.dumps(dict(zip(FIELDS, (key, *astuple(response))))) + "\n").encode()
