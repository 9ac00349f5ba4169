"""On-policy distillation: the student moves towards the teacher, and every wrong use is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.sums import write_sums
from transformers import PreTrainedModel

from ponder.config.distil import DistilConfig, rl_config
from ponder.config.recipes import to_toml
from ponder.errors import PonderError
from ponder.models.load import save_model
from ponder.models.packed import completion_logprobs
from ponder.models.packed_layout import PackedLayout
from ponder.models.tiny import make_tiny_model
from ponder.runlog import RunFolder, read_metrics
from ponder.train.distil.loop import distil_on_policy
from ponder.train.distil.student import Student
from ponder.train.rl.batch import Minibatch, PromptRows, Row


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, two students (a smaller one, and the teacher with noise in its weights), a model
    of another tokenizer, and problems."""
    path = tmp_path_factory.mktemp("inputs")
    save_model(*make_tiny_model(1, hidden_size=48), path / "teacher")
    save_model(*make_tiny_model(0), path / "student")
    relative, tokenizer = make_tiny_model(1, hidden_size=48)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in relative.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_model(relative, tokenizer, path / "relative")
    save_model(*make_tiny_model(1, words=(" the",)), path / "stranger")
    write_sums(path / "problems.jsonl")
    return path


def make_config(folder: Path, **settings: Any) -> DistilConfig:
    table: dict[str, Any] = {
        "teacher": str(folder / "teacher"),
        "model": str(folder / "student"),
        "method": "on_policy",
        "threads": 1,
        "device": "cpu",
        "problems": {"path": str(folder / "problems.jsonl")},
        "template": {"name": "plain"},
        "sampling": {"max_completion_tokens": 12},
        "on_policy": {"steps": 20, "prompts_per_step": 8, "group_size": 2, "minibatches": 2},
        "optimizer": {"learning_rate": 1e-2, "min_learning_rate": 1e-3},
        "eval": {"num_problems": 0},
        "checkpoint": {"every": 100},
    }
    for key, value in settings.items():
        table[key] = table[key] | value if isinstance(value, dict) and key in table else value
    return DistilConfig.model_validate(table)


def distil(config: DistilConfig, path: Path) -> list[dict[str, float]]:
    """The rows of metrics of a whole run."""
    run = RunFolder.create(path, to_toml(config))
    distil_on_policy(config, run)
    return read_metrics(run.metrics_path)


def mean(rows: list[dict[str, float]], key: str) -> float:
    return sum(row[key] for row in rows) / len(rows)


@pytest.mark.parametrize("estimator", ["full", "sampled"])
def test_the_student_moves_towards_the_teacher(
    folder: Path, tmp_path: Path, estimator: str
) -> None:
    model = str(folder / "relative")
    config = make_config(folder, model=model, on_policy={"estimator": estimator})
    rows = distil(config, tmp_path / "run")
    first, last = rows[0], rows[-5:]
    assert mean(last, "distil/reverse_kl") < 0.8 * first["distil/reverse_kl"]
    if estimator == "full":
        assert first["loss/total"] == pytest.approx(first["distil/reverse_kl"])
        assert mean(last, "distil/agreement") > 3 * first["distil/agreement"] > 0
    assert {"policy/entropy", "rollout/mean_tokens", "reward/accuracy"} <= first.keys()


def a_minibatch(num_groups: int = 3) -> Minibatch:
    torch.manual_seed(0)
    groups = []
    for i in range(num_groups):
        lengths = [3 + i, 5]
        ids = [torch.randint(0, 250, (n,)).tolist() for n in lengths]
        rows = tuple(Row(one, [-2.0] * len(one), 0.0) for one in ids)
        groups.append(PromptRows(tuple(range(4 + i)), rows))
    return Minibatch(
        tuple(groups), float(sum(len(r.completion_ids) for g in groups for r in g.rows))
    )


def gradients(folder: Path, **settings: Any) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """The metrics of one update, and the gradients before they are clipped or applied."""
    config = make_config(folder, **settings)
    model, _ = make_tiny_model(0)
    teacher, _ = make_tiny_model(1, hidden_size=48)
    student = Student(model, teacher.requires_grad_(False), rl_config(config), config.on_policy)
    student.optimizer.step = lambda rate: found.update(grads(model))  # type: ignore[method-assign]
    student.optimizer.clip_gradients = lambda: 1.0  # type: ignore[method-assign]
    found: dict[str, torch.Tensor] = {}
    return student.update(a_minibatch()), found


def grads(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("estimator", ["full", "sampled"])
def test_the_split_into_microbatches_and_chunks_changes_nothing(
    folder: Path, estimator: str
) -> None:
    on_policy = {"estimator": estimator}
    whole, expected = gradients(folder, on_policy=on_policy)
    batch = {"microbatch_tokens": 9, "logprob_chunk_tokens": 2, "recompute": "layers"}
    parts, got = gradients(folder, on_policy=on_policy, batch=batch)
    assert whole.keys() == parts.keys()
    for key in whole:
        assert parts[key] == pytest.approx(whole[key], rel=1e-4, abs=1e-6), key
    assert got.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=1e-3, atol=1e-5)


def test_the_loss_is_the_mean_over_tokens_of_the_plain_divergence(folder: Path) -> None:
    metrics, _ = gradients(folder)
    student, _ = make_tiny_model(0)
    teacher, _ = make_tiny_model(1, hidden_size=48)
    total, num, same = 0.0, 0, 0
    for group in a_minibatch().groups:
        for row in group.rows:
            ids = torch.tensor([[*group.prompt_ids, *row.completion_ids]])
            place = slice(len(group.prompt_ids) - 1, -1)
            with torch.no_grad():
                ours = student(ids).logits[0, place].double().log_softmax(-1)
                theirs = teacher(ids).logits[0, place].double().log_softmax(-1)
            total += float((ours.exp() * (ours - theirs)).sum())
            same += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
            num += len(row.completion_ids)
    assert metrics["loss/total"] == pytest.approx(total / num, rel=1e-4)
    assert metrics["distil/agreement"] == pytest.approx(same / num)


def test_the_teacher_stays_as_it_is(folder: Path, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in (folder / "teacher").iterdir()}
    distil(make_config(folder, on_policy={"steps": 2}), tmp_path / "run")
    assert {p.name: p.read_bytes() for p in (folder / "teacher").iterdir()} == before


def refused(folder: Path, path: Path, **settings: Any) -> PonderError:
    config = make_config(folder, **settings)
    run = RunFolder.create(path, to_toml(config))
    with pytest.raises(PonderError) as caught:
        distil_on_policy(config, run)
    return caught.value


def test_wrong_teachers_are_refused(folder: Path, tmp_path: Path) -> None:
    error = refused(folder, tmp_path / "0", teacher=None)
    assert (error.field, error.value) == ("teacher", None)
    error = refused(folder, tmp_path / "1", teacher=str(folder / "nobody"))
    assert error.field == "teacher"
    assert "no such folder" in error.fix
    roundabout = str(folder / "teacher" / ".." / "student")
    error = refused(folder, tmp_path / "2", teacher=roundabout)
    assert error.field == "teacher"
    assert "is the student itself" in error.fix
    error = refused(folder, tmp_path / "3", teacher=str(folder / "stranger"))
    assert error.field == "teacher"
    assert "method=off_policy" in error.fix
    assert "unlike" in error.fix


def test_a_resumed_run_wants_the_teacher_it_began_with(folder: Path, tmp_path: Path) -> None:
    config = make_config(folder, on_policy={"steps": 4}, checkpoint={"every": 1})
    run = RunFolder.create(tmp_path / "run", to_toml(config))
    asked: list[int] = []
    distil_on_policy(config, run, should_stop=lambda: len(asked) > 1 or asked.append(0) is not None)
    save_model(*make_tiny_model(5, hidden_size=48), tmp_path / "other")
    other = config.model_copy(update={"teacher": str(tmp_path / "other")})
    with pytest.raises(PonderError, match="not those that the run began with"):
        distil_on_policy(other, run, resume=True)


def test_padded_vocabularies_go_together(folder: Path) -> None:
    """One tokenizer, heads of two sizes, as in the Qwen2.5 family."""
    config = make_config(folder)
    model, _ = make_tiny_model(0)
    teacher, _ = make_tiny_model(1, vocab_size=300)
    student = Student(model, teacher.requires_grad_(False), rl_config(config), config.on_policy)
    assert student.update(a_minibatch())["distil/reverse_kl"] > 0


def test_completion_logprobs_are_the_students_own(folder: Path) -> None:
    """What the mismatch metric compares with is the log-probability of the sampled token."""
    metrics, _ = gradients(folder)
    model, _ = make_tiny_model(0)
    total, num = 0.0, 0
    for group in a_minibatch().groups:
        for row in group.rows:
            layout = PackedLayout.build([group.prompt_ids], [row.completion_ids], [0])
            logprobs, _ = completion_logprobs(model, layout, 1.0, 64)
            total += float((logprobs.detach() + 2.0).abs().sum())
            num += len(row.completion_ids)
    assert metrics["policy/mismatch_mean"] == pytest.approx(total / num, rel=1e-4)
