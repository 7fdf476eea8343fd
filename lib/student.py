"""The student: encoder-decoder (T5) or decoder-only (GPT-2), pretrained or from scratch, and its tokenizer.

student = new_student(cfg.student, texts, seed=0)
student.ids("Tom has 3 pens .")      # [5, 9, 21, 30, 4, 1]   ends in </s>, if it is a T5
student.text([5, 9, 21, 30, 4, 1])   # "Tom has 3 pens."
all_students(cfg.student, {"small": {"d_model": 32}})["small"].d_model      # 32
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    set_seed,
)

from lib.errors import UserError, out_of_memory
from lib.settings import Student as StudentSettings
from lib.unfit import UNREADABLE, refuse_other_end, refuse_positions, refuse_tokenizer, refuse_unfit
from lib.words import continuing_tokenizer, tidy, words_tokenizer

__all__ = [
    "Student", "best_device", "decoder_only", "load_student", "make_tokenizer", "new_student",
    "parameters", "positions", "start_student", "to_best_device",
]  # fmt: skip

SPARE_POSITIONS = 8  # of a decoder-only student from scratch, beyond its longest source and target


@dataclass
class Student:
    """A model and the tokenizer it was made with."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast

    @property
    def decoder_only(self) -> bool:
        """Whether it continues its question, as a GPT-2 does, instead of reading it by an encoder of its own."""
        return not self.model.config.is_encoder_decoder

    def ids(self, text: str) -> list[int]:
        """Token ids of a text as its tokenizer gives them: of a T5 with </s> at the end, of a GPT-2 without."""
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
        return _pretrained(settings, tokenizer)
    if settings.d_model % settings.heads:
        raise UserError(f"student.heads: {settings.heads} does not divide student.d_model {settings.d_model}")
    set_seed(seed)
    if settings.architecture == "gpt2":
        return Student(GPT2LMHeadModel(_gpt2_config(settings, tokenizer)), tokenizer)
    return Student(T5ForConditionalGeneration(_t5_config(settings, tokenizer)), tokenizer)


def load_student(folder: Path) -> Student:
    """A student saved by `Student.save`. Weights are read from safetensors alone: nothing is unpickled."""
    auto = _auto(AutoConfig.from_pretrained(folder, local_files_only=True))
    model = auto.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    return Student(_greedy(model), AutoTokenizer.from_pretrained(folder, local_files_only=True))


def best_device() -> torch.device:
    """The device that trains, writes and judges: a GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_best_device(student: Student) -> Student:
    """The same student, its weights on that device."""
    student.model.to(best_device())
    return student


def decoder_only(settings: StudentSettings) -> bool:
    """Whether these settings give a decoder-only student; of a pretrained one its checkpoint's config says so."""
    if settings.source == "scratch":
        return settings.architecture == "gpt2"
    return not _config(settings.source).is_encoder_decoder


def positions(settings: StudentSettings) -> int | None:
    """How many places for tokens these settings give a student; None of a T5, whose places are relative."""
    if settings.source != "scratch":
        return getattr(_config(settings.source), "max_position_embeddings", None)
    longest = settings.max_source_tokens + settings.max_target_tokens + SPARE_POSITIONS
    return longest if settings.architecture == "gpt2" else None


def make_tokenizer(settings: StudentSettings, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """The tokenizer named in the settings, or one of words and punctuation marks trained on `texts`.

    Raises UserError for one that cannot be loaded, is slow, or has no end or no padding (`unfit.refuse_tokenizer`).
    """
    if settings.tokenizer == "words" and settings.source != "scratch":
        raise UserError(
            f"student.tokenizer: words, but student.source is {settings.source!r}, which knows no tokens but its own; "
            "give its folder or hub name"
        )
    if settings.tokenizer == "words":
        return words_tokenizer(texts) if settings.architecture == "t5" else continuing_tokenizer(texts)
    tokenizer = _load(AutoTokenizer, settings.tokenizer, "student.tokenizer")
    if not tokenizer.is_fast:
        raise UserError(
            f"student.tokenizer: {settings.tokenizer!r} is slow: it cannot tell where in a text a token stands; "
            "give one with a tokenizer.json"
        )
    refuse_tokenizer(tokenizer, decoder_only(settings), "student.tokenizer", repr(settings.tokenizer))
    return tokenizer


def parameters(student: Student) -> int:
    """How many weights the student has (tied ones counted once)."""
    return sum(p.numel() for p in student.model.parameters())


def _t5_config(settings: StudentSettings, tokenizer: PreTrainedTokenizerFast) -> T5Config:
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


def _gpt2_config(settings: StudentSettings, tokenizer: PreTrainedTokenizerFast) -> GPT2Config:
    return GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=positions(settings),
        n_embd=settings.d_model,
        n_inner=settings.d_ff,
        n_layer=settings.layers,
        n_head=settings.heads,
        resid_pdrop=settings.dropout,
        embd_pdrop=settings.dropout,
        attn_pdrop=settings.dropout,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id,
    )


def _pretrained(settings: StudentSettings, tokenizer: PreTrainedTokenizerFast) -> Student:
    """A checkpoint's model, refused if it is none that writes text, or if texts or tokens do not fit it."""
    config = _config(settings.source)
    refuse_positions(settings, config)
    # published in half precision or not, it is trained and scored from fp32 weights; autocast and `precision` say less
    model = _load(_auto(config), settings.source, "student.source", dtype=torch.float32, use_safetensors=True)
    where, name = f"student.source: {settings.source!r}", f"student.tokenizer {settings.tokenizer!r}"
    refuse_unfit(model, tokenizer, where, name)
    if settings.tokenizer != settings.source:
        refuse_other_end(model, tokenizer, where, name)
    return Student(_greedy(model), tokenizer)


def _greedy(model: PreTrainedModel) -> PreTrainedModel:
    """The model without its checkpoint's habits of writing: of them, only the special tokens of its config stay.

    A BART checkpoint brings no_repeat_ngram_size 3, which forbids a rationale to write "3 + 4" twice.
    """
    special = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    model.generation_config = GenerationConfig(**{name: getattr(model.config, name, None) for name in special})
    return model


def _auto(config: PretrainedConfig):
    """The class that loads this kind of model. Raises UserError for one that cannot be distilled into."""
    named = (config.architectures or ["?"])[0]
    if config.is_encoder_decoder and named.endswith(("ForConditionalGeneration", "LMHeadModel", "MTModel")):
        return AutoModelForSeq2SeqLM
    if not config.is_encoder_decoder and named.endswith(("ForCausalLM", "LMHeadModel", "GPT2Model")):
        return AutoModelForCausalLM
    raise UserError(
        f"student.source: {config.name_or_path!r} is a {config.model_type} ({named}); allowed: an encoder-decoder "
        "(such as t5-small) or a decoder-only model (such as gpt2) that writes text"
    )


def _config(source: str) -> PretrainedConfig:
    return _load(AutoConfig, source, "student.source")


def _load(auto, name: str, key: str, **how):
    """A pretrained model or tokenizer by folder or hub name, with an error that says what to do."""
    local = Path(name).expanduser()
    try:
        return auto.from_pretrained(str(local) if local.is_dir() else name, **how)
    except UNREADABLE as error:
        if out_of_memory(error):
            raise
        reason = " ".join(str(error).split())
        if isinstance(error, OSError) and how.get("use_safetensors") and "safetensors" in reason:
            raise UserError(
                f"{key}: {name!r} has no weights in safetensors (model.safetensors), and pickled ones are not read; "
                "give a folder or hub name that has them"
            ) from None
        raise UserError(
            f"{key}: cannot load {name!r} ({reason:.120}); give a local folder or a reachable hub name"
        ) from None
