"""Groups with given rewards, as a generator and a scorer would have made them; whole runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.train.living import Lives

from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict

MakeGroup = Callable[..., Group]


@pytest.fixture
def make_group() -> MakeGroup:
    """(name, rewards (None: error), lengths, cut=indices) -> a group of random tokens."""

    def build(
        name: str,
        rewards: Sequence[float | None],
        lengths: Sequence[int],
        cut: Sequence[int] = (),
        prompt_tokens: int = 5,
    ) -> Group:
        draw = random.Random(name)
        rollouts = []
        for i, (reward, length) in enumerate(zip(rewards, lengths, strict=True)):
            ids = [draw.randrange(256) for _ in range(length)]
            logprobs = [-draw.random() * 3 for _ in range(length)]
            finish = "length" if i in cut else "stop"
            completion = Completion(name, i, ids, "", logprobs, finish)  # type: ignore[arg-type]
            if reward is None:
                rollouts.append(Rollout(completion, Judgement(Verdict.ERROR), {}, None))
            else:
                verdict = Verdict.CORRECT if reward > 0 else Verdict.INCORRECT
                parts = {"accuracy": reward}
                rollouts.append(Rollout(completion, Judgement(verdict), parts, reward))
        prompt = Prompt(name, name, tuple(draw.randrange(256) for _ in range(prompt_tokens)))
        return Group(Problem(name, name, "1"), prompt, rollouts)

    return build


@pytest.fixture(scope="module")
def lives(
    config: RLConfig | SFTConfig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lives]:
    """Processes that train what a module's ``config`` says."""
    made = Lives(config, tmp_path_factory.mktemp("lives"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def uninterrupted(lives: Lives, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a whole run."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert lives.live(path) == 0
    return path
