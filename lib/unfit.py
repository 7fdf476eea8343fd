"""What cannot be a student: a model and a tokenizer that do not fit each other, or texts too long for the model.

refuse_unfit(model, tokenizer, "student.source: 't5-small'", "student.tokenizer 'gpt2'")    # UserError: more tokens
refuse_unfit(model, tokenizer, "student.source: 'gpt2'", "student.tokenizer 't5-small'")    # passes: T5 has fewer
refuse_other_end(model, tokenizer, "student.source: 'gpt2'", "student.tokenizer 't5-small'")    # UserError: another end
refuse_positions(cfg.student, config)                   # UserError: more tokens a text than a GPT-2 has positions for
refuse_no_room("explain: Tom has ...", 1000, 1024, ("student.max_target_tokens", 64))      # UserError: allowed: 960
"""

from safetensors import SafetensorError
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from lib.errors import UserError
from lib.settings import Student as StudentSettings

# What loading raises for a folder whose files are torn, missing or of different models. Where memory ran out the files
# are none of the reason: `errors.out_of_memory`.
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)


def refuse_unfit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, where: str, name: str) -> None:
    """UserError for a tokenizer that is not the model's or that no student can use, and for no token to begin with.

    where, name   the model and its tokenizer, as the message calls them
    """
    config = model.config
    known = config.get_text_config().vocab_size
    if len(tokenizer) > known:
        raise UserError(
            f"{where}: {name} has {len(tokenizer)} tokens, the model only {known}; "
            "give the tokenizer that the model was made with"
        )
    refuse_tokenizer(tokenizer, not config.is_encoder_decoder, where, name)
    if config.is_encoder_decoder and config.decoder_start_token_id is None:
        raise UserError(f"{where}: no decoder_start_token_id in its config.json, without which it cannot begin; add it")


def refuse_tokenizer(tokenizer: PreTrainedTokenizerFast, decoder_only: bool, where: str, name: str) -> None:
    """UserError for a tokenizer that lacks an end or padding, whatever the model, one from scratch as well.

    A decoder-only student's without a padding token is given its end token: padding is masked everywhere.
    """
    if tokenizer.eos_token_id is None:
        raise UserError(f"{where}: {name} has no end token (eos), so nothing it writes would end")
    if tokenizer.pad_token_id is None and not decoder_only:
        raise UserError(f"{where}: {name} has no padding token (pad); an encoder-decoder needs one")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token


def refuse_other_end(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, where: str, name: str) -> None:
    """UserError where model and tokenizer end texts by different tokens, as those of two families do.

    A smaller tokenizer's ids all exist in the model, and mean other words there. A model may name several ends; one
    that names none, or none that it has, says nothing. To be asked only of a tokenizer that came by another way than
    the model: some chat models end a turn by a token that their own tokenizer does not call its end.
    """
    config = model.config.get_text_config()
    named = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    ends = [end for end in named if end is not None and end < config.vocab_size]
    if ends and tokenizer.eos_token_id not in ends:
        raise UserError(
            f"{where}: {name} ends a text by token {tokenizer.eos_token_id}, the model by "
            f"{' or '.join(map(str, ends))}; give the tokenizer that the model was made with"
        )


def refuse_positions(settings: StudentSettings, config: PretrainedConfig) -> None:
    """UserError where texts may be longer than a model has learned positions for; a T5's are relative, without end."""
    source, target = settings.max_source_tokens, settings.max_target_tokens
    limit = getattr(config, "max_position_embeddings", None)
    if limit is None:
        return
    # a decoder reads up to two start tokens before a target
    longest = max(source, target + 2) if config.is_encoder_decoder else source + target
    if longest > limit:
        most = f"at most {limit} and {limit - 2}" if config.is_encoder_decoder else f"together at most {limit}"
        raise UserError(
            f"student.max_source_tokens {source} and max_target_tokens {target}: {most}, for {settings.source!r} has "
            f"{limit} positions"
        )


def refuse_no_room(text: str, tokens: int, room: int | None, written: tuple[str, int] | None, where: str = "") -> None:
    """UserError where a model with learned positions has too few for a text and for what is written behind it.

    tokens    of the text as the student is asked it
    room      positions of the model; None: without end, as a T5's
    written   decoder-only: the setting that says how much is written, and how much; None: an encoder reads alone
    """
    name, most = written or ("", 0)
    if room is None or tokens + most <= room:
        return
    if written is None:
        raise UserError(
            f"{where}{text!r:.60} has {tokens} tokens; allowed: the student's {room} positions; shorten the text or "
            "leave it out"
        )
    raise UserError(
        f"{where}{name} {most}: {text!r:.60} has {tokens} tokens; allowed: {room - most}, so that what is written fits "
        f"into the student's {room} positions; raise student.max_source_tokens of a student from scratch; for one that "
        "is pretrained shorten the text or, where it is a setting, lower the limit"
    )
