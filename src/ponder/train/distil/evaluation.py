"""The teacher on the held-out problems that the student is measured on: once, and kept."""

from __future__ import annotations

from pathlib import Path

from ponder.config.distil import DistilConfig
from ponder.config.rl import RewardConfig
from ponder.evals.result import EvalResult
from ponder.generate.local import LocalGenerator
from ponder.problems.split import build_problems
from ponder.rollout.prompts import PromptMaker
from ponder.rollout.scorer import RuleScorer
from ponder.runlog import RunFolder, read_json, write_json_atomic
from ponder.train.distil.teacher import load_named, teacher_of
from ponder.train.heldout import evaluate_heldout, heldout_problems
from ponder.train.kept_evaluations import evaluations_dir
from ponder.train.threads import keeping_torch_threads, set_torch_threads
from ponder.verify.verifier_pool import VerifierPool


def teacher_path(run: RunFolder) -> Path:
    """Where the teacher's result lies."""
    return evaluations_dir(run) / "teacher.json"


def measure_teacher(config: DistilConfig, run: RunFolder) -> EvalResult | None:
    """The teacher's result, measured if it is not there; None where nothing is to be measured.

    Problems, seed and sampling are those of the student's evaluations.
    """
    if not config.eval.num_problems:
        return None
    path = teacher_path(run)
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with keeping_torch_threads():
            write_json_atomic(path, _measure(config).to_json())
    return EvalResult.from_json(read_json(path))


def _measure(config: DistilConfig) -> EvalResult:
    sampling = config.sampling
    set_torch_threads(config.threads)
    problems = heldout_problems(config.eval, build_problems(config.problems, config.seed).heldout)
    model, tokenizer = load_named(teacher_of(config), config, "teacher")
    with VerifierPool() as pool:
        pool.prepare(problems, config.unsafe)
        return evaluate_heldout(
            LocalGenerator(model, tokenizer, sampling.max_batch_size, engine=config.engine),
            problems,
            RuleScorer(RewardConfig(), sampling.max_completion_tokens, pool),
            PromptMaker(config.template, tokenizer),
            config.eval,
            sampling.max_completion_tokens,
            config.seed,
        )
