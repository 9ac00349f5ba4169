"""Layers of settings and the origin of every value, on small recipes written here."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.config.recipes import load_recipe, read_config, to_toml
from ponder.config.rl import RLConfig
from ponder.errors import PonderError


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def rl(recipe: str | Path, *overrides: str) -> RLConfig:
    config = load_recipe(recipe, overrides).config
    assert isinstance(config, RLConfig)
    return config


def test_each_layer_wins_over_the_ones_below_and_every_value_knows_its_layer(
    tmp_path: Path,
) -> None:
    write(tmp_path / "lower.toml", 'extends = "modern"\nseed = 1\nsteps = 7\n[eval]\nk = 2\n')
    upper = write(tmp_path / "upper.toml", 'extends = "lower.toml"\nsteps = 8\n[eval]\nevery = 5\n')
    recipe = load_recipe(upper, ["seed=3", "eval.num_problems=9"])
    config = recipe.config
    assert isinstance(config, RLConfig)
    assert (config.seed, config.steps) == (3, 8)
    assert (config.eval.k, config.eval.every, config.eval.num_problems) == (2, 5, 9)
    assert recipe.lineage == ("preset modern", "recipe lower", "recipe upper")
    assert recipe.origin("seed") == "command line"
    assert recipe.origin("steps") == "recipe upper"
    assert recipe.origin("eval.k") == "recipe lower"
    assert recipe.origin("algorithm.clip_high") == "preset modern"
    assert recipe.origin("eval.top_p") == "default"


def test_a_run_is_named_after_its_recipe_unless_it_names_itself(tmp_path: Path) -> None:
    write(tmp_path / "one.toml", 'name = "first"\n')
    two = write(tmp_path / "two.toml", 'extends = "one.toml"\n')
    assert rl(tmp_path / "one.toml").name == "first"
    assert rl(two).name == "two"
    assert rl(two, "name=mine").name == "mine"


def test_settings_of_a_task_merge_key_by_key(tmp_path: Path) -> None:
    path = write(tmp_path / "r.toml", '[problems]\ntask = "gcd"\nsettings = {low = 1, high = 2}\n')
    assert rl(path, "problems.settings.high=5").problems.settings == {"low": 1, "high": 5}
    assert rl(path, "problems.settings={high=5}").problems.settings == {"high": 5}
    assert rl(path, "problems.settings={}").problems.settings == {}


@pytest.mark.parametrize(
    "override",
    [
        "problems.task=lcm",
        "problems.hub=some/data",
        "problems.name=gsm8k",
        'problems.path="a.jsonl"',
    ],
)
def test_another_source_forgets_what_belonged_to_the_old_one(tmp_path: Path, override: str) -> None:
    path = write(
        tmp_path / "r.toml",
        '[problems]\ntask = "gcd"\nsize = 50\nverifier = "gym"\nsettings = {low = 1}\n',
    )
    problems = rl(path, override).problems
    assert problems.settings == {}
    assert problems.verifier is None
    assert problems.size == 50
    given = [problems.task, problems.hub, problems.name, problems.path]
    assert sum(value is not None for value in given) == 1


def test_the_same_source_again_keeps_its_settings(tmp_path: Path) -> None:
    path = write(tmp_path / "r.toml", '[problems]\ntask = "gcd"\nsettings = {low = 1}\n')
    assert rl(path, "problems.task=gcd").problems.settings == {"low": 1}


def test_a_path_keeps_the_name_that_says_how_to_read_it() -> None:
    problems = rl("zero-smollm2-gsm8k", "problems.path=/data/gsm8k").problems
    assert (problems.name, problems.path) == ("gsm8k", Path("/data/gsm8k"))
    assert (
        rl("zero-smollm2-gsm8k", "problems.path=a.jsonl", "problems.name=none").problems.name
        is None
    )


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("model=smollm2", lambda c: c.model == "smollm2"),
        ("model=12", lambda c: c.model == "12"),
        ('name="a b"', lambda c: c.name == "a b"),
        ("out=runs/x", lambda c: c.out == Path("runs/x")),
        ("out=none", lambda c: c.out is None),
        ("optimizer.learning_rate=.5", lambda c: c.optimizer.learning_rate == 0.5),
        ("optimizer.learning_rate=3e-6", lambda c: c.optimizer.learning_rate == 3e-6),
        ("batch.microbatch_tokens=1e3", lambda c: c.batch.microbatch_tokens == 1000),
        ("algorithm.mask_truncated=true", lambda c: c.algorithm.mask_truncated is True),
        ("problems.settings.ops=['+','-']", lambda c: c.problems.settings["ops"] == ["+", "-"]),
        ("problems.mixture=[{task='gcd'}]", lambda c: c.problems.mixture == [{"task": "gcd"}]),
        ("lora.targets=['q_proj', 'v_proj']", lambda c: c.lora.targets == ["q_proj", "v_proj"]),
        ("lora.targets=all-linear", lambda c: c.lora.targets == "all-linear"),
        ("template.suffix=a=b", lambda c: c.template.suffix == "a=b"),
    ],
)
def test_values_are_read_as_their_key_wants_them(override: str, read: object) -> None:
    assert callable(read)
    assert read(rl("zero-tiny", override))


def test_a_resolved_config_survives_the_run_folder(tmp_path: Path) -> None:
    config = rl("zero-tiny", "out=runs/a", "problems.settings.note='x'", "seed=5")
    assert read_config(write(tmp_path / "config.toml", to_toml(config))) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batch.groupsize=8", "batch.groupsize = '8': unknown key; did you mean batch.group_size?"),
        ("learning_rate=1", "unknown key; did you mean optimizer.learning_rate?"),
        ("bach.group_size=1", "did you mean batch.group_size?"),
        ("zzzz=1", "see `ponder train RECIPE --explain` for every key"),
        ("eval=3", "eval = '3': is a section; set one of its keys: eval.num_problems, eval.k,"),
        ("seed=-1", "seed = -1: must be greater than or equal to 0 (from command line)"),
        ("device=gpu", "device = 'gpu': must be 'auto', 'cpu' or 'cuda' (from command line)"),
        ("seed", "argument = 'seed': write settings as key=value"),
        (
            "batch.minibatches=5",
            "batch.prompts_per_step = 24: must be a multiple of batch.minibatches (5)",
        ),
        ("problems.settings=5", "problems.settings = 5: must be a valid dictionary"),
        ("lora.quantize=nf4", "lora.quantize = 'nf4': only frozen weights can be quantized"),
        ("lora.targets=[3]", "lora.targets"),
    ],
)
def test_a_wrong_override_says_what_to_write(override: str, message: str) -> None:
    with pytest.raises(PonderError) as caught:
        load_recipe("zero-tiny", [override])
    assert message in str(caught.value)


def test_a_key_given_twice_is_refused() -> None:
    for pair in (["seed=1", "seed=2"], ["problems.settings.a=1", "problems.settings={b=1}"]):
        with pytest.raises(PonderError, match="given twice"):
            load_recipe("zero-tiny", pair)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[batch]\ngroupsize = 8\n", "batch.groupsize = 8: unknown key; did you mean"),
        ("steps = 'many'\n", "steps = 'many': must be a valid integer"),
        ("steps = \n", "not valid TOML"),
        ("batch = 3\n", "batch = 3"),
        ('kind = "sfr"\n', "kind = 'sfr': must be one of rl, pretrain"),
        ('extends = "moderm"\n', "extends = 'moderm': no such preset, recipe or .toml file"),
        ('extends = "wrong.toml"\n', "extends itself"),
        ('[problems]\ntask = "gcd"\nhub = "a/b"\n', "give only one of task, mixture"),
    ],
)
def test_a_wrong_recipe_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PonderError) as caught:
        load_recipe(write(tmp_path / "wrong.toml", text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match="did you mean zero-tiny"):
        load_recipe("zero-tyny")
    with pytest.raises(PonderError, match="no such recipe"):
        load_recipe(tmp_path / "none.toml")


def test_dr_grpo_is_more_than_the_name_of_its_surrogate() -> None:
    """Alone, the name would change nothing: the surrogate is GRPO's."""
    with pytest.raises(PonderError, match=r"normalise=constant and algorithm\.advantage=mean"):
        rl("zero-tiny", "algorithm.loss=dr_grpo", "algorithm.normalise=constant")
    whole = ("algorithm.loss=dr_grpo", "algorithm.normalise=constant", "algorithm.advantage=mean")
    assert rl("zero-tiny", *whole).algorithm.loss == "dr_grpo"


def test_settings_that_contradict_each_other_are_refused() -> None:
    halves = ["dtype=bfloat16", "optimizer.offload=true", "optimizer.master_weights=false"]
    with pytest.raises(PonderError, match=r"set optimizer\.master_weights=true"):
        rl("zero-tiny", *halves)
    assert rl("zero-tiny", *halves[1:]).optimizer.offload, "float32 weights are their own masters"
    adapters = ["lora.rank=4", "algorithm.kl_coef=0.1", "algorithm.reference_every=5"]
    with pytest.raises(PonderError, match="the base without adapters"):
        rl("zero-tiny", *adapters)
    assert rl("zero-tiny", *adapters[:2]).lora.rank == 4
