"""Examples as token ids, and batches of them as tensors, for encoder-decoder and decoder-only students.

    [encoded] = encode(student.tokenizer, [example], student.decoder_only)
    encoded.pairs                                # the label's (source, target), then the rationale's
    batch = collator(student)([encoded])         # what lib/training.py takes the loss of

Encoder-decoder: source and target are what the tokenizer makes of them, </s> at their end. Decoder-only: "source ###"
is continued by " target" END, the tokenizer's end token: the tokens of "source ### target" as one text. Before them
stands what the tokenizer begins a text with, if anything (OPT, LLaMA), and an empty source is the token that a text
begins with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lib.errors import UserError
from lib.examples import Example
from lib.schedule import passes
from lib.student import Student
from lib.words import SEPARATOR


@dataclass(frozen=True)
class Encoded:
    """An example as token ids.

    pairs   (source, target) of each task, the label's first
    ends    how many ids at the end of a source and of a target `limit_lengths` keeps (`kept_ends`)
    """

    pairs: tuple[tuple[list[int], list[int]], ...]
    ends: tuple[int, int] = (0, 0)

    @property
    def tokens(self) -> int:
        """Non-padding tokens that a step spends on it: what "equal compute" counts."""
        return sum(self.lengths)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each of its texts, source and target of the label first."""
        return tuple(len(ids) for pair in self.pairs for ids in pair)


def encode(tokenizer, examples: Sequence[Example], decoder_only: bool = False) -> list[Encoded]:
    """Token ids of all examples; equal texts are tokenized once."""
    pairs = [example.pairs() for example in examples]
    sources = _by_text({s for own in pairs for s, _ in own}, lambda t: source_ids(tokenizer, t, decoder_only))
    targets = _by_text({t for own in pairs for _, t in own}, lambda t: target_ids(tokenizer, t, decoder_only))
    ends = kept_ends(tokenizer, decoder_only)
    return [Encoded(tuple((sources[source], targets[target]) for source, target in own), ends) for own in pairs]


def source_ids(tokenizer, texts: Sequence[str], decoder_only: bool) -> list[list[int]]:
    """What a student is asked: "q" -> q </s>; decoder-only: "q" -> q ###, and "" -> the token to begin with."""
    if not texts:
        return []
    if not decoder_only:
        return tokenizer(list(texts), verbose=False)["input_ids"]
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    before, asked = beginning(tokenizer), [text and f"{text} {SEPARATOR}" for text in texts]
    return [
        [*before, *ids] or [first] for ids in tokenizer(asked, add_special_tokens=False, verbose=False)["input_ids"]
    ]


def beginning(tokenizer) -> list[int]:
    """The special tokens that a tokenizer puts before a text: LLaMA's [<s>]; none of a T5's or a GPT-2's."""
    plain, whole = (tokenizer("a", add_special_tokens=own, verbose=False)["input_ids"] for own in (False, True))
    starts = (i for i in range(len(whole)) if whole[i : i + len(plain)] == plain)
    return whole[: next(starts, 0)]


def target_ids(tokenizer, texts: Sequence[str], decoder_only: bool) -> list[list[int]]:
    """What a student is to write, its end included: "r" -> r </s>; decoder-only: " r" END (`continuations`)."""
    if not texts:
        return []
    if not decoder_only:
        return tokenizer(list(texts), verbose=False)["input_ids"]
    found = tokenizer(continuations(tokenizer, texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [[*ids, tokenizer.eos_token_id] for ids in found]


def continuations(tokenizer, texts: Sequence[str]) -> list[str]:
    """Texts as a decoder-only student's tokenizer must be given them, so that their ids continue "q ###": "r" -> " r".

    A tokenizer that puts a space of its own before any text (LLaMA 2: "r" -> ["▁r"]) is given "r" as it is: " r" would
    be two spaces to it.
    """
    asked, whole, spaced, bare = tokenizer(
        [f"a {SEPARATOR}", f"a {SEPARATOR} a", " a", "a"], add_special_tokens=False, verbose=False
    )["input_ids"]
    own_space = asked + bare == whole != asked + spaced
    return list(texts) if own_space else [f" {text}" for text in texts]


def kept_ends(tokenizer, decoder_only: bool) -> tuple[int, int]:
    """How many ids at the end of a source and of a target must outlast a cut: decoder-only those of " ###", and END.

    Without them a student would not be asked as it is when it writes, nor learn to stop.
    """
    if not decoder_only:
        return 0, 0
    alone = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    [asked] = source_ids(tokenizer, ["a"], decoder_only)
    return len(asked) - len(beginning(tokenizer)) - len(alone), 1


def limit_lengths(encoded: Sequence[Encoded], max_source: int, max_target: int, allowed_share: float) -> list[Encoded]:
    """Cut sources and targets to the student's limits; refused if more than `allowed_share` of them are too long.

    What is cut is the end; decoder-only, what stands before the ends (`Encoded.ends`), which are never cut.
    """
    lengths = [(len(source), len(target)) for example in encoded for source, target in example.pairs]
    refuse_truncated(lengths, max_source, max_target, allowed_share)
    limits = max_source, max_target
    return [Encoded(tuple(tuple(map(_cut, pair, limits, e.ends)) for pair in e.pairs), e.ends) for e in encoded]


def refuse_truncated(
    lengths: Sequence[tuple[int, int]], max_source: int, max_target: int, allowed_share: float, where: str = ""
) -> None:
    """UserError if more than `allowed_share` of texts, (tokens of source, of target) each, are longer than allowed.

    where   what the message begins with: "arm '1 CoT', reasoning: "
    """
    longer = too_long(lengths, max_source, max_target)
    if longer > allowed_share * len(lengths):
        longest, longest_target = (max(own) for own in zip(*lengths))
        raise UserError(
            f"{where}student.max_source_tokens {max_source}, max_target_tokens {max_target}: {longer} of "
            f"{len(lengths)} training texts are longer (longest {longest} and {longest_target}); "
            f"raise the limits or student.max_truncated_share (now {allowed_share})"
        )


def too_long(lengths: Sequence[tuple[int, int]], max_source: int, max_target: int) -> int:
    """How many of texts, (tokens of source, of target) each, are longer than allowed."""
    return sum(source > max_source or target > max_target for source, target in lengths)


def collator(student: Student) -> Callable[[Sequence[Encoded]], dict]:
    """What makes a batch of tensors for this kind of student."""
    pad = student.tokenizer.pad_token_id
    if student.decoder_only:
        return lambda encoded: collate_continuations(encoded, pad)
    return lambda encoded: collate(encoded, pad, student.model.config.decoder_start_token_id)


def step_collator(
    student: Student, budget: int | None, share: tuple[int, int] = (0, 1)
) -> Callable[[Sequence[Encoded]], dict]:
    """What makes a step's examples {"passes": [batch, ...]}, each of at most `budget` padded tokens.

    share   (r, n): of the step's examples only r, r+n, r+2n, ... (`distributed.share`)
    Where a batch is not the whole step, it knows how much that has: "whole", (rows, target tokens) of each task.
    """
    together, (first, every) = collator(student), share

    def collate_step(encoded: Sequence[Encoded]) -> dict:
        own = encoded[first::every]
        cut = passes([e.lengths for e in own], budget)
        if len(cut) == every == 1:
            return {"passes": [together(own)]}
        whole = [(len(task), sum(len(target) for _, target in task)) for task in _by_task(encoded)]
        return {"passes": [together([own[i] for i in rows]) | {"whole": whole} for rows in cut]}

    return collate_step


def collate(encoded: Sequence[Encoded], pad: int, start: int) -> dict:
    """An encoder-decoder's batch: all sources together, and for each task its sources' rows and its padded targets.

    sources   long[N, S] and their mask; N counts the sources of all tasks
    tasks     a list of {"rows": long[B], "inputs": long[B, T]} and its real targets (`_at_real`)
    """
    by_task = _by_task(encoded)
    sources, mask = padded_with_mask([source for task in by_task for source, _ in task], pad)
    tasks, first = [], 0
    for task in by_task:
        targets = padded([target for _, target in task], -100)
        inputs = torch.cat(
            [torch.full((len(task), 1), start), targets[:, :-1].masked_fill(targets[:, :-1] < 0, pad)], 1
        )
        tasks.append({"rows": torch.arange(first, first + len(task)), "inputs": inputs, **_at_real(targets)})
        first += len(task)
    return {"sources": sources, "mask": mask, "tasks": tasks}


def collate_continuations(encoded: Sequence[Encoded], pad: int) -> dict:
    """A decoder-only student's batch: each task's sources with their targets behind them, padded on the right.

    tasks    a list of {"inputs": long[B, T], "mask": long[B, T]} and its real targets (`_at_real`); a target stands
             where its token is predicted, one before its own place: source and padding cost nothing
    """
    return {"tasks": [_continuations(task, pad) for task in _by_task(encoded)]}


def padded(sequences: Sequence[Sequence[int]], value: int, left: bool = False) -> torch.Tensor:
    """long[N, T], filled up on the right, or on the left."""
    width = max(map(len, sequences))
    room = [[value] * (width - len(s)) for s in sequences]
    return torch.tensor([[*r, *s] if left else [*s, *r] for s, r in zip(sequences, room)])


def padded_with_mask(
    sequences: Sequence[Sequence[int]], pad: int, device: torch.device | str = "cpu", left: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids long[N, T], filled up, and their mask long[N, T], 0 on padding, whatever token that is."""
    mask = padded([[1] * len(s) for s in sequences], 0, left)
    return padded(sequences, pad, left).to(device), mask.to(device)


def _cut(ids: list[int], most: int, end: int) -> list[int]:
    """At most `most` ids, or the last `end` if these are more."""
    return ids if len(ids) <= most else ids[: max(most - end, 0)] + ids[len(ids) - end :]


def _continuations(task: Sequence[tuple[list[int], list[int]]], pad: int) -> dict:
    inputs = [[*source, *target[:-1]] for source, target in task]  # nothing is predicted after the last token
    ids, mask = padded_with_mask(inputs, pad)
    targets = padded([[-100] * (len(source) - 1) + list(target) for source, target in task], -100)
    return {"inputs": ids, "mask": mask, **_at_real(targets)}


def _at_real(targets: torch.Tensor) -> dict[str, torch.Tensor]:
    """Where the real targets of long[B, T] are, -100 elsewhere: [[7, 1, -100], [8, 9, 1]] -> at [0, 1, 3, 4, 5].

    returns  "targets" long[P] in reading order, their places "at" long[P] in the flattened B × T, "of" long[P], the row
             of each. Found here, before a batch goes to its device: to find them there a GPU would be waited for
    """
    real = targets >= 0
    return {"targets": targets[real], "at": real.flatten().nonzero()[:, 0], "of": real.nonzero()[:, 0]}


def _by_task(encoded: Sequence[Encoded]) -> list[list[tuple[list[int], list[int]]]]:
    """The pairs of the first task, then those of the second of the examples that have one."""
    return [[e.pairs[t] for e in encoded if len(e.pairs) > t] for t in range(max(len(e.pairs) for e in encoded))]


def _by_text(texts: set[str], ids: Callable[[list[str]], list[list[int]]]) -> dict[str, list[int]]:
    ordered = sorted(texts)
    return dict(zip(ordered, ids(ordered)))
