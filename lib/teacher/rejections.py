"""Prompts that a service rejects, kept back until it has answered one: if it never does, the settings are to blame.

rejections.add(item, response)
if why := rejections.all_bad(at_once=16): ...     # stop: not one bad prompt, but all of the first ones
rejections.deliver(store.put)                     # a call was answered: they are failures of their own prompts
"""

from lib.teacher import Deliver, Pending, Response

FEW = 3  # prompts: fewer may be bad ones that came first


class Rejections:
    """See the module's text."""

    def __init__(self):
        self._kept: list[tuple[Pending, Response]] = []

    def add(self, item: Pending, response: Response) -> None:
        """Keep a rejection back."""
        self._kept.append((item, response))

    def all_bad(self, at_once: int = 0) -> str | None:
        """Why a run without one answer has to stop; None while it may go on.

        at_once   calls under way at once: as many may be rejected before the first answer can be there
        Those that were rejected in an earlier run do not count, nor do several samples of one prompt.
        """
        new = [item.request.messages for item, _ in self._kept if item.attempts == 0]
        distinct = {tuple(message["content"] for message in messages) for messages in new}
        if len(distinct) < FEW or len(new) < at_once:
            return None
        response = self._kept[0][1]
        return f"all {response.finish_reason}: {response.text}"

    def deliver(self, deliver: Deliver) -> None:
        """Hand them over as what they are: failures of their prompts."""
        while self._kept:
            item, response = self._kept.pop()
            deliver(item.key, response)
