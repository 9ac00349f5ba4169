"""A distillation's settings as the parts that do the work read them."""

from __future__ import annotations

from pathlib import Path

from ponder.config.distil import DistilConfig
from ponder.config.sampling_stage import CuratedConfig, SampledConfig
from ponder.config.sft import SFTBatchConfig, SFTConfig, SFTDataConfig, SFTEvalConfig
from ponder.plan.shape import ModelShape
from ponder.plan.supervised import Cost, Texts, update_cost


def sampled_config(config: DistilConfig) -> SampledConfig:
    """How the teacher is sampled."""
    assert config.teacher is not None
    shared = {key: getattr(config, key) for key in CuratedConfig.model_fields}
    return SampledConfig(name=config.name, model=config.teacher, **shared)


def sft_config(config: DistilConfig, rows: Path) -> SFTConfig:
    """How the student is fine-tuned on ``rows``."""
    learn = config.off_policy
    return SFTConfig(
        name=config.name,
        model=config.model,
        seed=config.seed,
        epochs=learn.epochs,
        device=config.device,
        dtype=config.dtype,
        threads=config.threads,
        unsafe=config.unsafe,
        data=SFTDataConfig(path=rows, max_tokens=learn.max_tokens),
        template=config.template,
        batch=SFTBatchConfig(samples=learn.samples, **config.batch.model_dump()),
        optimizer=config.optimizer,
        lora=config.lora,
        problems=config.problems,
        engine=config.engine,
        eval=SFTEvalConfig(
            **config.eval.model_dump(),
            max_completion_tokens=config.sampling.max_completion_tokens,
            max_batch_size=config.sampling.max_batch_size,
        ),
        checkpoint=config.checkpoint,
    )


def student_update(config: DistilConfig, shape: ModelShape) -> Cost:
    """What an update of the student takes by the planner, texts being as long as they may be."""
    from ponder.plan.devices import device_for
    from ponder.plan.memory import Sizes
    from ponder.train.sft.learner import resolve_batch

    device = device_for(config.device)
    learn, policy = config.off_policy, config.on_policy
    batch = resolve_batch(
        SFTBatchConfig(**config.batch.model_dump()), "cuda" if device.is_gpu else "cpu"
    )
    samples = learn.samples
    if config.method == "on_policy":
        samples = policy.prompts_per_step * policy.group_size // policy.minibatches
    prompt, limit = 128, config.sampling.max_completion_tokens
    return update_cost(
        Texts(samples, prompt, limit, prompt + limit),
        shape,
        device,
        Sizes(
            batch.microbatch_tokens,
            batch.logprob_chunk_tokens,
            "layers" if batch.recompute == "layers" else "none",
            0.0,
        ),
        config.dtype,
        config.optimizer,
        config.lora,
        config.batch.compile and device.is_gpu,
    )
