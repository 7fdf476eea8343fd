"""What a student has scored, kept on disk, so that an interrupted or extended run scores only what is new.

    store = ScoreStore(folder / f"{digest(student, 'fp32')}.sqlite")
    store.put({pair: Sums(-38.2, 13, -9.1, 5)})     # durable when it returns; kill -9 loses nothing that was put
    store.get([pair, other])                        # {pair: Sums(-38.2, 13, -9.1, 5)}: `other` was never put

One file a student, for its name is a digest of all that a log-probability depends on but the text; the key of a row is
the text. Several processes may read and write one file: each `put` is one transaction, and waits for its turn.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from lib.errors import UserError
from lib.forcing import Sums
from lib.pairs import Pair
from lib.student import Student

VERSION = 3  # raise it when a change of the code scores otherwise, be it in the last digits
WAIT = 120.0  # seconds that a writer waits for another one
AT_ONCE = 500  # keys a query
TABLE = """CREATE TABLE IF NOT EXISTS sums (
    pair BLOB PRIMARY KEY, total REAL NOT NULL, tokens INTEGER NOT NULL,
    answer_total REAL NOT NULL, answer_tokens INTEGER NOT NULL
) WITHOUT ROWID"""
# of a config: how it was loaded or saved, not what it computes
INCIDENTAL = {"_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype", "use_cache"}


def digest(student: Student, precision: str) -> str:
    """A name for a student: another one for other weights, sizes, tokenizer or precision. Not for dropout left on."""
    config = {key: value for key, value in student.model.config.to_dict().items() if key not in INCIDENTAL}
    found = hashlib.sha256(json.dumps([VERSION, precision, config], sort_keys=True, default=str).encode())
    found.update(_tokenizer_text(student.tokenizer).encode())
    for name, tensor in sorted(student.model.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()[:24]


def pair_key(pair: Pair) -> bytes:
    """The key of a pair: where a text ends counts, so ("ab", "c", "d") is not ("a", "bc", "d")."""
    return hashlib.sha256(json.dumps(list(pair)).encode()).digest()


class ScoreStore:
    """Pair -> Sums in a sqlite file; without a path in a temporary one, which goes with this object.

    Raises UserError for a file that is none of sqlite's. May be pickled: the copy opens the same file (or a new one).
    """

    def __init__(self, path: Path | None):
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def get(self, pairs: Iterable[Pair]) -> dict[Pair, Sums]:
        """Those of the pairs that are known."""
        by_key = {pair_key(pair): pair for pair in pairs}
        keys, found = list(by_key), {}
        for i in range(0, len(keys), AT_ONCE):
            some = keys[i : i + AT_ONCE]
            query = f"SELECT * FROM sums WHERE pair IN ({','.join('?' * len(some))})"
            found.update({by_key[key]: Sums(*values) for key, *values in self._open().execute(query, some)})
        return found

    def put(self, sums: Mapping[Pair, Sums]) -> None:
        """All of them, or none where the process is killed; what another process put before stays."""
        connection = self._open()
        with connection:
            rows = [(pair_key(pair), *values) for pair, values in sums.items()]
            connection.executemany("INSERT OR IGNORE INTO sums VALUES (?, ?, ?, ?, ?)", rows)

    def __len__(self) -> int:
        return self._open().execute("SELECT COUNT(*) FROM sums").fetchone()[0]

    def __getstate__(self) -> dict:
        return {"path": self.path, "_connection": None}

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _connected(self.path)
        return self._connection


def _connected(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect("" if path is None else path, timeout=WAIT)
    try:
        with connection:
            connection.execute(TABLE)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise UserError(f"{path}: cannot be used as a store of scores ({error}); it may be deleted") from None
    return connection


def _tokenizer_text(tokenizer) -> str:
    """All of a tokenizer that decides its ids; padding and truncation are set anew by each call."""
    if not tokenizer.is_fast:
        parts = {"vocabulary": tokenizer.get_vocab(), "kind": type(tokenizer).__name__}
    else:
        parts = json.loads(tokenizer.backend_tokenizer.to_str())
        parts |= {"padding": None, "truncation": None}
    return json.dumps([parts, tokenizer.special_tokens_map], sort_keys=True, default=str)
