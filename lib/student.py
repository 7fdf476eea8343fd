"""The student: a T5, pretrained or from scratch, and its tokenizer. Load, tokenize, save.

student = new_student(cfg.student, texts, seed=0)
student.ids("Tom has 3 pens .")      # [5, 9, 21, 30, 4, 1]   ends in </s>
student.text([5, 9, 21, 30, 4, 1])   # "Tom has 3 pens."
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerFast, T5Config, set_seed
from transformers import T5ForConditionalGeneration as T5

from lib.errors import UserError
from lib.settings import Student as StudentSettings

PAD, EOS, UNK = "<pad>", "</s>", "<unk>"


@dataclass
class Student:
    """A model and the tokenizer it was made with."""

    model: T5
    tokenizer: PreTrainedTokenizerFast

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, </s> at the end."""
        return self.tokenizer(text, verbose=False)["input_ids"]

    def text(self, ids: Iterable[int]) -> str:
        """The text of token ids: special tokens left out, no space before punctuation."""
        return tidy(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def save(self, folder: Path) -> None:
        """A normal Hugging Face checkpoint: safetensors, config, tokenizer."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def new_student(settings: StudentSettings, texts: Iterable[str], seed: int) -> Student:
    """The student before distillation, with a tokenizer made for (or trained on) `texts`, the training text."""
    return start_student(settings, make_tokenizer(settings, texts), seed)


def start_student(settings: StudentSettings, tokenizer: PreTrainedTokenizerFast, seed: int) -> Student:
    """The student before distillation. From scratch, its weights follow from `seed`; a pretrained one draws none."""
    if settings.source != "scratch":
        return Student(_load(AutoModelForSeq2SeqLM, settings.source, "student.source"), tokenizer)
    set_seed(seed)
    return Student(T5(_scratch_config(settings, tokenizer)), tokenizer)


def load_student(folder: Path) -> Student:
    """A student saved by `Student.save`."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True)
    return Student(model, AutoTokenizer.from_pretrained(folder, local_files_only=True))


def make_tokenizer(settings: StudentSettings, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """The tokenizer named in the settings, or one of words and punctuation marks trained on `texts`."""
    if settings.tokenizer != "words":
        return _load(AutoTokenizer, settings.tokenizer, "student.tokenizer")
    return words_tokenizer(texts)


def words_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """One token a word, number or punctuation mark; ids follow frequency, then spelling."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=[PAD, EOS, UNK], show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", special_tokens=[(EOS, tokenizer.token_to_id(EOS))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, unk_token=UNK)


def tidy(text: str) -> str:
    """Undo the spaces that tokens of words leave around punctuation: "( 3 + 4 ) ." -> "(3 + 4)."."""
    return re.sub(r"([(\[]) ", r"\1", re.sub(r" ([.,;:?!)\]'’])", r"\1", text)).strip()


def parameters(student: Student) -> int:
    """How many weights the student has (tied ones counted once)."""
    return sum(p.numel() for p in student.model.parameters())


def unknown_share(student: Student, texts: Iterable[str]) -> float:
    """Share of tokens that the tokenizer cannot represent."""
    unknown = student.tokenizer.unk_token_id
    ids = [i for text in texts for i in student.ids(text)]
    return sum(i == unknown for i in ids) / max(len(ids), 1)


def _scratch_config(settings: StudentSettings, tokenizer: PreTrainedTokenizerFast) -> T5Config:
    if settings.d_model % settings.heads:
        raise UserError(f"student.heads: {settings.heads} does not divide student.d_model {settings.d_model}")
    return T5Config(
        vocab_size=len(tokenizer),
        d_model=settings.d_model,
        d_kv=settings.d_model // settings.heads,
        d_ff=settings.d_ff,
        num_layers=settings.layers,
        num_decoder_layers=settings.layers,
        num_heads=settings.heads,
        dropout_rate=settings.dropout,
        feed_forward_proj="relu",
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )


def _load(auto, name: str, key: str):
    """A pretrained model or tokenizer by folder or hub name, with an error that says what to do."""
    local = Path(name).expanduser()
    try:
        return auto.from_pretrained(str(local) if local.is_dir() else name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{key}: cannot load {name!r} ({reason:.120}); give a local folder or a reachable hub name"
        ) from None
