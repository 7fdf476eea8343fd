"""An event loop beside the caller's own: a notebook's kernel runs one already, and two do not go in one thread.

in_own_thread(run(...))     # returns when the coroutine has ended, raises what it raised; ctrl-C cancels it
"""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress

GRACE = 5.0  # seconds that an interrupted coroutine is given to end


def in_own_thread(work: Coroutine) -> None:
    """Run a coroutine to its end on an event loop in a thread; an interrupt here cancels it there."""
    failed: list[BaseException] = []
    ready, ended, running = threading.Event(), threading.Event(), []

    async def main() -> None:
        running.extend([asyncio.get_running_loop(), asyncio.current_task()])
        ready.set()
        await work

    def target() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()
            ended.set()

    threading.Thread(target=target, name="teacher", daemon=True).start()
    try:
        # Not `join`: Python 3.11 takes a thread whose `join` was interrupted for ended.
        ended.wait()
    except BaseException:
        ready.wait()
        if running and not ended.is_set():
            with suppress(RuntimeError):  # the loop has been closed since
                running[0].call_soon_threadsafe(running[1].cancel)
            ended.wait(GRACE)
        raise
    if failed:
        raise failed[0]
