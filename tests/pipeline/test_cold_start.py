"""Cold-start data: a teacher over an endpoint, rewriting, the review, ready-made traces."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.forks import die_before, forked
from tests.generate.endpoint_server import Endpoint, completion, refusal, serving
from tests.pipeline.judging import (
    VERIFIER,
    Told,
    card_of,
    context_of,
    read_lines,
    tiny_model,
    write_lines,
    write_problems,
)

from ponder.config.cold_start import ColdStartConfig
from ponder.errors import PonderError
from ponder.models.load import save_model
from ponder.models.tiny import make_tiny_model
from ponder.pipeline.context import StageContext, Waiting
from ponder.pipeline.kinds import Source
from ponder.pipeline.stages import KINDS
from ponder.text.parsing import format_fault

SUM = re.compile(r"(\d+) \+ (\d+) =")


def teach(body: dict[str, Any], number: int) -> Any:
    """Right, but for every third sum; it thinks aloud."""
    first, second = map(int, SUM.findall(body["messages"][-1]["content"])[-1])
    value = first + second + (first % 3 == 0)
    thought = f"I have to add {first} and {second}. Counting on from {first} gives {value}."
    return completion(f"The sum is \\boxed{{{value}}}.", reasoning_content=thought)


def rewrite(body: dict[str, Any], number: int) -> Any:
    """A rewriter that once gets lost (9 + 10) and otherwise keeps the value."""
    message = body["messages"][-1]["content"]
    first, second = map(int, SUM.findall(message)[-1])
    value = first + second + 100 * (first == 10)
    if "\\boxed" in message:
        return completion(f"Adding {first} and {second} gives \\boxed{{{value}}}.")
    return completion(f"First I read the question. I add {first} and {second}: {value}.")


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    write_problems(tmp_path / "problems.jsonl", 20)
    return tmp_path


def config_of(inputs: Path, server: Endpoint | None, /, **settings: Any) -> ColdStartConfig:
    defaults: dict[str, Any] = {
        "device": "cpu",
        "threads": 1,
        "chunk_problems": 4,
        "teacher": "endpoint",
        "endpoint": {"url": server.url if server else "", "model": "m", "attempts": 1},
        "problems": {"path": inputs / "problems.jsonl"},
        "sampling": {"max_completion_tokens": 100},
        "collect": {"num_problems": 12, "group_size": 2, "write_as": "r1"},
        "dedupe": {"near_threshold": 1.1},
        "review": False,
    }
    return ColdStartConfig.model_validate(defaults | settings)


def run(context: StageContext) -> list[dict[str, Any]]:
    KINDS["cold_start"].run(context)
    return read_lines(context.folder / "rows.jsonl")


def outputs(folder: Path) -> dict[str, bytes]:
    names = ("rows.jsonl", "rows.jsonl.card.json", "candidates.jsonl", "summary.json")
    return {name: (folder / name).read_bytes() for name in names}


def test_rows_have_the_prompt_and_the_tags_of_the_rl_to_come(inputs: Path) -> None:
    with serving(teach) as endpoint:
        context = context_of(inputs / "run" / "key", config_of(inputs, endpoint))
        rows = run(context)
    assert 4 <= len(rows) < 12
    for row in rows:
        first = int(row["question"].split()[0])
        assert first % 3, "the teacher is wrong there"
        assert row["prompt"].startswith("A conversation between User and Assistant.")
        assert row["question"] in row["prompt"]
        assert format_fault(row["completion"]) == ""
        assert f"\\boxed{{{2 * first + 3}}}" in row["completion"]
        assert (row["template"], row["thought_opened"], row["teacher"]) == ("r1_zero", False, "m")
    assert {body["messages"][-1]["content"] for body in endpoint.bodies} <= {
        row["question"] for row in read_lines(inputs / "problems.jsonl")
    }
    card = card_of(context)
    assert card["num_read"] == 24
    assert card["dropped"]["incorrect"] == 2 * (12 - len(rows))
    assert card["total"]["rows"] + sum(card["dropped"].values()) == 24
    assert isinstance(context.view, Told)
    assert "24 requests (0 of them in the cache)" in context.view.notes[0]


def test_the_cost_is_told_before_it_is_paid(inputs: Path) -> None:
    with serving(teach) as endpoint:
        prices = {"completion_price": 10_000.0, "most_cost": 0.3, "concurrency": 1}
        context = context_of(
            inputs / "run" / "key",
            config_of(inputs, endpoint, endpoint={"url": endpoint.url, "model": "m"} | prices),
        )
        with pytest.raises(PonderError, match="is spent: raise it to go on"):
            run(context)
    assert isinstance(context.view, Told)
    assert "24 requests" in context.view.notes[0]
    assert "at most 24.00" in context.view.notes[0]
    assert len(endpoint.bodies) < 8


def test_a_question_is_asked_in_the_words_of_the_config(inputs: Path) -> None:
    with serving(teach) as endpoint:
        config = config_of(inputs, endpoint, ask="Think first. {question}\nBox the answer.")
        run(context_of(inputs / "run" / "key", config))
    asked = endpoint.bodies[0]["messages"][-1]["content"]
    assert re.fullmatch(r"Think first\. \d+ \+ \d+ =\nBox the answer\.", asked)
    with pytest.raises(PonderError, match=r"must have \{question\}"):
        config_of(inputs, endpoint, ask="Think first.")


def test_an_unreachable_teacher_loses_nothing(inputs: Path) -> None:
    """It fails half way; the next life pays for no answer again, and ends as if nothing was."""
    is_up = [True]
    failing_from = 14

    def answer(body: dict[str, Any], number: int) -> Any:
        if number >= failing_from and not is_up[0]:
            return refusal(503, "overloaded")
        return teach(body, number)

    with serving(answer) as endpoint:
        config = config_of(inputs, endpoint)
        run(context_of(inputs / "whole" / "key", config))
        paid = len(endpoint.bodies)
        endpoint.bodies.clear()
        is_up[0] = False
        with pytest.raises(PonderError, match=r"no answer in 1 try .*in endpoint\.cache") as error:
            run(context_of(inputs / "run" / "key", config))
        assert error.value.field == "endpoint.url"
        is_up[0] = True
        run(context_of(inputs / "run" / "key", config))
        refused = 1 + config.endpoint.concurrency  # under way when the first was refused
        assert paid <= len(endpoint.bodies) <= paid + refused
    assert outputs(inputs / "run" / "key") == outputs(inputs / "whole" / "key")


def test_another_key_of_the_stage_pays_for_nothing_again(inputs: Path) -> None:
    with serving(teach) as endpoint:
        run(context_of(inputs / "run" / "one", config_of(inputs, endpoint)))
        paid = len(endpoint.bodies)
        other = config_of(inputs, endpoint, choose={"rule": "shortest"})
        run(context_of(inputs / "run" / "two", other))
        assert len(endpoint.bodies) == paid


def test_killed_before_any_change_of_the_disk(inputs: Path, folder: Path) -> None:
    with serving(teach) as endpoint:
        config = config_of(inputs, endpoint)
        run(context_of(folder / "whole" / "key", config))
        expected, number, kills = outputs(folder / "whole" / "key"), 0, 0
        while True:
            number += 9
            place = folder / str(number) / "key"

            def life(place: Path = place, number: int = number) -> None:
                die_before(number)
                run(context_of(place, config))

            status = forked(life)
            if status == 0:
                break
            assert status == -signal.SIGKILL
            kills += 1
            run(context_of(place, config))
            assert outputs(place) == expected, f"killed before change {number}"
    assert kills >= 3


def test_nothing_correct_is_said(inputs: Path) -> None:
    with serving(lambda body, n: completion("I do not know.")) as endpoint:
        context = context_of(inputs / "run" / "key", config_of(inputs, endpoint))
        with pytest.raises(PonderError, match=r"none is correct \(unparsable 24\)") as error:
            run(context)
    assert "a better teacher" in error.value.fix
    assert not (context.folder / "rows.jsonl").exists()


@contextmanager
def both() -> Iterator[tuple[Endpoint, Endpoint]]:
    with serving(teach) as teacher, serving(rewrite) as rewriter:
        yield teacher, rewriter


def rewriting(rewriter: Endpoint, **settings: Any) -> dict[str, Any]:
    endpoint = {"url": rewriter.url, "model": "r", "attempts": 1}
    return {"by": "endpoint", "endpoint": endpoint} | settings


def test_rewritten_rows_are_verified_again(inputs: Path) -> None:
    collect = {"num_problems": 20, "group_size": 1, "write_as": "thought"}
    with both() as (teacher, rewriter):
        config = config_of(inputs, teacher, rewrite=rewriting(rewriter), collect=collect)
        context = context_of(inputs / "run" / "key", config)
        rows = run(context)
        kept = config_of(
            inputs, teacher, rewrite=rewriting(rewriter, failed="keep"), collect=collect
        )
        with_originals = run(context_of(inputs / "kept" / "key", kept))
    assert len(rows) == 12, "of 20 sums 13 are right, and one of those was lost in the rewriting"
    assert all(row["completion"].startswith("<think>\nFirst I read the question.") for row in rows)
    assert all(row["rewritten"] for row in rows)
    assert card_of(context)["dropped"] == {"incorrect": 7, "rewriting: incorrect": 1}
    assert len(with_originals) == 13
    (original,) = [row for row in with_originals if "rewritten" not in row]
    assert original["question"] == "10 + 13 ="


def test_examples_are_shown_to_the_rewriter(inputs: Path) -> None:
    (inputs / "examples.txt").write_text("Somebody wrote this.")
    with both() as (teacher, rewriter):
        settings = rewriting(rewriter, examples=inputs / "examples.txt", parts="summary")
        rows = run(context_of(inputs / "run" / "key", config_of(inputs, teacher, rewrite=settings)))
    assert all("Somebody wrote this." in b["messages"][-1]["content"] for b in rewriter.bodies)
    assert all("I have to add" in row["completion"] for row in rows), "the thought as it was"


def test_a_local_model_may_rewrite(inputs: Path) -> None:
    """A random one: nothing that it writes is right, and the traces stay as they were."""
    model, tokenizer = make_tiny_model(0)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    save_model(model, tokenizer, inputs / "rewriter")
    settings = {"by": "model", "model": str(inputs / "rewriter"), "max_completion_tokens": 8}
    with serving(teach) as endpoint:
        dropped = config_of(inputs, endpoint, rewrite=settings)
        with pytest.raises(PonderError, match="rewriting: "):
            run(context_of(inputs / "run" / "key", dropped))
        kept = config_of(inputs, endpoint, rewrite=settings | {"failed": "keep"})
        assert run(context_of(inputs / "kept" / "key", kept))


def test_references_that_all_samples_contradict_are_told(inputs: Path) -> None:
    collect = {"num_problems": 20, "group_size": 4, "write_as": "r1"}
    with serving(teach) as endpoint:
        context = context_of(inputs / "run" / "key", config_of(inputs, endpoint, collect=collect))
        run(context)
    notes = card_of(context)["notes"]
    assert notes["references that all samples contradict alike"] == 7
    assert "problems.jsonl:" in notes["the first of them"]


def mark(path: Path, answer: Callable[[int], str]) -> None:
    number = iter(range(1000))
    marks = re.compile(r"^keep: \?", re.MULTILINE)
    text = marks.sub(lambda _: f"keep: {answer(next(number))}", path.read_text())
    path.write_text(text)


def test_nothing_goes_on_until_every_row_is_marked(inputs: Path) -> None:
    with serving(teach) as endpoint:
        config = config_of(inputs, endpoint, review=True)
        context = context_of(inputs / "run" / "key", config)
        with pytest.raises(Waiting, match=r"of \d+ rows are not marked.*or --yes"):
            run(context)
        path = context.folder / "review.txt"
        asked = len(endpoint.bodies)
        mark(path, lambda number: "?" if number == 1 else "yes")
        with pytest.raises(Waiting, match=r": 1 of \d+ rows are not marked"):
            run(context)
        assert not (context.folder / "rows.jsonl").exists()
        mark(path, lambda number: "no")
        path.write_text(path.read_text().replace("I have to add", "I must add", 1))
        rows = run(context)
        assert len(endpoint.bodies) == asked
    assert sum("I must add" in row["completion"] for row in rows) == 1
    assert sum(row.get("edited", False) for row in rows) == 1
    assert card_of(context)["dropped"]["rejected in the review"] == 1
    assert card_of(context)["total"]["rows"] == len(rows)


def test_yes_waits_for_nobody_and_keeps_marks(inputs: Path) -> None:
    with serving(teach) as endpoint:
        config = config_of(inputs, endpoint, review=True)
        context = context_of(inputs / "run" / "key", config, yes=True)
        assert len(run(context)) == len(read_lines(context.folder / "candidates.jsonl"))
        assert (context.folder / "review.txt").is_file(), "to be looked at later"


def test_a_review_that_keeps_nothing_is_an_error(inputs: Path) -> None:
    with serving(teach) as endpoint:
        context = context_of(inputs / "run" / "key", config_of(inputs, endpoint, review=True))
        with pytest.raises(Waiting):
            run(context)
        mark(context.folder / "review.txt", lambda _: "no")
        with pytest.raises(PonderError, match="nothing to go on with"):
            run(context)


def ready(path: Path, count: int = 6) -> Path:
    rows = [
        {
            "id": f"h{n}",
            "prompt": f"What is {n} times {n}?",
            "completion": f"<think>\n{n} times {n}, let me see.\n</think>\n\n\\boxed{{{n * n}}}",
            "domain": "math",
            "source": "people",
        }
        for n in range(count)
    ]
    rows[2]["completion"] = "no thought"
    return write_lines(path, rows)


def test_ready_made_rows_are_filtered_and_reviewed(inputs: Path) -> None:
    path = ready(inputs / "human.jsonl")
    config = config_of(inputs, None, review=True)
    context = context_of(inputs / "run" / "key", config, {"rows": (path,)})
    with pytest.raises(Waiting):
        run(context)
    mark(context.folder / "review.txt", lambda number: "no" if number == 0 else "yes")
    assert [row["id"] for row in run(context)] == ["h1", "h3", "h4", "h5"]
    card = card_of(context)
    assert card["dropped"] == {"format": 1, "rejected in the review": 1}
    assert card["notes"]["traces"] == "human.jsonl"
    rewritten = config_of(inputs, None, rewrite={"by": "model"})
    with pytest.raises(PonderError, match="not rewritten"):
        run(context_of(inputs / "other" / "key", rewritten, {"rows": (path,)}))


def test_half_written_ready_made_rows_are_refused(inputs: Path) -> None:
    path = ready(inputs / "human.jsonl")
    os.rename(path, inputs / "human.jsonl.part")
    context = context_of(inputs / "run" / "key", config_of(inputs, None), {"rows": (path,)})
    with pytest.raises(PonderError, match="half-written"):
        run(context)


def test_a_model_of_an_earlier_stage_teaches(inputs: Path) -> None:
    """A random one: all that it writes is taken for right here."""
    model = tiny_model(inputs / "model")
    settings: dict[str, Any] = {
        "teacher": "model",
        "problems": {
            "path": inputs / "problems.jsonl",
            "verifier": VERIFIER,
        },
        "template": {"name": "plain"},
        "sampling": {"max_completion_tokens": 8},
        "collect": {"num_problems": 5, "group_size": 2},
        "filters": {"format": "any", "allow_truncated": True, "min_language": 0.0},
    }
    context = context_of(
        inputs / "run" / "key", config_of(inputs, None, **settings), {"model": (Path(model),)}
    )
    rows = run(context)
    assert {row["teacher"] for row in rows} == {"model"}
    assert rows[0]["prompt"] == rows[0]["question"]


def test_estimates_and_descriptions(inputs: Path) -> None:
    kind = KINDS["cold_start"]
    config = config_of(inputs, None, rewrite={"by": "model", "model": "base-tiny"}, review=True)
    found = kind.estimate(config, {})
    assert found.rows == 12
    alone = kind.estimate(config_of(inputs, None), {})
    assert (found.memory or 0) - (alone.memory or 0) > 7e6, "a local model rewrites: 2M parameters"
    assert kind.describe(config).endswith("from m, rewritten by base-tiny, reviewed")
    local = config_of(inputs, None, teacher="model")
    assert (kind.estimate(local, {}).memory or 0) > 1e6
    assert kind.estimate(config, {"rows": [Source(inputs / "problems.jsonl")]}).rows is None
