"""A run folder that looks like a real R1-Zero run on sums: made up, deterministic, no torch.

As a script: python tests/report/synthetic_run.py FOLDER [steps]
"""

import math
import random
import sys
from pathlib import Path

from ponder.rollout.stats import rollout_metrics
from ponder.runlog import (
    MetricsWriter,
    RunFolder,
    append_alarm,
    write_json_atomic,
    write_rollouts,
)
from ponder.text.templates import R1_ZERO_TEMPLATE
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict

NASTY = (
    "</script><script>window.hacked = 1; alert('hacked')</script>",
    '<img src=x onerror="window.hacked = 2"> <b>bold?</b> &amp; &#60;',
    "<!-- <script> --> {{data}} {{script}} ]]> \\u003c/script> `${1+1}`",
    "control: \x00\x07\x1b[31mred\x1b[0m tab:\t. cr:\r. nbsp:\u00a0. zero:\u200b. bom:\ufeff.",
    "bidi: \u202eevil\u202c end \u2066x\u2069 ls:\u2028. lone: \ud83d. bad: \ufffd. 😀 中文 ５",
    "x" * 700,
    "  two  spaces \n\n\n  and lines   \n",
    "",
)
"""Texts that a page must show and must not run."""

CONFIG = """\
# written by ponder: every value, resolved
kind = "rl"
name = "{name}"
model = "base-tiny"
seed = 0
steps = {steps}

[problems]
task = "chain_sum"
size = 100000

[problems.settings]
min_terms = 3
max_terms = 4

[sampling]
temperature = 1.0
max_completion_tokens = 256

[reward]
accuracy = 1.0
format = 1.0

[algorithm]
loss = "dapo"
normalise = "token"
advantage = "std"
kl_coef = 0.0

[batch]
prompts_per_step = {groups}
group_size = {size}
minibatches = 1
"""


def build_run(
    path: Path, steps: int = 30, groups: int = 32, size: int = 8, name: str = "zero-tiny"
) -> RunFolder:
    """A finished run with evaluations at the start, every 10 steps and at the end."""
    chance = random.Random(7)
    text = CONFIG.format(name=name, steps=steps, groups=groups, size=size)
    run = RunFolder.create(path, text)
    with MetricsWriter(run.metrics_path) as metrics:
        for step in range(steps):
            skill = _skill(step, steps)
            if step % 10 == 0:
                metrics.write(step, evaluation(skill))
            made = [_group(chance, step, place, size, skill) for place in range(groups)]
            if step == min(12, steps - 1):
                _spoil(made)
            write_rollouts(run.rollouts_dir, step, made)
            metrics.write(step, rollout_metrics(made) | _training(chance, skill, step))
        metrics.write(steps, evaluation(_skill(steps, steps)))
    append_alarm(run.alarms_path, steps // 3, "truncation", "more than half were cut: raise it")
    append_alarm(run.alarms_path, steps - 1, "zero_variance", f"no signal {NASTY[0]}")
    write_json_atomic(run.summary_path, summary(name, steps))
    return run


def summary(name: str, steps: int) -> dict[str, object]:
    figures = [
        {key.removeprefix("eval/"): value for key, value in evaluation(skill).items()}
        for skill in (_skill(0, steps), _skill(steps, steps))
    ]
    return {
        "name": name,
        "steps": steps,
        "finished": True,
        "seconds": 247.3,
        "before": figures[0],
        "after": figures[1],
        "model": "model",
    }


def evaluation(skill: float) -> dict[str, float]:
    rate = 0.1 + 0.8 * skill
    return {
        "eval/pass@1": rate,
        "eval/stderr": math.sqrt(rate * (1 - rate) / 256),
        "eval/pass@2": rate + 0.3 * rate * (1 - rate),
        "eval/pass@4": rate + 0.5 * rate * (1 - rate),
        "eval/cons@4": rate + 0.2 * rate * (1 - rate),
        "eval/mean_tokens": 20 + 62 * skill,
        "eval/format": 0.32 + 0.63 * skill,
        "eval/reflective_words_per_completion": 0.3 + 4 * skill,
        "eval/reflective_share": 0.08 + 0.8 * skill,
        "eval/truncated_fraction": 0.02,
        "eval/num_problems": 256,
        "eval/num_samples": 1024,
    }


def _skill(step: int, steps: int) -> float:
    return 1 / (1 + math.exp(-8 * (step / steps - 0.4)))


def _group(chance: random.Random, step: int, place: int, size: int, skill: float) -> Group:
    terms = [chance.randint(1, 99) for _ in range(chance.choice((3, 4)))]
    sum_of = " + ".join(map(str, terms))
    question = f"State the final answer to the following arithmetic problem: {sum_of} ="
    problem = Problem(f"chain_sum-{step * 1000 + place}", question, str(sum(terms)), "gym")
    prompt = Prompt(problem.id, R1_ZERO_TEMPLATE.replace("{question}", question), (1, 2, 3))
    hard = chance.random() * 0.5
    rollouts = [_rollout(chance, problem, index, terms, skill - hard) for index in range(size)]
    return Group(problem, prompt, rollouts)


def _rollout(
    chance: random.Random, problem: Problem, index: int, terms: list[int], skill: float
) -> Rollout:
    checks = chance.random() < 0.15 + 0.8 * skill
    has_format = chance.random() < 0.5 + 0.6 * skill
    is_right = chance.random() < (0.85 if checks else 0.1) * (0.6 + skill)
    answer = problem.answer if is_right else str(int(problem.answer) + chance.choice((1, -1, 10)))
    thought = _thought(chance, terms, checks)
    text = f" <think>{thought}</think> <answer> {answer} </answer>"
    if not has_format:
        text = f"{thought}The answer is {answer}."
    cut = chance.random() < 0.03
    num_tokens = 256 if cut else len(text) // 3
    verdict = Verdict.CORRECT if is_right else Verdict.INCORRECT
    if cut or not has_format:
        verdict = Verdict.UNPARSABLE
    parts = {"accuracy": float(verdict is Verdict.CORRECT), "format": float(has_format)}
    rollout = Rollout(
        Completion(
            problem.id,
            index,
            list(range(num_tokens)),
            text,
            [-0.05 - 0.4 * (1 - skill)] * num_tokens,
            "length" if cut else "stop",
        ),
        Judgement(verdict, answer if has_format else None, "" if has_format else "no <answer>"),
        parts,
        sum(parts.values()),
    )
    rollout.advantage = chance.gauss(0, 1)
    return rollout


def _thought(chance: random.Random, terms: list[int], checks: bool) -> str:
    lines, total = [], terms[0]
    for term in terms[1:]:
        lines.append(f"{total} + {term} = {total + term}")
        if checks:
            lines.append(
                chance.choice(("Wait, let me check: ", "But is it? I verify: ", "check: "))
            )
            lines[-1] += f"{total + term} - {term} = {total}. ok"
        total += term
    return "\n".join(["", *lines, ""])


def _spoil(groups: list[Group]) -> None:
    """Put texts into the first group that a page must not run, and a verifier error."""
    for rollout, text in zip(groups[0].rollouts, NASTY, strict=False):
        rollout.completion.text = text
    for rollout, text in zip(groups[1].rollouts, NASTY, strict=False):
        rollout.completion.text = f"<think>\n{text}\n</think> <answer>{text[:40]}</answer>"
        rollout.judgement = Judgement(rollout.judgement.verdict, text[:60], text[:40])
    last = groups[0].rollouts[-1]
    last.judgement = Judgement(Verdict.ERROR, None, "timeout of the verifier")
    last.reward = last.advantage = None


def _training(chance: random.Random, skill: float, step: int) -> dict[str, float]:
    noise = 1 + 0.1 * chance.gauss(0, 1)
    return {
        "loss/total": 0.01 * chance.gauss(0, 1),
        "loss/policy": 0.01 * chance.gauss(0, 1),
        "loss/kl": 0.02 * skill * noise,
        "loss/clip_low_fraction": 0.001 * noise,
        "loss/clip_high_fraction": 0.002 * noise,
        "loss/ratio_max": 1 + 0.4 * abs(noise - 1),
        "loss/importance_mean": 1 + 1e-6 * noise,
        "loss/importance_capped_fraction": 0.0,
        "policy/entropy": 0.9 - 0.6 * skill * noise,
        "policy/grad_norm": 0.3 * noise + (2 if step == 17 else 0),
        "policy/learning_rate": 3e-4 * min(1, (step + 1) / 5),
        "policy/mismatch_mean": 1.3e-7 * abs(noise),
        "policy/mismatch_max": 4e-6 * abs(noise),
        "time/rollout_seconds": 4.2 * noise,
        "time/update_seconds": 3.4 * noise,
        "time/step_seconds": 7.8 * noise,
        "speed/rollout_tokens_per_second": 4100 * noise,
        "speed/update_tokens_per_second": 6900 * noise,
        "custom/thing": chance.random(),
    }


if __name__ == "__main__":
    build_run(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30)
