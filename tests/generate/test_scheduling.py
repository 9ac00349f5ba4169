"""What is sampled follows from (seed, problem id, sample index) and the weights, nothing else."""

import random

import pytest
import torch
from tests.generate.helpers import random_prompts

from ponder.errors import PonderError
from ponder.generate.attention import engine_mode
from ponder.generate.ending import Ending
from ponder.generate.local import LocalGenerator
from ponder.generate.pages import PagePool
from ponder.generate.run import GenerationRun
from ponder.models.tiny import make_tiny_model
from ponder.types import Completion, Prompt, Sampling

SAMPLING = Sampling(max_completion_tokens=50)


def tokens_by_id(groups: list[list[Completion]]) -> dict[tuple[str, int], list[int]]:
    return {(c.problem_id, c.sample_index): c.token_ids for group in groups for c in group}


def test_batch_size_and_order_of_prompts_do_not_matter() -> None:
    model, tokenizer = make_tiny_model(0)
    prompts = random_prompts((40, 3, 36, 70, 33, 90, 35), common=2)
    wide = LocalGenerator(model, tokenizer, max_batch_size=64)
    expected = tokens_by_id(wide.generate(prompts, 5, SAMPLING, seed=1))
    lengths = {len(tokens) for tokens in expected.values()}
    assert len(lengths) > 5  # sequences do come and go
    narrow = LocalGenerator(model, tokenizer, max_batch_size=3)
    shuffled = random.Random(0).sample(prompts, len(prompts))
    groups = narrow.generate(shuffled, 5, SAMPLING, seed=1)
    assert [group[0].problem_id for group in groups] == [p.problem_id for p in shuffled]
    assert tokens_by_id(groups) == expected
    alone = wide.generate([prompts[3]], 5, SAMPLING, seed=1)
    assert tokens_by_id(alone)[("p3", 4)] == expected[("p3", 4)]
    assert wide.generate(prompts, 2, SAMPLING, 1)[2][1].token_ids == expected[("p2", 1)]


def test_seed_sample_index_and_problem_id_all_matter() -> None:
    model, tokenizer = make_tiny_model(0)
    (prompt,) = random_prompts((10,))
    other = Prompt("other", "", prompt.token_ids)
    generator = LocalGenerator(model, tokenizer)
    first, second = generator.generate([prompt, other], 2, SAMPLING, seed=1)
    again = generator.generate([prompt], 1, SAMPLING, seed=2)[0]
    drawn = [tuple(c.token_ids[:8]) for c in (*first, *second, *again)]
    assert len(set(drawn)) == 5


def test_prompts_are_computed_once_and_all_pages_come_back() -> None:
    model, tokenizer = make_tiny_model(0)
    prompts = random_prompts((72, 80, 90), common=70)
    pool = PagePool(4, torch.device("cpu"), torch.float32)  # too small: it must grow
    ending = Ending(tokenizer, [256], ())
    with engine_mode(model), torch.inference_mode():
        run = GenerationRun(model, pool, ending, Sampling(max_completion_tokens=40), max_rows=4)
        groups = run.run(prompts, [[40] * 6] * 3, seed=0)
    assert all(row.finish_reason for group in groups for row in group)
    assert pool.num_taken == 0
    # 64 shared tokens once; then 7, 15 and 25 more tokens each in a page of 32, once per group.
    assert run.stats.prefill_tokens == 64 + 3 * 32
    assert run.stats.num_completions == 18
    assert run.stats.num_tokens == sum(len(row.token_ids) for group in groups for row in group)


def test_no_prompts_no_completions() -> None:
    model, tokenizer = make_tiny_model(0)
    assert LocalGenerator(model, tokenizer).generate([], 4, SAMPLING, seed=0) == []


@pytest.mark.parametrize(
    ("length", "limit", "names"),
    [(0, 5, "prompt"), (5, 0, "max_completion_tokens"), (2000, 49, "lower it to 48")],
)
def test_user_mistakes_are_named(length, limit, names) -> None:
    model, tokenizer = make_tiny_model(0)
    generator = LocalGenerator(model, tokenizer)
    with pytest.raises(PonderError, match=names):
        generator.generate(random_prompts((length,)), 1, Sampling(max_completion_tokens=limit), 0)
