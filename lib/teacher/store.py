"""The response store: what was asked and answered, once and for good.

One JSON line a response, appended when it arrives; the key is everything that changes the answer and nothing else:

    {"key": "5e88…", "text": "Tom has 3 pens. …", "finish_reason": "stop", "prompt_tokens": 9, "completion_tokens": 17,
     "attempts": 1}

    with Store(paths.GENERATE_STORE) as store:
        key = request_key(teacher.identity, request)
        if store.get(key) is None:
            teacher.complete_all([Pending(key, request)], store.put)
        store.compact()

A killed process loses only what was in flight; a loss of power may also lose what the system had not yet written.
"""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter, itemgetter
from pathlib import Path

from lib.errors import UserError
from lib.teacher import ERROR, NOT_RECORDED, Request, Response

FIELDS = ("key", *(field.name for field in fields(Response)))
TYPES = (str, str, str, int, int, int)
_VALUES = attrgetter(*FIELDS[1:])
_ROLE_AND_CONTENT = itemgetter("role", "content")


def request_key(identity: str, request: Request) -> str:
    """SHA-256 (hex) of teacher, messages, temperature, max_tokens and sample index.

    Concurrency, time-outs, the order and the number of other requests do not enter.
    """
    *prefix, last = map(_ROLE_AND_CONTENT, request.messages)
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
        # An interrupted teacher's thread may still deliver while the store is being compacted or closed.
        self._writing, self._broken = threading.Lock(), False
        self._earlier: dict[str, Response] = {}
        try:
            for earlier in map(Path, reads):
                if earlier.exists():
                    _merge(self._earlier, _rows(earlier, _whole_lines(earlier)))
            self.repaired = _repair(self.path)
            self._rows: dict[str, Response] = {}
            _merge(self._rows, _rows(self.path, _whole_lines(self.path)))
            self._file: int | None = _open_for_append(self.path)
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
        """Store one response; when this returns it survives the death of the process.

        UserError where it cannot be written, which leaves the file as it was, and after `close`.
        """
        line = _line(key, response)
        with self._writing:
            self._append(self._descriptor(), line)
            _merge(self._rows, [(key, response)])

    def _descriptor(self) -> int:
        """Where to write. UserError where the store is closed, or ends in half a line."""
        if self._file is None:
            raise UserError(f"{self.path}: the store is closed; nothing more can be written to it")
        if self._broken:
            raise UserError(f"{self.path}: ends in half a line, nothing can be added; the next run cuts it off")
        return self._file

    def _append(self, file: int, line: bytes) -> None:
        """Add the whole line or nothing: behind half a line the next would make the file unreadable."""
        before = os.fstat(file).st_size
        try:
            # One write to an O_APPEND descriptor: a line is there whole or, after a crash, the torn last one.
            written, why = os.write(file, line), "written only in part; is the disk full?"
        except OSError as error:
            written, why = 0, error.strerror
        if written == len(line):
            return
        try:
            os.ftruncate(file, before)
        except OSError:
            self._broken = True
        raise UserError(f"{self.path}: a response could not be stored: {why}")

    def compact(self) -> None:
        """Rewrite as one line a key, sorted by key, atomically: equal content becomes equal bytes."""
        partial = self.path.with_name(f".{self.path.name}.partial")
        with self._writing:
            old = self._descriptor()
            with partial.open("wb") as file:
                file.writelines(_line(key, self._rows[key]) for key in sorted(self._rows))
                file.flush()
                os.fsync(file.fileno())
            new = _open_for_append(partial)
            os.replace(partial, self.path)
            self._file = new
            os.close(old)

    def close(self) -> None:
        """Write out and let go of the lock. Closing twice is harmless."""
        with self._writing:
            # The number of a closed descriptor soon names another file: forget it first.
            file, self._file = self._file, None
        if file is None:
            return
        try:
            os.fsync(file)
        finally:
            os.close(file)
            os.close(self._lock)

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
            if "attempts" not in row:  # a store of an earlier version
                row["attempts"] = _attempts(row["finish_reason"])
            values = [row[field] for field in FIELDS]
            if [type(value) for value in values] != list(TYPES):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path}:{number}: not a stored response (given {line[:60]!r}); fields: {', '.join(FIELDS)}"
            ) from None
        yield values[0], Response(*values[1:])


def _attempts(finish_reason: str) -> int:
    """How many answers a row without that count stands for: none where the call failed on the way."""
    return 0 if str(finish_reason).startswith((ERROR, NOT_RECORDED)) else 1


def _merge(rows: dict[str, Response], new) -> None:
    """Later rows win, but a failure never replaces a good response. What was paid for either adds up."""
    for key, response in new:
        old = rows.get(key)
        rows[key] = response if old is None else _together(old, response)


def _together(old: Response, new: Response) -> Response:
    kept = new if old.failure or not new.failure else old
    prompt, completion = old.prompt_tokens + new.prompt_tokens, old.completion_tokens + new.completion_tokens
    return Response(kept.text, kept.finish_reason, prompt, completion, old.attempts + new.attempts)


def _line(key: str, response: Response) -> bytes:
    return (json.dumps(dict(zip(FIELDS, (key, *_VALUES(response))))) + "\n").encode()
