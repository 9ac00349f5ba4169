"""Ends that come in the middle of a chunk of steps."""

from __future__ import annotations

import pytest
from tests.generate.device.helpers import DeviceGenerator, assert_same
from tests.generate.helpers import chain_model, random_prompts

from ponder.generate.device.slots import CHUNK_STEPS
from ponder.generate.local import LocalGenerator
from ponder.models.tiny import byte_level_tokenizer, make_tiny_model
from ponder.types import Completion, Prompt, Sampling

TOKENIZER = byte_level_tokenizer()
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letter(text: str) -> int:
    (token,) = TOKENIZER(text)["input_ids"]
    return int(token)


def written(limit: int, stop: tuple[str, ...], others: int = 0) -> Completion:
    """What a model that only knows the alphabet, round and round, writes after "a"."""
    ids = [letter(text) for text in LETTERS]
    following = dict(zip(ids, ids[1:] + ids[:1], strict=True))
    prompts = [Prompt("p", "", (ids[0],))]
    prompts += [Prompt(f"q{n}", "", (ids[n + 1],)) for n in range(others)]
    sampling = Sampling(max_completion_tokens=limit, stop=stop)
    generator = DeviceGenerator(chain_model(following), TOKENIZER)
    return generator.generate(prompts, 1, sampling, seed=0)[0][0]


@pytest.mark.parametrize("others", [0, 3])
@pytest.mark.parametrize(
    ("stop", "limit", "text", "reason"),
    [
        (("fgh",), 60, "bcdefgh", "stop"),
        (("z", "y", "xyz"), 60, LETTERS[1:25], "stop"),  # several in one chunk: the first
        (("b",), 60, "b", "stop"),
        (("za",), 60, LETTERS[1:] + "a", "stop"),
        (("efghij", "hgf"), 60, "bcdefghij", "stop"),
        (("fg",), 6, "bcdefg", "stop"),  # and the limit, at the same token
        (("fg",), 5, "bcdef", "length"),  # the limit just before
        (("fg",), 7, "bcdefg", "stop"),  # the limit just after, in the same chunk
        (("hgf",), 40, (LETTERS * 2)[1:41], "length"),  # suspects, but no stop
        (("zabcdefgh",), 60, LETTERS[1:] + "abcdefgh", "stop"),  # over the end of a chunk
    ],
)
def test_stop_strings(stop, limit, text, reason, others) -> None:
    assert len("bcdefghijklmnopqrstuvwxyzabcdefgh") > CHUNK_STEPS
    completion = written(limit, stop, others)
    assert (completion.text, completion.finish_reason) == (text, reason)
    assert completion.token_ids == [letter(each) for each in text]
    assert len(completion.sampler_logprobs) == len(text)


@pytest.mark.parametrize("stop", [("a",), ("e", "q1"), ("\N{REPLACEMENT CHARACTER}",), ("zz", "#")])
def test_the_completions_of_the_cpu_engine(stop) -> None:
    model, tokenizer = make_tiny_model(1)
    prompts = random_prompts((1, 40, 33))
    sampling = Sampling(max_completion_tokens=90, stop=stop)
    found = DeviceGenerator(model, tokenizer, 5).generate(prompts, 4, sampling, 3)
    assert_same(found, LocalGenerator(model, tokenizer).generate(prompts, 4, sampling, 3))
    assert any(c.finish_reason == "stop" for group in found for c in group)


def test_stop_strings_of_one_call_are_not_those_of_the_next() -> None:
    model, tokenizer = make_tiny_model(2)
    prompts = random_prompts((10, 40))
    generator = DeviceGenerator(model, tokenizer)
    plain = Sampling(max_completion_tokens=40)
    expected = generator.generate(prompts, 3, plain, 3)
    generator.generate(prompts, 3, Sampling(max_completion_tokens=40, stop=("a", "e")), 3)
    assert_same(generator.generate(prompts, 3, plain, 3), expected)
    forever = Sampling(max_completion_tokens=40, ignore_end_tokens=True)
    lengths = [len(c.token_ids) for g in generator.generate(prompts, 3, forever, 3) for c in g]
    assert lengths == [40] * 6
    assert_same(generator.generate(prompts, 3, plain, 3), expected)
