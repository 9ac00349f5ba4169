"""GRPO learns what it is rewarded for, with every loss; a coin teaches nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.config.rl import RLConfig
from ponder.generate.local import LocalGenerator
from ponder.models.tiny import make_tiny_model
from ponder.problems.stream import ProblemStream
from ponder.rollout.prompts import PromptMaker
from ponder.rollout.rollout import Pending
from ponder.runlog import RunFolder
from ponder.seeds import derive_seed
from ponder.train.observer import NullObserver
from ponder.train.rl.loop import run_loop
from ponder.train.rl.policy import Policy
from ponder.train.rl.record import Record
from ponder.train.rl.session import Session
from ponder.types import Completion, Judgement, Problem, Prompt, Rollout, Verdict
from ponder.verify.verifier_pool import VerifierPool

STEPS = 18
VARIANTS: dict[str, dict[str, Any]] = {
    "grpo": {"normalise": "sequence", "clip_high": 0.2},
    "dapo": {},
    "dr_grpo": {"normalise": "constant", "advantage": "mean"},
    "cispo": {"clip_low": 1.0},
    "gspo": {"normalise": "sequence", "clip_low": 3e-2, "clip_high": 4e-2},
}


class LetterProblems:
    """Ask for an even or an odd first token: what is right depends on the prompt."""

    name = "letters"

    def __len__(self) -> int:
        return 26

    def __getitem__(self, index: int) -> Problem:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Problem(f"letter-{index}", "ab"[index % 2] * 3 + chr(97 + index), str(index % 2))


def first_token_parity(problem: Problem, completion: Completion, seed: int) -> Rollout:
    right = completion.token_ids[0] % 2 == int(problem.answer)
    verdict = Verdict.CORRECT if right else Verdict.INCORRECT
    return Rollout(completion, Judgement(verdict), {"accuracy": float(right)}, float(right))


def coin(problem: Problem, completion: Completion, seed: int) -> Rollout:
    judged = first_token_parity(problem, completion, seed)
    judged.reward = float(derive_seed(seed, problem.id, completion.sample_index) % 2)
    return judged


class Judge:
    """A scorer of a plain function."""

    def __init__(self, rollout_of: Callable[[Problem, Completion, int], Rollout]) -> None:
        self.rollout_of = rollout_of

    def submit(
        self, problem: Problem, prompt: Prompt, completion: Completion, seed: int
    ) -> Pending:
        return lambda: self.rollout_of(problem, completion, seed)


def run(tmp_path: Path, judge: Any, algorithm: dict[str, Any]) -> tuple[float, float]:
    """Accuracy before and after."""
    config = RLConfig.model_validate(
        {
            "steps": STEPS,
            "threads": 1,
            "sampling": {"max_completion_tokens": 3},
            "algorithm": algorithm,
            "batch": {"prompts_per_step": 16, "group_size": 8, "minibatches": 2},
            "optimizer": {"learning_rate": 1e-2, "schedule": "cosine"},
            "eval": {"num_problems": 26, "k": 32},
            "template": {"name": "plain"},
        }
    )
    model, tokenizer = make_tiny_model(1)
    problems = LetterProblems()
    session = Session(
        config=config,
        tokenizer=tokenizer,
        policy=Policy(model, config),
        generator=LocalGenerator(model, tokenizer, 512),
        stream=ProblemStream(problems, 0),
        heldout=[problems[i] for i in range(26)],
        verifiers=VerifierPool(),
        scorer=Judge(judge),
        make_prompt=PromptMaker(config.template, tokenizer),
        first_step=0,
        seconds_before=0.0,
    )
    record = Record(RunFolder.create(tmp_path / "run", ""), session, NullObserver())
    summary = run_loop(session, record, lambda: False)
    record.close()
    assert summary.before is not None
    assert summary.after is not None
    return summary.before.pass_at_1, summary.after.pass_at_1


@pytest.mark.parametrize("loss", VARIANTS)
def test_every_loss_learns(loss: str, tmp_path: Path) -> None:
    before, after = run(tmp_path, first_token_parity, {"loss": loss, **VARIANTS[loss]})
    assert 0.4 < before < 0.6
    assert after > 0.8


def test_a_coin_teaches_nothing(tmp_path: Path) -> None:
    before, after = run(tmp_path, coin, {"loss": "dapo"})
    assert abs(after - before) < 0.1
