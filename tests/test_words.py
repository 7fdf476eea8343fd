"""Words as tokens, and text from them again."""

from tiny_world import data

from lib.words import continuing_tokenizer, tidy, words_tokenizer

TEXTS = data().training_texts()


def test_ids_follow_frequency_then_spelling():
    vocabulary = words_tokenizer(["b a", "b c"]).get_vocab()
    assert sorted(vocabulary, key=vocabulary.get) == ["<pad>", "</s>", "<unk>", "b", "a", "c"]


def test_a_continuing_students_tokenizer_begins_ends_and_separates():
    tokenizer = continuing_tokenizer(["one two"])
    assert sorted(tokenizer.get_vocab()) == ["#", "</s>", "<pad>", "<s>", "<unk>", "one", "two"]
    assert tokenizer("one two ###")["input_ids"] == tokenizer.convert_tokens_to_ids(["one", "two", "#", "#", "#"])
    names = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    assert names == ("<s>", "</s>", "<pad>", "<unk>")


def test_texts_come_back_from_both():
    for tokenizer in (words_tokenizer(TEXTS), continuing_tokenizer(TEXTS)):
        for text in TEXTS[1:]:  # the first is a list of words, not a sentence
            assert tidy(tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)) == tidy(text)


def test_an_arrow_comes_back_whole():
    assert tidy("3 + 4 = 7 . - - > ( 3 + 4 )") == "3 + 4 = 7. --> (3 + 4)"
    assert tidy("9 - ( 3 - 2 )") == "9 - (3 - 2)"
