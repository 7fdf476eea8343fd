"""How fast is the teacher's client with its store? As a ratio to the plain way, interleaved in one run.

    python benchmarks/teacher.py            # throughput, replay and opening a large store; a table
    python benchmarks/teacher.py --check    # the same; exit status 1 where a bound is missed (make bench)

throughput   calls a second to a loopback service that answers after 50 ms, against `asyncio.gather` over the same
             official client with nothing stored, as many calls at once: by its typed method (`create`) and, the
             stricter, by the bare `post` that the project uses as well; in turn, median of the ratios
replay       20,000 stored responses through `asking.answers`: seconds (the best of five) and connections
opening      500,000 stored responses: seconds, and the peak memory of the process
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from loopback import serve  # noqa: E402

from lib.asking import Ask, answers  # noqa: E402
from lib.config import load_config  # noqa: E402
from lib.records import Question  # noqa: E402
from lib.teacher import Pending, Request, Response, prompts, wire  # noqa: E402
from lib.teacher.openai import OpenAITeacher  # noqa: E402
from lib.teacher.store import Store, request_key  # noqa: E402

# of the default profile: params.yaml may hold limits of its own
SETTINGS = load_config(ROOT / "params/default.yaml").teacher.openai
Rows = dict[str, float]
# What --check holds these to: measure -> (least, most).
THROUGHPUT = {"ours : bare, create": (0.9, None), "ours : bare, post": (0.9, None)}
REPLAY = {"replay of 20,000 (s)": (None, 0.5), "connections": (0, 0)}
OPENING = {"opening 500,000 (s)": (None, 10.0), "peak memory (GiB)": (None, 2.0)}


def requests(count: int, tag: str) -> list[Request]:
    """Five-shot prompts as stage 01 sends them."""
    return [
        Request(prompts.cot_messages("arithmetic", f"{tag}: Tom has {i} pens. How many?"), 0.7, 256, 0)
        for i in range(count)
    ]


def teacher_at(url: str, concurrency: int) -> OpenAITeacher:
    return OpenAITeacher(SETTINGS.model_copy(update={"model": "m", "base_url": url, "concurrency": concurrency}))


def bare(teacher: OpenAITeacher, asked: list[Request], typed: bool) -> float:
    """Seconds of the plain way: gather over the official client, a semaphore, nothing stored."""
    bodies = [wire.body(teacher.settings, request) for request in asked]

    async def run() -> None:
        gate = asyncio.Semaphore(teacher.settings.concurrency)
        async with teacher.client() as client:

            async def one(body: dict) -> None:
                async with gate:
                    if typed:
                        await client.chat.completions.create(**body)
                    else:
                        await client.post("/chat/completions", cast_to=object, body=body)

            await asyncio.gather(*map(one, bodies))

    begun = time.perf_counter()
    asyncio.run(run())
    return time.perf_counter() - begun


def ours(teacher: OpenAITeacher, asked: list[Request], folder: Path) -> float:
    """Seconds of the project's way, from an empty store to one that holds every response."""
    begun = time.perf_counter()
    with Store(folder / "store.jsonl") as store:
        teacher.complete_all([Pending(request_key(teacher.identity, r), r) for r in asked], store.put)
        seconds = time.perf_counter() - begun
        assert len(store) == len(asked)
    return seconds


def measured(name: str, teacher: OpenAITeacher, asked: list[Request]) -> float:
    """Seconds of the way of that name."""
    if name != "ours":
        return bare(teacher, asked, typed=name == "bare, create")
    with tempfile.TemporaryDirectory() as folder:
        return ours(teacher, asked, Path(folder))


def throughput(calls: int, pairs: int, concurrency: int) -> Rows:
    """The ratio is above 1 where ours is the faster."""
    ways = {"bare, create": [], "ours": [], "bare, post": []}
    with serve(delay=0.05) as server:
        teacher = teacher_at(server.url, concurrency)
        bare(teacher, requests(200, "warm-up"), typed=True)
        for pair in range(pairs):
            # each time the other way round, so that none always comes first
            for name in list(ways)[:: -1 if pair % 2 else 1]:
                ways[name].append(measured(name, teacher, requests(calls, f"{name} {pair}")))
    rows = {f"{name} (calls/s)": round(calls / statistics.median(seconds)) for name, seconds in ways.items()}
    for name in ("bare, create", "bare, post"):
        ratios = sorted(theirs / mine for theirs, mine in zip(ways[name], ways["ours"]))
        rows[f"ours : {name}"] = statistics.median(ratios)
        rows |= {"  lowest of " + name: ratios[0], "  highest of " + name: ratios[-1]}
    return rows


def replay(count: int) -> Rows:
    """From an open store, as stage 01 does; the service counts connections."""
    question = Question(question_id="q", task="arithmetic", split="train", text="?", gold_label="7")
    with serve() as server, tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.jsonl") as store:
        teacher = teacher_at(server.url, 64)
        asks = [Ask(question, request) for request in requests(count, "replay")]
        for ask in asks:
            store.put(request_key(teacher.identity, ask.request), Response("Seven. The answer is 7.", "stop", 900, 8))
        before, seconds = server.stats().get("connections", 0), []
        for _ in range(5):
            begun = time.perf_counter()
            found, usage = answers(asks, teacher, store, "rationales", lambda items, total, label: items)
            seconds.append(time.perf_counter() - begun)
            assert len(found) == count and usage.sent == 0
        # the look at the statistics is itself a connection
        connections = server.stats()["connections"] - before - 1
    return {f"replay of {count:,} (s)": min(seconds), "connections": connections}


def opening(count: int) -> Rows:
    """In a process of its own, so that its peak memory is the store's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.jsonl"
        line = {"text": "There are 3 and 4 of them. " * 8, "finish_reason": "stop", "prompt_tokens": 900,
                "completion_tokens": 60, "attempts": 1}  # fmt: skip
        with path.open("w") as file:
            file.writelines(json.dumps({"key": f"{i:064x}", **line, "text": f"{i} {line['text']}"}) + "\n"
                            for i in range(count))  # fmt: skip
        script = [sys.executable, __file__, "--open", str(path)]
        return json.loads(subprocess.run(script, capture_output=True, text=True, check=True).stdout)


def open_store(path: Path) -> Rows:
    begun = time.perf_counter()
    with Store(path) as store:
        seconds, rows = time.perf_counter() - begun, len(store)
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {f"opening {rows:,} (s)": seconds, "peak memory (GiB)": gib}


def missed(rows: Rows, bounds: dict) -> list[str]:
    """What is out of bounds: {"connections": 2} -> ["connections: 2, allowed: 0 to 0"]. KeyError if one is absent."""
    out = []
    for name, (least, most) in bounds.items():
        value = rows[name]
        if not (least is None or value >= least) or not (most is None or value <= most):
            allowed = f"at least {least:g}" if most is None else f"{least or 0:g} to {most:g}"
            out.append(f"{name}: {value:.4g}, allowed: {allowed}")
    return out


def main() -> int:
    """Exit status: 1 with --check where a bound is missed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=700)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--check", action="store_true", help="fail where a bound is missed")
    parser.add_argument("--open", type=Path, help="open this store only (used by the benchmark itself)")
    chosen = parser.parse_args()
    os.environ.pop(SETTINGS.key_variable, None)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    if chosen.open:
        print(json.dumps(open_store(chosen.open)))
        return 0
    rows = throughput(chosen.calls, chosen.pairs, chosen.concurrency) | replay(20_000) | opening(500_000)
    for name, value in rows.items():
        print(f"{name:<28} {value:10.2f}")
    out = missed(rows, THROUGHPUT | REPLAY | OPENING) if chosen.check else []
    for line in out:
        print("missed:", line, file=sys.stderr)
    return 1 if out else 0


if __name__ == "__main__":
    sys.exit(main())
