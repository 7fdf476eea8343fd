"""A scripted OpenAI-compatible service on the loopback interface, for tests and benchmarks, in a process of its own.

    with serve(delay=0.05, faults={"429": 0.05}, window=(200, 60.0)) as server:
        server.url               # "http://127.0.0.1:43211/v1"
        server.stats()           # {"requests": 2081, "answered": 2000, "connections": 64, "by_body": {...}, ...}

Chat and plain completions, files and batches. `faults` name -> share of the *distinct* bodies whose first attempt
fails that way; which ones follows from the body alone. `window` (n, seconds): at most n requests are let through in
each window, the others get 429 with the seconds left. `bucket` (per second, size): the same as a token bucket.
`answer`, `raw` and `echo` script what an answer says, `reject` which prompts get HTTP 400, `queue` how many lines a
batch may have and `queue_total` all under way together. `stumbles` what becomes of the first calls that list, look
at or create batches or download files: "drop" carries it out and drops the connection, "done 503" carries it out and
says 503, "503" says that alone. `most` draws the token counts of answers. Of batches the newest come first, two a page.
"""

import argparse
import asyncio
import hashlib
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

FAULTS = ("429", "500", "503", "drop", "stall", "garbage", "no_choices", "empty", "length", "filter", "refusal", "400",
          "raw", "expired")  # fmt: skip
UNDER_WAY = ("in_progress", "cancelling")  # what fills the queue of batches
PAGE = 2  # batches in one answer to a request for all of them
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def answer(body: dict) -> str:
    """A rationale or an evaluation: whatever was asked, the reply can be read."""
    asked = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
    if "Question: " in asked.rsplit("\n\n", 1)[-1][:12] or asked.rstrip().endswith("Evaluation:"):
        return "Evaluation: Every step holds.\n\nEvaluation result: the given answer is correct."
    if asked.split("\n")[-1].startswith("Therefore, the answer"):
        return "7."
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return f"There are 3 and 4 of them ({digest[:8]}). 3 + 4 = 7. The answer is (3 + 4)."


class Service:
    """The state behind the connections."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.faults, self.stumbles = options, json.loads(options.faults), json.loads(options.stumbles)
        self.counts, self.by_body, self.times, self.last = Counter(), Counter(), [], None
        self.under_way = 0
        self.window_start, self.in_window = None, 0
        self.level, self.level_at = None, 0.0
        self.files: dict[str, str] = {}
        self.batches: dict[str, dict] = {}
        self.inputs: dict[str, str] = {}  # of batches: their files may be deleted

    async def handle(self, method: str, path: str, headers: dict, content: bytes):
        """(status, extra headers, body bytes) of a request; None to drop the connection."""
        if path == "/stats":
            looks = {name: batch["looks"] for name, batch in self.batches.items()}
            seen = {"batch looks": looks, "by_body": self.by_body, "times": self.times, "last": self.last}
            return 200, {}, json.dumps(self.counts | seen).encode()
        if path == "/end":
            self.options.batch_looks = 0
            return 200, {}, b""
        if path.endswith(("/chat/completions", "/completions")) and method == "POST":
            self.under_way += 1
            self.counts["most at once"] = max(self.counts["most at once"], self.under_way)
            try:
                return await self.complete(path, headers, content)
            finally:
                self.under_way -= 1
        return self.stumble(method, path.removeprefix("/v1"), headers, content)

    async def complete(self, path: str, headers: dict, content: bytes):
        self.counts["requests"] += 1
        self.times.append(round(time.monotonic(), 4))
        options = self.options
        if options.key and headers.get("authorization") != f"Bearer {options.key}":
            shown = headers.get("authorization")
            return self.error(401, f"Incorrect API key provided: {shown}", "invalid_api_key")
        if options.status:
            return self.error(options.status, "scripted", options.code)
        wait = self.over_limit()
        if wait is not None:
            self.counts["limited"] += 1
            return self.error(429, "Rate limit reached", "rate_limit_exceeded", {"Retry-After": f"{wait:.3f}"})
        body = json.loads(content)
        self.last = {"path": path, "body": body}
        if options.reject and options.reject in json.dumps(body):
            self.counts["rejected"] += 1
            return self.error(400, f"bad prompt: {headers.get('authorization')}", options.code)
        digest = hashlib.sha256(content).hexdigest()
        first = digest not in self.by_body
        self.by_body[digest] += 1
        fault = self.fault_of(digest) if first or options.always else None
        if fault:
            self.counts[f"fault {fault}"] += 1
            return await self.fail(fault, body)
        if options.delay:
            await asyncio.sleep(options.delay)
        self.counts["answered"] += 1
        return 200, {}, self.completion(body, self.text(headers, body), options.finish)

    def text(self, headers: dict, body: dict) -> str:
        said = self.options.answer or answer(body)
        return f"{headers.get('authorization')} {said}" if self.options.echo else said

    def over_limit(self) -> float | None:
        """Seconds until a request would be let through; None if this one is."""
        now = time.monotonic()
        if self.options.window:
            allowed, seconds = self.options.window
            if self.window_start is None or now >= self.window_start + seconds:
                self.window_start, self.in_window = now, 0
            self.in_window += 1
            return self.window_start + seconds - now if self.in_window > allowed else None
        if self.options.bucket:
            rate, size = self.options.bucket
            self.level = size if self.level is None else min(size, self.level + (now - self.level_at) * rate)
            self.level_at = now
            if self.level < 1:
                return (1 - self.level) / rate
            self.level -= 1
        return None

    def fault_of(self, digest: str) -> str | None:
        draw = int(digest[:8], 16) / 16**8
        for name, share in self.faults.items():
            if draw < share:
                return name
            draw -= share
        return None

    async def fail(self, fault: str, body: dict):
        if fault == "drop":
            return None
        if fault == "stall":
            await asyncio.sleep(self.options.stall)
            return None
        if fault == "garbage":
            return 200, {}, b'{"choices": [{"message": {"content": "cut he'
        if fault == "no_choices":
            return 200, {}, b'{"id": "x", "usage": {}}'
        if fault == "raw":
            return 200, {}, Path(self.options.raw).read_bytes()
        if fault == "429":
            return self.error(429, "slow down", "rate_limit_exceeded", {"Retry-After": str(self.options.retry_after)})
        if fault.isdigit():
            return self.error(int(fault), "scripted fault", "server_error")
        finish, text = {"empty": ("stop", ""), "length": ("length", "There are 3 and"),
                        "filter": ("content_filter", ""), "refusal": ("stop", None)}[fault]  # fmt: skip
        return 200, {}, self.completion(body, text, finish, "I cannot help with that." if text is None else None)

    def completion(self, body: dict, text: str | None, finish: str, refusal: str | None = None) -> bytes:
        if "prompt" in body:
            choice = {"index": 0, "text": text, "finish_reason": finish}
        else:
            message = {"role": "assistant", "content": text, "refusal": refusal}
            choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = USAGE if self.options.most is None else self.drawn(body)
        return json.dumps({"id": "x", "model": body["model"], "choices": [choice], "usage": usage}).encode()

    def drawn(self, body: dict) -> dict:
        """Token counts that follow from the body, up to the most there may be."""
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        counts = [
            round(int(part, 16) / 16**8 * most) for part, most in zip((digest[:8], digest[8:16]), self.options.most)
        ]
        for name, count in zip(("prompt tokens", "completion tokens"), counts):
            self.counts[name] += count
        return dict(zip(("prompt_tokens", "completion_tokens"), counts))

    def error(self, status: int, message: str, code: str | None, headers: dict | None = None):
        body = {"error": {"message": message, "type": "scripted", "code": code}}
        return status, headers or {}, json.dumps(body).encode()

    # -- files and batches -----------------------------------------------------------------------

    def stumble(self, method: str, path: str, headers: dict, content: bytes):
        """The answer, or what was scripted for the first calls of this kind."""
        bare = path.partition("?")[0]
        kind = {("POST", "/batches"): "create", ("GET", "/batches"): "list"}.get((method, bare))
        kind = kind or ("download" if bare.endswith("/content") else "look" if bare.startswith("/batches/") else None)
        script = self.stumbles.get(kind)
        how = script.pop(0) if script else None
        if how is not None and how.isdigit():
            return self.error(int(how), "scripted", None)
        result = self.other(method, path, headers, content)
        return result if how is None else None if how == "drop" else self.error(int(how.split()[1]), "scripted", None)

    def other(self, method: str, path: str, headers: dict, content: bytes):
        path, _, query = path.partition("?")
        if (method, path) == ("POST", "/files"):
            return self.upload(headers, content)
        if found := re.fullmatch(r"/files/([\w-]+)/content", path):
            self.counts["downloads"] += 1
            if found[1] not in self.files:
                return self.error(404, f"no such file: {found[1]}", None)
            return 200, {}, self.files[found[1]].encode()
        if (found := re.fullmatch(r"/files/([\w-]+)", path)) and method == "DELETE":
            del self.files[found[1]]
            return 200, {}, b"{}"
        if (method, path) == ("POST", "/batches"):
            return self.create_batch(json.loads(content))
        if path == "/batches":
            return 200, {}, self.page(dict(urllib.parse.parse_qsl(query)).get("after"))
        if found := re.fullmatch(r"/batches/([\w-]+)/cancel", path):
            self.batches[found[1]]["status"] = "cancelling"
            return 200, {}, json.dumps(self.batches[found[1]]).encode()
        if found := re.fullmatch(r"/batches/([\w-]+)", path):
            return 200, {}, json.dumps(self.progress(headers, self.batches[found[1]])).encode()
        return self.error(404, f"no such path: {method} {path}", None)

    def page(self, after: str | None) -> bytes:
        names = list(self.batches)[::-1]
        names = names[names.index(after) + 1 :] if after else names
        shown = [self.batches[name] for name in names[:PAGE]]
        return json.dumps({"object": "list", "data": shown, "has_more": len(names) > PAGE}).encode()

    def upload(self, headers: dict, content: bytes):
        boundary = b"--" + headers["content-type"].split("boundary=")[1].strip('"').encode()
        parts = [part.split(b"\r\n\r\n", 1) for part in content.split(boundary) if b"\r\n\r\n" in part]
        [text] = [body.removesuffix(b"\r\n") for head, body in parts if b'name="file"' in head]
        name = self.keep(text.decode())
        self.counts["uploads"] += 1
        self.counts["most lines"] = max(self.counts["most lines"], text.count(b"\n"))
        row = {"id": name, "object": "file", "bytes": len(text), "created_at": 0, "filename": "b.jsonl",
               "purpose": "batch", "status": "processed"}  # fmt: skip
        return 200, {}, json.dumps(row).encode()

    def keep(self, text: str) -> str:
        """A new file's name."""
        name = f"file-{self.counts['files']}"
        self.counts["files"] += 1
        self.files[name] = text
        return name

    def create_batch(self, body: dict):
        name, lines = f"batch-{len(self.batches)}", self.files[body["input_file_id"]].count("\n")
        under_way = (batch for batch in self.batches.values() if batch["status"] in UNDER_WAY)
        queued = lines + sum(self.inputs[batch["id"]].count("\n") for batch in under_way)
        too_large = any(limit and size > limit for limit, size in (
            (self.options.queue, lines), (self.options.queue_total, queued),
        ))  # fmt: skip
        self.batches[name] = {
            "id": name, "object": "batch", "endpoint": body["endpoint"], "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"], "created_at": int(time.time()),
            "status": "validating" if too_large else "in_progress", "metadata": body.get("metadata"), "looks": 0,
            "output_file_id": None, "error_file_id": None,
        }  # fmt: skip
        self.inputs[name] = self.files[body["input_file_id"]]
        self.counts["batches"] += 1
        return 200, {}, json.dumps(self.batches[name]).encode()

    def progress(self, headers: dict, batch: dict) -> dict:
        """A batch is done at the n-th look at it; the first attempt at some of its lines fails."""
        batch["looks"] += 1
        if batch["status"] == "validating":
            error = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
            self.counts["refused"] += 1
            batch |= {"status": "failed", "errors": {"object": "list", "data": [error]}}
        elif batch["status"] == "in_progress" and self.options.batch_end == "failed":
            error = {"code": "invalid_request", "message": f"scripted: {headers.get('authorization')}"}
            batch |= {"status": "failed", "errors": {"object": "list", "data": [error]}}
        if batch["status"] in UNDER_WAY and batch["looks"] >= self.options.batch_looks:
            good, bad = [], []
            for line in self.inputs[batch["id"]].splitlines():
                self.batch_line(headers, json.loads(line), good, bad)
            for kind, rows in (("output", good), ("error", bad)):
                if rows:
                    # as the real one does: characters beyond ASCII stand as they are
                    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                    batch[f"{kind}_file_id"] = self.keep("".join(lines))
            batch["status"] = "cancelled" if batch["status"] == "cancelling" else self.options.batch_end
        return batch

    def batch_line(self, headers: dict, line: dict, good: list, bad: list) -> None:
        digest = hashlib.sha256(json.dumps(line["body"], sort_keys=True).encode()).hexdigest()
        first = digest not in self.by_body
        self.by_body[digest] += 1
        fault = self.fault_of(digest) if first or self.options.always else None
        row = {"id": "r", "custom_id": line["custom_id"], "error": None}
        if fault == "expired":
            bad.append({**row, "response": None, "error": {"code": "batch_expired", "message": "expired"}})
        elif fault:
            code = self.options.code or "server_error"
            body = {"error": {"message": f"scripted: {headers.get('authorization')}", "code": code}}
            bad.append({**row, "response": {"status_code": int(fault), "request_id": "r", "body": body}})
        else:
            self.counts["answered"] += 1
            body = json.loads(self.completion(line["body"], self.text(headers, line["body"]), self.options.finish))
            good.append({**row, "response": {"status_code": 200, "request_id": "r", "body": body}})


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, only as much as the client needs, so that the service is not what is measured."""

    def __init__(self, service: Service):
        self.service, self.buffer, self.busy = service, b"", None

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.service.counts["connections"] += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        method, path, _ = first.split(" ")
        self.busy = asyncio.ensure_future(self.respond(method, path, headers, rest[:length]))

    async def respond(self, method: str, path: str, headers: dict, content: bytes) -> None:
        result = await self.service.handle(method, path, headers, content)
        if result is None or self.transport.is_closing():
            self.transport.close()
            return
        status, extra, body = result
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in extra.items()]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


async def main(options: argparse.Namespace) -> None:
    """Serve until stdin closes, so that no server outlives its test."""
    service = Service(options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", options.port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--stall", type=float, default=5.0)
    parser.add_argument("--retry-after", type=float, default=0.05)
    parser.add_argument("--faults", default="{}")
    parser.add_argument("--always", action="store_true", help="faults on every attempt, not only the first")
    parser.add_argument("--window", type=json.loads, default=None)
    parser.add_argument("--bucket", type=json.loads, default=None)
    parser.add_argument("--key", default="")
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--code", default=None)
    parser.add_argument("--reject", default="", help="prompts that contain this get HTTP 400")
    parser.add_argument("--answer", default="", help="what every answer says")
    parser.add_argument("--finish", default="stop")
    parser.add_argument("--echo", action="store_true", help="answers repeat the Authorization header")
    parser.add_argument("--most", type=json.loads, default=None, help="prompt and completion tokens, drawn up to these")
    parser.add_argument("--raw", default="", help="a file: the body of the fault raw")
    parser.add_argument("--batch-looks", type=int, default=2)
    parser.add_argument("--batch-end", default="completed")
    parser.add_argument("--queue", type=int, default=0, help="lines of the largest batch that is accepted")
    parser.add_argument("--queue-total", type=int, default=0, help="lines of all batches under way together")
    parser.add_argument("--stumbles", default="{}")
    return parser.parse_args()


class Server:
    """A running service, seen from the test."""

    def __init__(self, port: int):
        self.port, self.url = port, f"http://127.0.0.1:{port}/v1"

    def stats(self) -> dict:
        """What the service counted so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats") as response:
            return json.loads(response.read())

    def batches(self) -> dict[str, int]:
        """Batch -> how often it was looked at."""
        return self.stats()["batch looks"]

    def end_batches(self) -> None:
        """All batches are done at the next look at them."""
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/end").close()

    def post(self, path: str, body: dict) -> dict:
        """What the service answers to a POST."""
        request = urllib.request.Request(self.url + path, data=json.dumps(body).encode())
        with urllib.request.urlopen(request) as response:
            return json.loads(response.read())

    def delete(self, file_id: str) -> None:
        """Delete a file, as its owner may."""
        url = f"{self.url}/files/{file_id}"
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE")).close()


@contextmanager
def serve(**options):
    """A service in a process of its own; options as on its command line, with underscores."""
    words = [sys.executable, str(Path(__file__).resolve())]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, value if isinstance(value, str) else json.dumps(value)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Server(int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait(timeout=10)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
