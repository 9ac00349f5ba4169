"""The pipeline r1-smollm2: it resolves, measures on test problems alone, and has a fair control."""

from __future__ import annotations

from ponder.config.base import Config
from ponder.config.benchmarks import BenchmarksConfig
from ponder.config.pipeline import load_pipeline
from ponder.config.rl import RLConfig
from ponder.config.sft import SFTConfig
from ponder.pipeline.graph import build_graph
from ponder.pipeline.resolve import check_common, resolve_config
from ponder.pipeline.stages import KINDS

PIPELINE = load_pipeline("r1-smollm2")
CONFIGS: dict[str, Config] = {
    name: resolve_config(PIPELINE, table, KINDS[table.kind])
    for name, table in PIPELINE.stages.items()
}


def test_every_stage_resolves_with_the_same_prompt() -> None:
    check_common(PIPELINE, {n: KINDS[t.kind].config_class for n, t in PIPELINE.stages.items()})
    for name, config in CONFIGS.items():
        told = config.model_dump()
        assert told["model"] == "smollm2", name
        assert told["template"]["name"] == "chat", name
        assert "<answer>" in told["template"]["system"], name


def test_the_cold_start_is_told_by_the_rows_that_it_is_given() -> None:
    stages = build_graph(PIPELINE, KINDS).stages
    assert stages["cold"].about == "given rows, filtered"
    assert stages["dev1"].about == stages["dev1"].kind.describe(stages["dev1"].config)


def test_training_never_looks_at_the_test_problems() -> None:
    for config in CONFIGS.values():
        if isinstance(config, RLConfig | SFTConfig):
            assert config.eval.num_problems == 0
        if isinstance(config, RLConfig):
            assert (config.problems.name, config.problems.split) == ("gsm8k", "train")
        if isinstance(config, BenchmarksConfig):
            assert config.num_problems == 1319
            assert list(config.benchmarks) == ["gsm8k"]
    assert list(CONFIGS["cold"].model_dump()["benchmarks"]) == ["gsm8k"]  # decontaminated


def test_what_is_learnt_from_solutions_is_not_learnt_from_rewards() -> None:
    shares = {name: getattr(config, "problems", None) for name, config in CONFIGS.items()}
    ((first, middle),) = {shares[name].share for name in ("solved", "reject")}
    assert {shares[name].share for name in ("dev2", "control", "r1", "continued")} == {
        (middle, 1.0)
    }
    assert first == 0.0 < middle < 1.0
    assert PIPELINE.stages["cold"].inputs == {"rows": ("solved",)}
    assert PIPELINE.stages["dev3"].inputs == {"data": ("reject",)}


def test_the_control_is_dev2_with_other_rewards_and_nothing_else() -> None:
    dev2, control = CONFIGS["dev2"], CONFIGS["control"]
    assert isinstance(dev2, RLConfig)
    assert isinstance(control, RLConfig)
    assert dev2.model_copy(update={"name": "control", "reward": control.reward}) == control
    reward = control.reward
    assert (reward.accuracy, reward.format, reward.random) == (0.0, 0.0, 1.0)
    assert PIPELINE.stages["dev2"].inputs == PIPELINE.stages["control"].inputs


def test_the_second_fine_tuning_starts_from_the_model_again() -> None:
    assert "model" not in PIPELINE.stages["dev3"].inputs
    assert PIPELINE.stages["reject"].inputs == {"model": ("dev2",), "general": ("cold",)}
    assert PIPELINE.stages["r1"].inputs == {"model": ("dev3",)}


def test_what_r1_is_compared_with_has_as_many_steps_and_new_problems() -> None:
    configs = [CONFIGS[name] for name in ("dev2", "r1", "continued")]
    dev2, r1, continued = (one for one in configs if isinstance(one, RLConfig))
    assert continued.model_copy(update={"name": r1.name, "seed": r1.seed}) == r1
    assert continued.seed != dev2.seed
    assert PIPELINE.stages["continued"].inputs == {"model": ("dev2",)}
