"""What runs in the child processes of ``step.py``: Ponder's step, and TRL's."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from machine import measure_machine, timed
from rollout_sides import allocated_peak, reset_peak, version
from sides import Job, Row, rate
from training import TrainWorkload, make_config, make_policy, settings_of

Phases = dict[str, list[float]]


def run_save(job: Job) -> Row:
    """The weights and a tokenizer as a folder that TRL can open."""
    from shapes import open_shape

    model, tokenizer = open_shape(job["workload"]["shape"], job["device"], job["dtype"])
    model.save_pretrained(job["folder"])
    tokenizer.save_pretrained(job["folder"])
    return {"rows": []}


def run_ponder(job: Job) -> Row:
    """The steps of a run, without its files: the loop of ``train.rl.loop``, each phase timed."""
    from shapes import open_shape

    workload = TrainWorkload(**job["workload"])
    model, tokenizer = open_shape(workload.shape, job["device"], job["dtype"])
    config = make_config(job, workload)
    policy = make_policy(model, config, workload)
    step = ponder_step(policy, tokenizer, workload, job["device"])
    _, first = timed(lambda: step(0), job["device"])
    reset_peak(job["device"])
    phases: Phases = defaultdict(list)
    metrics: dict[str, float] = {}
    for number in range(1, job["repeats"] + 1):
        (parts, metrics), seconds = timed(lambda number=number: step(number), job["device"])
        for name, value in (parts | {"step": seconds}).items():
            phases[name].append(value)
    row = step_row(phases["step"], workload, model.config, job)
    mode = f"lora, rank {config.lora.rank}" if config.lora.rank else "full fine-tune"
    row |= {"who": "ponder", "mode": mode, "first_seconds": round(first, 2)}
    row |= {f"{name}_seconds": statistics.median(values) for name, values in phases.items()}
    row["handover_ms"] = statistics.median(phases["handover"]) * 1e3
    row["check_ms"] = statistics.median(phases["check"]) * 1e3
    row |= {f"mismatch_{key}": metrics[f"policy/mismatch_{key}"] for key in ("mean", "max")}
    row |= {"metrics": metrics, "settings": settings_of(policy.config)}
    return {"rows": [row | allocated_peak(job["device"])]}


def ponder_step(
    policy: Any, tokenizer: Any, workload: TrainWorkload, device: str
) -> Callable[[int], tuple[dict[str, float], dict[str, float]]]:
    """step number -> (seconds by phase, metrics of the update)."""
    from ponder.generate.local import LocalGenerator
    from ponder.rollout.rollout import rollout
    from ponder.train import guards
    from ponder.train.rl.batch import make_batch
    from ponder.types import Problem, Sampling

    config, model = policy.config, policy.model
    generator = LocalGenerator(model, tokenizer, config.sampling.max_batch_size, config.engine)
    sampling = Sampling(max_completion_tokens=workload.new_tokens, ignore_end_tokens=True)

    def step(number: int) -> tuple[dict[str, float], dict[str, float]]:
        problems = [Problem(f"step{number}-{i}", "", "") for i in range(workload.prompts)]
        make_prompt = prompts_of(workload, model.config.vocab_size)
        scorer, size = CoinScorer(), workload.group_size
        groups, in_rollout = timed(
            lambda: rollout(problems, generator, scorer, make_prompt, size, sampling, number),
            device,
        )

        def update() -> dict[str, float]:
            batch = make_batch(groups, config, number)
            policy.score(batch)
            return [policy.update(minibatch) for minibatch in batch.minibatches][-1]

        metrics, in_update = timed(update, device)
        _, in_handover = timed(lambda: generator.load(policy.model, number + 1), device)
        _, in_check = timed(
            lambda: guards.check_handover(policy.model, generator.model, number), device
        )
        parts = {"rollout": in_rollout, "update": in_update, "handover": in_handover}
        return parts | {"check": in_check}, metrics

    return step


def prompts_of(workload: TrainWorkload, vocabulary: int) -> Callable[[Any], Any]:
    """problem -> a prompt of random ids that follow from its id."""
    from ponder.types import Prompt

    def make_prompt(problem: Any) -> Any:
        draw, top = random.Random(problem.id), min(vocabulary, 40_000)
        ids = tuple(draw.randrange(10, top) for _ in range(workload.prompt_tokens))
        return Prompt(problem.id, "", ids)

    return make_prompt


class CoinScorer:
    """A ``Scorer`` whose verdicts are coins: every group keeps an advantage, and none costs time.

    The first two completions of a group differ, so that no group is of equal rewards.
    """

    def submit(self, problem: Any, prompt: Any, completion: Any, seed: int) -> Callable[[], Any]:
        from ponder.types import Judgement, Rollout, Verdict

        coin = random.Random(f"{problem.id} {completion.sample_index}").random() < 0.5
        index = completion.sample_index
        is_correct = coin if index > 1 else index == 1
        verdict = Verdict.CORRECT if is_correct else Verdict.INCORRECT
        reward = float(is_correct)
        return lambda: Rollout(completion, Judgement(verdict), {"accuracy": reward}, reward)


def run_trl(job: Job) -> Row:
    """TRL's GRPOTrainer on the same sizes: one update a step, microbatches of 16 sequences."""
    import time

    import torch
    from transformers import AutoConfig, AutoTokenizer, TrainerCallback
    from trl import GRPOTrainer

    workload = TrainWorkload(**job["workload"])
    tokenizer = AutoTokenizer.from_pretrained(job["tokenizer"] or job["folder"])
    tokenizer.padding_side = "left"
    seconds: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        start = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start = wall(job["device"])

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(wall(job["device"]) - self.start)
            if len(seconds) == 1:
                reset_peak(job["device"])

    def wall(device: str) -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def coin(completions: list[Any], **_: Any) -> list[float]:
        return [float(random.random() < 0.5) for _ in completions]

    with tempfile.TemporaryDirectory() as out:
        trainer = GRPOTrainer(
            model=job["folder"],
            reward_funcs=coin,
            args=trl_config(job, workload, out),
            train_dataset=trl_prompts(workload, tokenizer),
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
        trainer.train()
    lengths = [h["completions/mean_length"] for h in trainer.state.log_history if "loss" in h]
    if any(length != workload.new_tokens for length in lengths):
        raise RuntimeError(f"completions of {lengths} tokens instead of {workload.new_tokens}")
    row = step_row(seconds[1:], workload, AutoConfig.from_pretrained(job["folder"]), job)
    row |= {
        "who": "trl",
        "mode": {"hf": "transformers generate", "vllm": "vLLM colocate"}[job["mode"]],
    }
    row |= {"first_seconds": round(seconds[0], 2), "log": trainer.state.log_history}
    return {"rows": [row | allocated_peak(job["device"])], "version": version("trl")}


def trl_config(job: Job, workload: TrainWorkload, out: str) -> Any:
    from trl import GRPOConfig

    rows = min(16, workload.prompts * workload.group_size)
    own: dict[str, Any] = {"use_vllm": False}
    generation: dict[str, Any] = {"min_new_tokens": workload.new_tokens}
    if job["mode"] == "vllm":
        generation = {"ignore_eos": True}
        own = {"use_vllm": True, "vllm_mode": "colocate"}
        own["vllm_gpu_memory_utilization"] = job["memory_share"]
    return GRPOConfig(
        output_dir=out,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=workload.prompts * workload.group_size // rows,
        num_generations=workload.group_size,
        max_completion_length=workload.new_tokens,
        max_steps=1 + job["repeats"],
        learning_rate=1e-6,
        bf16=job["dtype"] == "bfloat16",
        use_cpu=job["device"] == "cpu",
        beta=0.0,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        gradient_checkpointing=True,
        temperature=1.0,
        generation_kwargs=generation,
        model_init_kwargs={"dtype": job["dtype"]},
        **own,
    )


def trl_prompts(workload: TrainWorkload, tokenizer: Any) -> Any:
    """Texts of ``prompt_tokens`` tokens (by the byte-level stand-in: characters), all different."""
    from datasets import Dataset

    draw = random.Random(0)
    texts = []
    for _ in range(8 * workload.prompts):
        text = "".join(draw.choice("abcdefgh ijkl mnop") for _ in range(8 * workload.prompt_tokens))
        ids = tokenizer(text, add_special_tokens=False)["input_ids"][: workload.prompt_tokens]
        texts.append({"prompt": tokenizer.decode(ids)})
    return Dataset.from_list(texts)


def step_row(seconds: list[float], workload: TrainWorkload, config: Any, job: Job) -> Row:
    """New tokens per second of the whole step, and the share of the floor of both halves."""
    from shapes import Ceilings, rollout_floor, size_of, update_floor

    size, ceilings = size_of(config), Ceilings(**job["ceilings"])
    sizes = (size, workload.prompt_tokens, workload.limits)
    slots, value_bytes = (
        workload.prompts * workload.group_size,
        2 if job["dtype"] == "bfloat16" else 4,
    )
    floor = rollout_floor(*sizes, slots, value_bytes, ceilings) + update_floor(*sizes, ceilings)
    row = rate(slots * workload.new_tokens, seconds, floor)
    return row | {"slowest_seconds": max(seconds)}


SIDES: dict[str, Callable[[Job], Row]] = {
    "facts": measure_machine,
    "save": run_save,
    "ponder": run_ponder,
    "trl": run_trl,
}
