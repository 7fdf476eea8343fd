"""A tokenizer of words, trained on the training text, and the way back from its tokens to text.

tokenizer = words_tokenizer(["Tom has 3 pens."])
tokenizer.tokenize("Tom has 3 pens.")       # ["Tom", "has", "3", "pens", "."]
tidy("( 3 + 4 ) .")                         # "(3 + 4)."
"""

import re
from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

PAD, EOS, UNK, BOS = "<pad>", "</s>", "<unk>", "<s>"
SEPARATOR = "###"  # between what a decoder-only student is asked and what it writes


def words_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """One token a word, number or punctuation mark, </s> at the end; ids follow frequency, then spelling."""
    tokenizer = _words(texts, [PAD, EOS, UNK])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", special_tokens=[(EOS, tokenizer.token_to_id(EOS))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, unk_token=UNK)


def continuing_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """The same for a decoder-only student: a token to begin with, none appended, and SEPARATOR is known."""
    tokenizer = _words([*texts, SEPARATOR], [PAD, EOS, UNK, BOS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, unk_token=UNK, bos_token=BOS
    )


def tidy(text: str) -> str:
    """Undo the spaces that tokens of words leave around punctuation: "( 3 + 4 ) . - - > 7" -> "(3 + 4). --> 7"."""
    text = text.replace("- - >", "-->")
    return re.sub(r"([(\[]) ", r"\1", re.sub(r" ([.,;:?!)\]'’])", r"\1", text)).strip()


def unknown(tokenizer: PreTrainedTokenizerFast, ids: Iterable[int]) -> tuple[int, int]:
    """(how many of the tokens stand for what the tokenizer cannot represent, how many there are).

    A GPT-2 represents all; its end token bears the name of an unknown one besides, and is none.
    """
    ids = list(ids)
    special = {tokenizer.eos_token_id, tokenizer.bos_token_id}
    missing = tokenizer.unk_token_id if tokenizer.unk_token_id not in special else None
    return sum(i == missing for i in ids), len(ids)


def _words(texts: Iterable[str], special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=special, show_progress=False))
    return tokenizer
