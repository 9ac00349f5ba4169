"""The device engine against the CPU's: the same tokens, whatever comes and goes."""

from __future__ import annotations

import functools
import random

import pytest
import torch
from tests.generate.device.helpers import DeviceGenerator, assert_same
from tests.generate.helpers import random_prompts, trainer_logprobs

from ponder.config.rl import EngineConfig
from ponder.errors import PonderError
from ponder.generate.device import compiled, loop, scheduler
from ponder.generate.device.slots import CHUNK_STEPS
from ponder.generate.local import LocalGenerator
from ponder.models.tiny import make_tiny_model
from ponder.types import Prompt, Sampling

SAMPLING = Sampling(max_completion_tokens=50)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(1.0, max_completion_tokens=70),
        Sampling(0.0, max_completion_tokens=40),
        Sampling(0.7, top_p=0.8, max_completion_tokens=70),
        Sampling(0.9, top_k=5, max_completion_tokens=33),
    ],
    ids=["plain", "greedy", "top_p", "top_k"],
)
@pytest.mark.parametrize(("lengths", "common"), [((1, 2, 31, 32, 33, 34, 65), 0), ((3, 40), 70)])
def test_the_tokens_of_the_cpu_engine(sampling, lengths, common) -> None:
    model, tokenizer = make_tiny_model(1)
    prompts = random_prompts([common + length for length in lengths], common=common)
    found = DeviceGenerator(model, tokenizer).generate(prompts, 3, sampling, seed=5)
    assert_same(found, LocalGenerator(model, tokenizer).generate(prompts, 3, sampling, seed=5))


def test_steps_ahead_of_reading_change_nothing(monkeypatch) -> None:
    """Rows that are over or cut at a stop string meanwhile; limits that end within the steps."""
    model, tokenizer = make_tiny_model(1)
    prompts = random_prompts([3, 40, 33])
    limits = [[1, 20, 33, 150, 151], [7, 7, 64, 65, 170], [63, 2, 96, 97, 40]]
    chunks = []
    for fewest in (1, 6, 100):
        monkeypatch.setattr(loop, "FEWEST_AHEAD", fewest)
        monkeypatch.setattr(loop.Loop, "_computed", lambda *args: 16)  # as a graph's bucket
        ahead = results_of(monkeypatch, loop.Loop, "_launch_again")
        for sampling in (
            Sampling(max_completion_tokens=170, ignore_end_tokens=True),
            Sampling(max_completion_tokens=170),
            Sampling(max_completion_tokens=170, stop=("a", "b")),
        ):
            for rows in (4, 15):  # some wait, and come in while steps run; all are in
                generator = DeviceGenerator(model, tokenizer, max_batch_size=rows)
                found = generator.generate(prompts, 5, sampling, 2, limits=limits)
                clear = LocalGenerator(model, tokenizer, max_batch_size=rows)
                assert_same(found, clear.generate(prompts, 5, sampling, 2, limits=limits))
        chunks.append(sum(steps is not None for steps in ahead))
        monkeypatch.undo()
    assert chunks[0] > chunks[1] > chunks[2] == 0


@pytest.mark.parametrize("ends", [False, True])
def test_steps_ahead_keep_no_rows_that_are_over(ends: bool, monkeypatch) -> None:
    model, tokenizer = make_tiny_model(1)
    prompts = random_prompts([3, 40, 33])
    limits = [[20, 9, 300, 300], [300, 20, 20, 20], [20, 20, 300, 20]]
    sampling = Sampling(max_completion_tokens=300, ignore_end_tokens=not ends)
    computed = []
    for fewest in (100, 2):
        monkeypatch.setattr(loop, "FEWEST_AHEAD", fewest)
        rows = results_of(monkeypatch, loop.Loop, "_start")
        DeviceGenerator(model, tokenizer).generate(prompts, 4, sampling, 2, limits=limits)
        computed.append(sum(len(steps.rows) * steps.count for steps in rows))
        monkeypatch.undo()
    never, ahead = computed
    assert ahead == never if not ends else ahead <= never + CHUNK_STEPS * 12


def results_of(monkeypatch, owner, name: str) -> list:
    """Grows by the result of each call of the method."""
    results = []
    method = getattr(owner, name)

    def kept(*args):
        results.append(method(*args))
        return results[-1]

    monkeypatch.setattr(owner, name, kept)
    return results


def test_a_compiled_turn_is_the_same_turn(monkeypatch) -> None:
    """Of the slots and the random numbers; not by inductor here."""
    traced = []

    def compiled_for(function):
        traced.append(function.__name__)
        return torch.compile(function, backend="aot_eager", dynamic=True, fullgraph=True)

    monkeypatch.setattr(compiled, "_compiled", functools.cache(compiled_for))
    model, tokenizer = make_tiny_model(1)
    prompts = random_prompts([3, 40, 33])
    limits = [[1, 20, 33, 50, 50], [7, 7, 50, 50, 50], [50, 2, 50, 3, 40]]
    with compiled._compiling_functions():
        found = DeviceGenerator(model, tokenizer).generate(prompts, 5, SAMPLING, 2, limits=limits)
    expected = LocalGenerator(model, tokenizer).generate(prompts, 5, SAMPLING, 2, limits=limits)
    assert_same(found, expected)
    assert sorted(traced) == ["advance", "uniforms"]
    torch._dynamo.reset()


@pytest.mark.parametrize("length", [1, 2, 33, 65])
@pytest.mark.parametrize("group_size", [1, 9])
def test_equal_prompts(length, group_size) -> None:
    model, tokenizer = make_tiny_model(2, "llama", num_kv_heads=1)
    (prompt,) = random_prompts((length,))
    prompts = [Prompt(f"q{index}", "", prompt.token_ids) for index in range(3)]
    found = DeviceGenerator(model, tokenizer).generate(prompts, group_size, SAMPLING, seed=0)
    expected = LocalGenerator(model, tokenizer).generate(prompts, group_size, SAMPLING, seed=0)
    assert_same(found, expected)


@pytest.mark.parametrize("ignore_end_tokens", [False, True])
@pytest.mark.parametrize("max_rows", [1, 3, 64])
def test_more_sequences_than_rows_and_limits_of_their_own(max_rows, ignore_end_tokens) -> None:
    model, tokenizer = make_tiny_model(3)
    prompts = random_prompts((40, 3, 36, 70, 33), common=2)
    sampling = Sampling(max_completion_tokens=300, ignore_end_tokens=ignore_end_tokens)
    rng = random.Random(0)
    limits = [[rng.choice((1, 2, 31, 32, 33, 64, 200)) for _ in range(4)] for _ in prompts]
    generator = DeviceGenerator(model, tokenizer, max_batch_size=max_rows)
    found = generator.generate(prompts, 4, sampling, 1, limits=limits)
    expected = LocalGenerator(model, tokenizer).generate(prompts, 4, sampling, 1, limits=limits)
    assert_same(found, expected)
    if ignore_end_tokens:
        assert [[len(c.token_ids) for c in group] for group in found] == limits
    assert generator.last_stats.num_tokens == sum(len(c.token_ids) for g in found for c in g)
    assert generator.last_stats.num_completions == 20
    assert generator.last_stats.num_preempted == 0


def test_calls_of_all_sizes_one_after_the_other() -> None:
    model, tokenizer = make_tiny_model(4)
    ours = DeviceGenerator(model, tokenizer, max_batch_size=5)
    theirs = LocalGenerator(model, tokenizer)
    for lengths, group_size, limit in (
        ((5,), 1, 3),
        ((90, 4), 4, 80),
        ((3,), 2, 2),
        ((1, 1, 300), 2, 33),
    ):
        prompts = random_prompts(lengths)
        sampling = Sampling(max_completion_tokens=limit)
        found = ours.generate(prompts, group_size, sampling, seed=7)
        assert_same(found, theirs.generate(prompts, group_size, sampling, seed=7))


@pytest.mark.parametrize("room", [1, 7, 64, 100])
def test_prompts_in_pieces(room, monkeypatch) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", room)
    model, tokenizer = make_tiny_model(5)
    prompts = random_prompts((150, 3, 1, 77, 90), common=0)
    generator = DeviceGenerator(model, tokenizer, max_batch_size=4)
    found = generator.generate(prompts, 3, SAMPLING, seed=2)
    assert_same(found, LocalGenerator(model, tokenizer).generate(prompts, 3, SAMPLING, seed=2))
    assert generator.last_stats.prefill_tokens == sum(len(p.token_ids) - 1 for p in prompts)


@pytest.mark.parametrize("common", [0, 8300])
def test_prompts_longer_than_a_pass(common, monkeypatch) -> None:
    model, tokenizer = make_tiny_model(
        6, num_layers=1, hidden_size=8, num_heads=1, num_kv_heads=1, max_position=20_000
    )
    sizes = []
    prefill = loop.PrefillPass

    def noted(cache, write_rows, *rest):
        sizes.append(len(write_rows))
        return prefill(cache, write_rows, *rest)

    monkeypatch.setattr(loop, "PrefillPass", noted)
    prompts = random_prompts((8700, 8400), common=common)
    sampling = Sampling(max_completion_tokens=8)
    groups = DeviceGenerator(model, tokenizer).generate(prompts, 1, sampling, seed=0)
    assert max(sizes) <= scheduler.PREFILL_TOKENS
    for prompt, (completion,) in zip(prompts, groups, strict=True):
        expected = trainer_logprobs(model, prompt, completion, 1.0)
        found = torch.tensor(completion.sampler_logprobs)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_each_is_told_of_once_while_others_run() -> None:
    model, tokenizer = make_tiny_model(7)
    prompts = random_prompts((10, 20, 30))
    told: list[tuple[str, int, int]] = []
    generator = DeviceGenerator(model, tokenizer, max_batch_size=4)
    limits = [[1, 40, 100], [100, 1, 40], [7, 7, 7]]
    sampling = Sampling(max_completion_tokens=100, ignore_end_tokens=True)
    groups = generator.generate(
        prompts,
        3,
        sampling,
        0,
        on_finished=lambda c: told.append((c.problem_id, c.sample_index, len(c.token_ids))),
        limits=limits,
    )
    everyone = [(c.problem_id, c.sample_index, len(c.token_ids)) for g in groups for c in g]
    assert sorted(told) == sorted(everyone)
    assert told[0] == ("p0", 0, 1)
    assert told != everyone  # by their end, not by their place


class _InterruptedError(Exception):
    pass


def test_nothing_is_left_when_on_finished_raises() -> None:
    model, tokenizer = make_tiny_model(8)
    model.train()
    attention = model.config._attn_implementation
    names = {name for name, _ in model.named_buffers()}
    prompts = random_prompts((10, 40))
    generator = DeviceGenerator(model, tokenizer, max_batch_size=2)

    def fail(completion) -> None:
        raise _InterruptedError

    with pytest.raises(_InterruptedError):
        generator.generate(prompts, 4, SAMPLING, 0, on_finished=fail)
    assert model.config._attn_implementation == attention
    assert model.training
    assert {name for name, _ in model.named_buffers()} == names
    assert generator._engine is not None
    assert not generator._engine._cache.keys
    assert not generator._engine._cache.values
    found = generator.generate(prompts, 4, SAMPLING, 0)
    assert_same(found, LocalGenerator(model, tokenizer).generate(prompts, 4, SAMPLING, 0))


def test_the_model_trains_and_is_saved_after_a_call(tmp_path) -> None:
    model, tokenizer = make_tiny_model(9)
    generator = DeviceGenerator(model, tokenizer)
    prompts = random_prompts((10, 40))
    before = set(model.state_dict())
    generator.generate(prompts, 2, SAMPLING, 0)
    assert set(model.state_dict()) == before
    ids = torch.arange(20).unsqueeze(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    model(ids, labels=ids).loss.backward()
    optimizer.step()
    model.save_pretrained(tmp_path)
    found = generator.generate(prompts, 2, SAMPLING, 0)
    again = type(model).from_pretrained(tmp_path)
    assert_same(found, DeviceGenerator(again, tokenizer).generate(prompts, 2, SAMPLING, 0))


def test_another_model_is_another_engine() -> None:
    first, tokenizer = make_tiny_model(10)
    second, _ = make_tiny_model(11, num_layers=3)
    prompts = random_prompts((10, 40))
    generator = DeviceGenerator(first, tokenizer)
    generator.generate(prompts, 2, SAMPLING, 0)
    generator.load(second, version=1)
    found = generator.generate(prompts, 2, SAMPLING, 0)
    assert_same(found, LocalGenerator(second, tokenizer).generate(prompts, 2, SAMPLING, 0))


def test_engine_survives_weights_that_move() -> None:
    model, tokenizer = make_tiny_model(12)
    prompts = random_prompts((10, 40))
    generator = DeviceGenerator(model, tokenizer)
    expected = generator.generate(prompts, 2, SAMPLING, 0)
    engine = generator._engine
    assert_same(generator.generate(prompts, 2, SAMPLING, 0), expected)
    assert generator._engine is engine
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    assert_same(generator.generate(prompts, 2, SAMPLING, 0), expected)
    assert generator._engine is not engine


def test_a_tokenizer_with_more_tokens_than_the_model() -> None:
    model, _ = make_tiny_model(13)
    _, tokenizer = make_tiny_model(13, words=[" the", " stop"])
    sampling = Sampling(max_completion_tokens=20, stop=("stop",))
    prompts = random_prompts((10,))
    found = DeviceGenerator(model, tokenizer).generate(prompts, 2, sampling, 0)
    assert_same(found, LocalGenerator(model, tokenizer).generate(prompts, 2, sampling, 0))


def gib_for(generator: LocalGenerator, num_pages: float) -> float:
    """Memory of so many pages; the generator must have made its engine."""
    assert generator._engine is not None
    return num_pages * generator._engine._cache.page_bytes / 2**30


def with_memory(model, tokenizer, num_pages: float, max_rows: int = 64) -> DeviceGenerator:
    probe = DeviceGenerator(model, tokenizer)
    probe.generate(random_prompts((1,)), 1, Sampling(max_completion_tokens=1), 0)
    config = EngineConfig(memory_gib=gib_for(probe, num_pages + 0.5))
    return DeviceGenerator(model, tokenizer, max_rows, config)


@pytest.mark.parametrize("num_pages", [10, 11, 13, 17, 25])
def test_preemption_changes_nothing(num_pages) -> None:
    model, tokenizer = make_tiny_model(14)
    prompts = random_prompts((40, 3, 36, 70, 1), common=0)
    sampling = Sampling(max_completion_tokens=200, ignore_end_tokens=True)
    rng = random.Random(1)
    limits = [[rng.randint(1, 200) for _ in range(4)] for _ in prompts]
    generator = with_memory(model, tokenizer, num_pages)
    told = []
    found = generator.generate(prompts, 4, sampling, 3, on_finished=told.append, limits=limits)
    expected = LocalGenerator(model, tokenizer).generate(prompts, 4, sampling, 3, limits=limits)
    assert_same(found, expected)
    assert len(told) == 20
    assert generator.last_stats.num_preempted > 0


def test_a_waiting_groups_prompt_gives_way() -> None:
    """The pages of a prompt that nobody uses just now are not missing elsewhere."""
    model, tokenizer = make_tiny_model(15)
    prompts = random_prompts((1, 161))
    sampling = Sampling(max_completion_tokens=320, ignore_end_tokens=True)
    limits = [[320] + [1] * 7, [32] * 8]
    generator = with_memory(model, tokenizer, 11)
    found = generator.generate(prompts, 8, sampling, 0, limits=limits)
    expected = LocalGenerator(model, tokenizer).generate(prompts, 8, sampling, 0, limits=limits)
    assert_same(found, expected)


def test_too_little_memory_for_one_is_an_error() -> None:
    model, tokenizer = make_tiny_model(16)
    generator = with_memory(model, tokenizer, 4)
    with pytest.raises(PonderError, match=r"engine\.memory_gib"):
        generator.generate(random_prompts((40,)), 1, Sampling(max_completion_tokens=100), 0)
    sampling = Sampling(max_completion_tokens=60)
    found = generator.generate(random_prompts((40,)), 3, sampling, 0)
    expected = LocalGenerator(model, tokenizer).generate(random_prompts((40,)), 3, sampling, 0)
    assert_same(found, expected)


def test_limits_for_some_only() -> None:
    model, tokenizer = make_tiny_model(17)
    generator = DeviceGenerator(model, tokenizer)
    with pytest.raises(PonderError, match="limits"):
        generator.generate(random_prompts((4, 5)), 2, SAMPLING, 0, limits=[[3, 3], [3]])
    with pytest.raises(PonderError, match="at least 1"):
        generator.generate(random_prompts((4,)), 2, SAMPLING, 0, limits=[[3, 0]])


def test_memory_that_runs_out_half_way_is_given_back(monkeypatch) -> None:
    model, tokenizer = make_tiny_model(18)
    generator = DeviceGenerator(model, tokenizer)
    prompts = random_prompts((4, 40))
    expected = generator.generate(prompts, 2, SAMPLING, 0)
    assert generator._engine is not None
    cache = generator._engine._cache
    new, calls = type(cache)._new, iter((None, None, None))

    def run_out(self, shape):
        if next(calls, "over") == "over":
            raise torch.OutOfMemoryError
        return new(self, shape)

    with monkeypatch.context() as patch:
        patch.setattr(type(cache), "_new", run_out)
        with pytest.raises(torch.OutOfMemoryError):
            generator.generate(prompts, 2, SAMPLING, 0)
    assert not cache.keys
    assert not cache.values
    assert_same(generator.generate(prompts, 2, SAMPLING, 0), expected)
