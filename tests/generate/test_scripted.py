"""The scripted fake: a generator whose every word is known."""

import pytest

from ponder.errors import PonderError
from ponder.generate.scripted import ScriptedGenerator
from ponder.models.tiny import byte_level_tokenizer
from ponder.types import Generator, Prompt, Sampling


def prompt(problem_id: str) -> Prompt:
    return Prompt(problem_id, "?", (63,))


def test_table_is_cycled_and_text_round_trips() -> None:
    tokenizer = byte_level_tokenizer()
    generator: Generator = ScriptedGenerator({"a": ["1", "22"], "b": ["x"]}, tokenizer)
    a, b = generator.generate([prompt("a"), prompt("b")], 3, Sampling(), seed=0)
    assert [completion.text for completion in a] == ["1", "22", "1"]
    assert [completion.sample_index for completion in a] == [0, 1, 2]
    assert [completion.problem_id for completion in b] == ["b"] * 3
    assert tokenizer.decode(a[1].token_ids) == "22<|endoftext|>"
    assert a[1].sampler_logprobs == [0.0] * 3
    assert a[1].finish_reason == "stop"


def test_function_sees_prompt_index_and_seed() -> None:
    tokenizer = byte_level_tokenizer()
    generator = ScriptedGenerator(lambda p, i, s: f"{p.problem_id}/{i}/{s}", tokenizer)
    ((first, second),) = generator.generate([prompt("a")], 2, Sampling(), seed=7)
    assert (first.text, second.text) == ("a/0/7", "a/1/7")


def test_text_past_the_limit_is_cut() -> None:
    generator = ScriptedGenerator({"a": ["12345"]}, byte_level_tokenizer())
    ((cut,),) = generator.generate([prompt("a")], 1, Sampling(max_completion_tokens=5), 0)
    assert (cut.text, cut.finish_reason, len(cut.token_ids)) == ("12345", "length", 5)
    ((cut,),) = generator.generate([prompt("a")], 1, Sampling(max_completion_tokens=2), 0)
    assert (cut.text, cut.finish_reason, len(cut.token_ids)) == ("12", "length", 2)


def test_a_problem_that_is_not_in_the_script_is_an_error() -> None:
    generator = ScriptedGenerator({"a": []}, byte_level_tokenizer())
    for problem_id in ("a", "b"):
        with pytest.raises(PonderError, match="no text"):
            generator.generate([prompt(problem_id)], 1, Sampling(), 0)
