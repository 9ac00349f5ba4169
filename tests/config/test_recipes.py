"""The recipes that ship: each resolves, and says what it is meant to say."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from ponder.config.base import Config
from ponder.config.benchmarks import BenchmarksConfig
from ponder.config.cold_start import ColdStartConfig
from ponder.config.distil import DistilConfig
from ponder.config.fields import leaf_fields
from ponder.config.preferences import PreferencesConfig
from ponder.config.pretrain import PretrainConfig
from ponder.config.recipes import load_recipe, preset_names, recipe_names
from ponder.config.reject import RejectConfig
from ponder.config.requests import RequestsConfig
from ponder.config.reward_model import RewardModelConfig
from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig
from ponder.config.solutions import SolutionsConfig


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_resolves_and_says_what_it_is(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.about
    assert recipe.config.name == name
    assert set(recipe.origins.values()) <= set(recipe.lineage)


def test_the_presets() -> None:
    assert preset_names() == ["modern", "r1_paper", "r1_reasoning", "r1_scenarios"]


def test_r1s_reasoning_stage_adds_language_consistency(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "r1_reasoning"\n[problems]\ntask = "gcd"\n')
    config = load_recipe(path).config
    assert isinstance(config, RLConfig)
    reward = config.reward
    assert (reward.accuracy, reward.format, reward.language) == (1.0, 1.0, 1.0)
    assert config.algorithm.clip_high == 10.0


def test_r1s_stage_for_all_scenarios_has_the_papers_values(tmp_path: Path) -> None:
    """arXiv 2501.12948 v2, section 3.2.2: those of the first stage, but for what is asserted."""
    path = tmp_path / "mine.toml"
    path.write_text('extends = "r1_scenarios"\n[problems]\ntask = "gcd"\n')
    config = load_recipe(path).config
    assert isinstance(config, RLConfig)
    assert config.sampling.temperature == 0.7
    updates = config.steps * config.batch.minibatches
    first = config.preference.first_step(config.steps)
    assert abs(updates - 1700) < 16
    assert (config.steps - first) * config.batch.minibatches == 400
    assert (config.reward.preference, config.reward.language) == (1.0, 1.0)
    assert (config.algorithm.clip_low, config.algorithm.clip_high) == (10.0, 10.0)


def test_the_paper_recipe_has_the_papers_values() -> None:
    """arXiv 2501.12948 v2, section 2.1."""
    config = load_recipe("r1-zero-paper").config
    assert isinstance(config, RLConfig)
    batch, algorithm = config.batch, config.algorithm
    assert batch.prompts_per_step * batch.group_size == 8192
    assert batch.prompts_per_step // batch.minibatches == 32
    assert (batch.group_size, batch.minibatches) == (16, 16)
    assert config.steps * batch.minibatches == 10_400
    assert (algorithm.clip_low, algorithm.clip_high) == (10.0, 10.0)
    assert (algorithm.kl_coef, algorithm.reference_every) == (0.001, 400)
    assert (algorithm.loss, algorithm.advantage) == ("grpo", "std")
    assert algorithm.importance_cap == 0
    assert config.optimizer.learning_rate == 3e-6
    assert (config.sampling.temperature, config.sampling.max_completion_tokens) == (1.0, 32_768)
    assert (config.reward.accuracy, config.reward.format) == (1.0, 1.0)
    assert config.template.name == "r1_zero"


def test_the_modern_preset_mends_it() -> None:
    algorithm = RLConfig.model_validate(load_recipe("zero-smollm2-gsm8k").config).algorithm
    assert (algorithm.clip_low, algorithm.clip_high) == (0.2, 0.28)
    assert (algorithm.normalise, algorithm.kl_coef, algorithm.importance_cap) == ("token", 0.0, 2.0)


def test_the_control_is_the_demo_with_other_rewards_and_nothing_else() -> None:
    folder = files("ponder") / "recipes"
    table = tomllib.loads((folder / "zero-tiny-control.toml").read_text())
    assert table["extends"] == "zero-tiny"
    assert set(table) == {"extends", "about", "reward"}
    demo, control = load_recipe("zero-tiny").config, load_recipe("zero-tiny-control").config
    assert isinstance(demo, RLConfig)
    assert isinstance(control, RLConfig)
    same = {"name": control.name, "reward": control.reward}
    assert demo.model_copy(update=same) == control
    assert (control.reward.accuracy, control.reward.format, control.reward.random) == (0, 0, 1)


@pytest.mark.parametrize(
    ("cls", "limit"),
    [
        (RLConfig, 100),  # GRPO and its variants, and R1's second stage as well
        (PretrainConfig, 100),
        (SFTConfig, 100),
        (DistilConfig, 110),  # sampling and filtering of a teacher, fine-tuning, reverse KL
        (ColdStartConfig, 115),  # sampling and filtering, and two endpoints: teacher, rewriter
        (RejectConfig, 110),  # sampling and filtering, a judge at an endpoint, general rows
        (PreferencesConfig, 80),
        (RewardModelConfig, 50),
        (BenchmarksConfig, 50),
        (RequestsConfig, 50),
        (SolutionsConfig, 50),
    ],
)
def test_every_knob_has_a_line_of_doc_and_a_stage_has_few_enough(
    cls: type[Config], limit: int
) -> None:
    knobs = leaf_fields(cls)
    assert [key for key, field in knobs.items() if not field.description] == []
    assert all("\n" not in (field.description or "") for field in knobs.values())
    assert len(knobs) < limit
