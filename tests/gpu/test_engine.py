"""The engine on CUDA: kernels, graphs and compiled layers give what the clear versions give."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
import torch
from tests.generate.device.helpers import assert_same, greedy
from tests.generate.device.test_architectures import MODELS
from tests.generate.helpers import random_prompts, trainer_logprobs
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from ponder.config.rl import EngineConfig, LoraConfig
from ponder.errors import PonderError
from ponder.generate.local import LocalGenerator
from ponder.models.lora import adapter_parameters, add_lora
from ponder.models.packed import completion_logprobs
from ponder.models.packed_layout import PackedLayout
from ponder.models.tiny import byte_level_tokenizer, make_tiny_model
from ponder.types import Completion, Prompt, Sampling

pytestmark = pytest.mark.gpu

MODES = {
    "eager": EngineConfig(compile=False, cuda_graphs=False),
    "graphs": EngineConfig(compile=False),
    "compiled": EngineConfig(),
}
SAMPLING = Sampling(max_completion_tokens=60)
PROMPTS = random_prompts((40, 3, 1, 66, 33, 64))


def on_gpu(seed: int, **settings: Any) -> tuple[PreTrainedModel, Any]:
    model, tokenizer = make_tiny_model(seed, hidden_size=64, **settings)
    return model.cuda(), tokenizer


def make_generator(
    model: PreTrainedModel, mode: str = "compiled", rows: int = 64
) -> LocalGenerator:
    return LocalGenerator(model, byte_level_tokenizer(), rows, MODES[mode])


def assert_exact(
    model: PreTrainedModel, groups: list[list[Completion]], temperature: float
) -> None:
    """Log-probabilities are those of a plain forward pass of transformers."""
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            found = torch.tensor(completion.sampler_logprobs)
            expected = trainer_logprobs(model, prompt, completion, temperature)
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("mode", ["graphs", "compiled"])
@pytest.mark.parametrize("name", MODELS)
def test_greedy_is_that_of_generate_on_a_cpu(name: str, mode: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    expected = [greedy(model, prompt, 50) for prompt in PROMPTS]
    generator = make_generator(model.cuda(), mode, rows=5)
    sampling = Sampling(0.0, max_completion_tokens=50)
    groups = generator.generate(PROMPTS, 2, sampling, 0)
    assert [group[0].token_ids for group in groups] == expected
    assert [group[1].token_ids for group in groups] == expected


@pytest.mark.parametrize(
    "sampling",
    [SAMPLING, Sampling(0.7, top_p=0.8, max_completion_tokens=60), Sampling(0.6, 1.0, 9, 60)],
)
def test_eager_graphs_and_compiled_agree(sampling: Sampling) -> None:
    model, _ = on_gpu(1)
    groups = [
        make_generator(model, mode, rows=20).generate(PROMPTS, 6, sampling, 3) for mode in MODES
    ]
    assert_exact(model, groups[0], sampling.temperature)
    assert_same(groups[1], groups[0], atol=1e-4)
    assert_same(groups[2], groups[0], atol=1e-4)


def test_calls_of_all_kinds_with_one_engine() -> None:
    """Other numbers of rows, other widths, other sampling: no graph where it isn't right."""
    model, _ = on_gpu(2)
    ours = make_generator(model, rows=30)
    for lengths, group_size, sampling in (
        ((5,), 1, Sampling(max_completion_tokens=3)),
        ((5, 9), 7, Sampling(max_completion_tokens=40)),
        ((5, 300), 7, Sampling(max_completion_tokens=40)),
        ((5, 300), 7, Sampling(0.5, max_completion_tokens=40)),
        ((5, 300), 7, Sampling(0.0, max_completion_tokens=40)),
        ((5, 30), 20, Sampling(0.9, 0.9, max_completion_tokens=70, stop=("a", "e"))),
        ((5, 9), 7, Sampling(max_completion_tokens=40)),
    ):
        prompts = random_prompts(lengths)
        found = ours.generate(prompts, group_size, sampling, 5)
        fresh = make_generator(model, "eager").generate(prompts, group_size, sampling, 5)
        assert_same(found, fresh, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_a_cache_that_stands_elsewhere(mode: str) -> None:
    model, _ = on_gpu(3)
    generator = make_generator(model, mode)
    expected = generator.generate(PROMPTS, 4, SAMPLING, 1)
    assert generator._engine is not None
    pointers = generator._engine._cache.pointers
    before = pointers.clone()
    kept = [torch.full((2**n,), torch.nan, device="cuda") for n in range(8, 24) for _ in range(4)]
    assert_same(generator.generate(PROMPTS, 4, SAMPLING, 1), expected, atol=1e-4)
    assert not torch.equal(pointers, before)
    del kept


@pytest.mark.parametrize("mode", MODES)
def test_weights_that_are_trained_in_place(mode: str) -> None:
    model, _ = on_gpu(4)
    generator = make_generator(model, mode)
    first = generator.generate(PROMPTS, 4, SAMPLING, 1)
    engine = generator._engine
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, fused=True)
    ids = torch.arange(200, device="cuda").unsqueeze(0)
    for _ in range(2):
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
        found = generator.generate(PROMPTS, 4, SAMPLING, 1)
        fresh = make_generator(copy.deepcopy(model), "eager").generate(PROMPTS, 4, SAMPLING, 1)
        assert_same(found, fresh, atol=1e-4)
        assert_exact(model, found, 1.0)
    assert generator._engine is engine  # nothing was captured or copied anew
    assert [c.token_ids for g in found for c in g] != [c.token_ids for g in first for c in g]


def test_preemption_changes_nothing() -> None:
    model, _ = on_gpu(5)
    sampling = Sampling(max_completion_tokens=200, ignore_end_tokens=True)
    expected = make_generator(model).generate(PROMPTS, 5, sampling, 1)
    assert make_generator(model)._engine is None
    page_bytes = 2 * 2 * 2 * 16 * 32 * 4  # layers, keys and values, key heads, their size
    config = EngineConfig(memory_gib=30.5 * page_bytes / 2**30)
    tight = LocalGenerator(model, byte_level_tokenizer(), 64, config)
    assert_same(tight.generate(PROMPTS, 5, sampling, 1), expected, atol=1e-4)
    assert tight.last_stats.num_preempted > 0
    config = EngineConfig(memory_gib=5 * page_bytes / 2**30)
    with pytest.raises(PonderError, match=r"engine\.memory_gib"):
        LocalGenerator(model, byte_level_tokenizer(), 64, config).generate(PROMPTS, 1, sampling, 1)


def test_memory_is_given_back() -> None:
    model, _ = on_gpu(6)
    generator = make_generator(model)
    generator.generate(PROMPTS, 4, SAMPLING, 1)
    gc.collect()
    before = torch.cuda.memory_allocated()
    for seed in range(3):
        generator.generate(PROMPTS, 4, SAMPLING, seed)
    gc.collect()
    assert torch.cuda.memory_allocated() <= before


def test_an_error_in_the_middle_leaves_the_engine_whole() -> None:
    model, _ = on_gpu(7)
    generator = make_generator(model, rows=4)

    def fail(completion: Completion) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        generator.generate(PROMPTS, 3, SAMPLING, 1, on_finished=fail)
    found = generator.generate(PROMPTS, 3, SAMPLING, 1)
    assert_same(found, make_generator(model, "eager").generate(PROMPTS, 3, SAMPLING, 1), 1e-4)


def test_a_long_completion_alone() -> None:
    """Its columns are cut into as many parts as there may be."""
    model, _ = on_gpu(8, max_position=8192)
    sampling = Sampling(max_completion_tokens=4400, ignore_end_tokens=True)
    prompt = Prompt("p", "", (1, 2, 3))
    ((completion,),) = make_generator(model).generate([prompt], 1, sampling, 0)
    found = torch.tensor(completion.sampler_logprobs)
    expected = trainer_logprobs(model, prompt, completion, 1.0)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@pytest.fixture(scope="module")
def wide() -> PreTrainedModel:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=2000,
        hidden_size=512,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=2,
        intermediate_size=1024,
        max_position_embeddings=4096,
        initializer_range=0.02,
        eos_token_id=256,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config).to("cuda", torch.bfloat16).eval()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampler_and_trainer_agree_in_bfloat16(
    wide: PreTrainedModel, mode: str, temperature: float
) -> None:
    sampling = Sampling(temperature, max_completion_tokens=150)
    groups = make_generator(wide, mode).generate(PROMPTS, 8, sampling, 0)
    completions = [completion for group in groups for completion in group]
    layout = PackedLayout.build(
        [list(prompt.token_ids) for prompt in PROMPTS],
        [completion.token_ids for completion in completions],
        [index for index in range(len(PROMPTS)) for _ in range(8)],
        device="cuda",
    )
    with torch.no_grad():
        theirs, _ = completion_logprobs(wide, layout, temperature, 1024)
    ours = [logprob for completion in completions for logprob in completion.sampler_logprobs]
    order = layout.pad(theirs)
    flat = torch.cat([row[: len(c.token_ids)] for row, c in zip(order, completions, strict=True)])
    assert (torch.tensor(ours) - flat.float().cpu()).abs().mean() < 0.01


@pytest.mark.parametrize("mode", MODES)
def test_adapters(mode: str) -> None:
    pytest.importorskip("peft")
    model, _ = on_gpu(9)
    add_lora(model, LoraConfig(rank=4), seed=0)
    generator = make_generator(model, mode)
    before = generator.generate(PROMPTS, 3, SAMPLING, 1)
    assert_exact(model, before, 1.0)
    with torch.no_grad():
        for parameter in adapter_parameters(model).values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    after = generator.generate(PROMPTS, 3, SAMPLING, 1)
    assert_exact(model, after, 1.0)
    assert [c.token_ids for g in after for c in g] != [c.token_ids for g in before for c in g]
