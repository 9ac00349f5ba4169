"""The held-out problems of a run, and a model on them: every time with the same ones and seed."""

from __future__ import annotations

from collections.abc import Sequence

from ponder.config.rl import EvalConfig
from ponder.errors import PonderError
from ponder.evals.evaluate import evaluate
from ponder.evals.result import EvalResult
from ponder.generate.local import LocalGenerator
from ponder.rollout.prompts import PromptMaker
from ponder.rollout.rollout import Scorer
from ponder.seeds import derive_seed
from ponder.types import Problem, ProblemSource, Sampling


def heldout_problems(settings: EvalConfig, source: ProblemSource) -> list[Problem]:
    """The first ones of ``source``, as many as the config wants and there are.

    Raises:
        PonderError: some are wanted, and there are none.
    """
    wanted = settings.num_problems
    if wanted and not len(source):
        fix = "this source has no held-out problems; set it to 0 or use a larger source"
        raise PonderError("eval.num_problems", wanted, fix)
    return [source[i] for i in range(min(wanted, len(source)))]


def evaluate_heldout(
    generator: LocalGenerator,
    problems: Sequence[Problem],
    scorer: Scorer,
    make_prompt: PromptMaker,
    settings: EvalConfig,
    max_completion_tokens: int,
    seed: int,
) -> EvalResult:
    """What the generator's model makes of ``problems``; ``seed`` is the run's."""
    sampling = Sampling(
        settings.temperature, settings.top_p, max_completion_tokens=max_completion_tokens
    )
    return evaluate(
        generator, problems, scorer, make_prompt, settings.k, sampling, derive_seed(seed, "eval")
    )
