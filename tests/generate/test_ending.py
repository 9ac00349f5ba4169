"""When completions end: end tokens, stop strings, the limit; and the text that remains."""

import random

import pytest
from tests.generate.helpers import chain_model

from ponder.generate.ending import Ending
from ponder.generate.local import LocalGenerator, end_tokens
from ponder.models.tiny import byte_level_tokenizer, make_tiny_model
from ponder.types import Completion, Prompt, Sampling

TOKENIZER = byte_level_tokenizer([" stop", "ab", ">\n\n"])
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letter(text: str) -> int:
    (token,) = TOKENIZER(text)["input_ids"]
    return int(token)


def alphabet_completion(limit: int = 60, stop: tuple[str, ...] = ()) -> Completion:
    """What a model that knows only the alphabet writes after "a"."""
    successors = [letter(text) for text in LETTERS[1:]] + [TOKENIZER.eos_token_id]
    following = dict(zip([letter(text) for text in LETTERS], successors, strict=True))
    generator = LocalGenerator(chain_model(following), byte_level_tokenizer())
    sampling = Sampling(max_completion_tokens=limit, stop=stop)
    ((completion,),) = generator.generate([Prompt("p", "a", (letter("a"),))], 1, sampling, seed=0)
    return completion


def test_end_token_is_kept_in_the_tokens_and_not_in_the_text() -> None:
    completion = alphabet_completion()
    assert completion.text == LETTERS[1:]
    assert completion.token_ids[-1] == TOKENIZER.eos_token_id
    assert completion.finish_reason == "stop"
    assert len(completion.sampler_logprobs) == len(completion.token_ids) == 26


@pytest.mark.parametrize(
    ("limit", "text", "reason"),
    [(5, "bcdef", "length"), (26, LETTERS[1:], "stop"), (1, "b", "length")],
)
def test_the_limit_counts_the_end_token(limit, text, reason) -> None:
    completion = alphabet_completion(limit)
    assert (completion.text, completion.finish_reason) == (text, reason)
    assert len(completion.token_ids) == limit


@pytest.mark.parametrize(
    ("stop", "text"),
    [(("fgh",), "bcdefgh"), (("z",), LETTERS[1:]), (("xyz", "de"), "bcde"), (("b",), "b")],
)
def test_stop_strings_end_a_completion_and_stay_in_its_text(stop, text) -> None:
    completion = alphabet_completion(stop=stop)
    assert completion.text == text
    assert completion.finish_reason == "stop"
    assert completion.token_ids == [letter(each) for each in text]


def test_a_stop_string_beats_the_limit() -> None:
    assert alphabet_completion(limit=3, stop=("bcd",)).finish_reason == "stop"
    assert alphabet_completion(limit=3, stop=("bcde",)).finish_reason == "length"


def tokens(text: str) -> list[int]:
    return list(TOKENIZER(text)["input_ids"])


def ending(*stop: str) -> Ending:
    return Ending(TOKENIZER, [256], stop)


def first_end(rule: Ending, token_ids: list[int]) -> int | None:
    """Number of tokens after which generation would have ended."""
    for count, token in enumerate(token_ids, start=1):
        if rule.is_suspect(token) and rule.reason(token_ids[:count], 100):
            return count
    return None


@pytest.mark.parametrize("stop", ["</answer>", "é", "ab", "\n\n", " st", "> ", "日本"])
@pytest.mark.parametrize(
    "text",
    [
        "<answer> 4</answer> more",
        "caf\u00e9 noir",
        "xab ab",
        "one\n\ntwo",
        "a stop",
        "x> y",
        "日本語",
    ],
)
def test_suspect_tokens_find_every_stop_string(stop, text) -> None:
    ids, rule = tokens(text), ending(stop)
    expected = next((n for n in range(1, len(ids) + 1) if stop in TOKENIZER.decode(ids[:n])), None)
    assert first_end(rule, ids) == expected


def test_most_tokens_are_no_suspects() -> None:
    rule = ending("</answer>")
    suspects = [token for token in range(256) if rule.is_suspect(token)]
    assert letter(">") in suspects
    assert letter("r") not in suspects
    assert len(suspects) < 140  # bytes that are no text on their own, and ">"


def test_text_after_a_stop_string_inside_a_token_is_cut() -> None:
    ids = tokens("x</answer>\n\n")
    assert len(ids) == len("x</answer") + 1
    rule = ending("</answer>", "er>")
    assert first_end(rule, ids) == len(ids)
    assert rule.texts([ids]) == ["x</answer>"]


def test_end_tokens_come_from_tokenizer_and_generation_config() -> None:
    model, tokenizer = make_tiny_model(0)
    model.generation_config.eos_token_id = [5, 256]
    assert end_tokens(model, tokenizer) == {5, 256}
    model.generation_config.eos_token_id = 7
    assert end_tokens(model, tokenizer) == {7, 256}
    model.generation_config = None
    assert end_tokens(model, tokenizer) == {256}


def test_another_model_brings_its_own_end_tokens() -> None:
    first, second = (chain_model({token: token + 1 for token in range(200)}) for _ in range(2))
    second.generation_config.eos_token_id = 5
    generator = LocalGenerator(first, byte_level_tokenizer())
    sampling = Sampling(max_completion_tokens=8)
    ((completion,),) = generator.generate([Prompt("p", "", (1,))], 1, sampling, seed=0)
    assert completion.token_ids == [2, 3, 4, 5, 6, 7, 8, 9]
    generator.load(second, version=1)
    ((completion,),) = generator.generate([Prompt("p", "", (1,))], 1, sampling, seed=0)
    assert completion.token_ids == [2, 3, 4, 5]


@pytest.mark.parametrize("cleans", [False, True])
def test_texts_are_those_of_batch_decode(cleans: bool, monkeypatch) -> None:
    tokenizer = byte_level_tokenizer([" stop", "ab"])
    tokenizer.clean_up_tokenization_spaces = cleans
    rng = random.Random(0)
    bodies = [[rng.randrange(len(tokenizer) + 50) for _ in range(n)] for n in (1, 9, 300)]
    bodies.append([token for token in bodies[2] if token < len(tokenizer)])
    ending = Ending(tokenizer, [], [])
    expected = tokenizer.batch_decode(bodies)
    calls: list[int] = []
    monkeypatch.setattr(tokenizer, "decode", lambda **_: calls.append(1) or expected)
    assert ending.texts(bodies) == expected
    assert len(calls) == cleans  # one call of the library, unless spaces are to be cleaned
