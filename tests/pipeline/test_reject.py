"""Rejection sampling: what is kept and why not, the mixture, the card, kills, full disks."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.forks import REFUSED, die_before, forked
from tests.generate.endpoint_server import completion, serving
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

from ponder.config.reject import RejectConfig
from ponder.errors import PonderError
from ponder.pipeline.context import StageContext, Stopped
from ponder.pipeline.kinds import Source
from ponder.pipeline.stages import KINDS
from ponder.pipeline.stages.reject import general_counts

ANY = {"format": "any", "min_language": 0.0, "max_repetition": 1.0, "allow_truncated": True}
OUTPUTS = ("rows.jsonl", "rows.jsonl.card.json", "rows.jsonl.card.md", "summary.json")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    tiny_model(folder / "model")
    write_problems(folder / "problems.jsonl", 40)
    return folder


def config_of(inputs: Path, **settings: Any) -> RejectConfig:
    defaults: dict[str, Any] = {
        "model": str(inputs / "model"),
        "device": "cpu",
        "threads": 1,
        "chunk_problems": 4,
        "problems": {"path": inputs / "problems.jsonl", "verifier": VERIFIER},
        "template": {"name": "plain"},
        "sampling": {"max_completion_tokens": 12},
        "collect": {"num_problems": 10, "group_size": 3},
        "filters": ANY,
        "dedupe": {"near_threshold": 1.1},
    }
    return RejectConfig.model_validate(defaults | settings)


def run(context: StageContext) -> list[dict[str, Any]]:
    KINDS["reject"].run(context)
    return read_lines(context.folder / "rows.jsonl")


@pytest.fixture(scope="module")
def whole(inputs: Path) -> Path:
    context = context_of(inputs / "whole", config_of(inputs))
    run(context)
    return context.folder


def outputs(folder: Path) -> dict[str, bytes]:
    rollouts = sorted((folder / "rollouts").glob("*"))
    return {path.name: path.read_bytes() for path in [*(folder / n for n in OUTPUTS), *rollouts]}


def test_rows_are_correct_and_say_where_they_are_from(whole: Path) -> None:
    rows = read_lines(whole / "rows.jsonl")
    assert 5 <= len(rows) <= 10
    assert len({row["problem_id"] for row in rows}) == len(rows), "one of each problem"
    for row in rows:
        assert len(row["completion"]) % 3 != 0, "what the verifier takes for correct"
        assert row["prompt"] == row["question"]
        assert (row["template"], row["thought_opened"]) == ("plain", False)
        assert (row["domain"], row["source"]) == ("math", "problems.jsonl")
        assert row["teacher"] == "model"


def test_the_card_accounts_for_every_sample(whole: Path) -> None:
    card = json.loads((whole / "rows.jsonl.card.json").read_text())
    assert card["num_read"] == 30
    assert card["total"]["rows"] + sum(card["dropped"].values()) == 30
    assert card["domains"]["math"]["rows"] == card["total"]["rows"]
    assert card["total"]["mean_rounds"] == 1.0
    assert card["total"]["mean_tokens"] > 2
    assert card["notes"]["decontaminated against"] == "nothing"
    page = (whole / "rows.jsonl.card.md").read_text()
    assert "| domain | samples | avg rounds | avg tokens |" in page
    assert "samples per problem: 3" in page


def test_all_samples_are_kept_to_be_looked_at(whole: Path) -> None:
    names = [path.name for path in sorted((whole / "rollouts").iterdir())]
    assert names == [f"step_{number:06d}.jsonl.zst" for number in (0, 4, 8)]


def test_what_is_sampled_does_not_depend_on_the_chunks(inputs: Path, whole: Path) -> None:
    context = context_of(inputs / "chunks", config_of(inputs, chunk_problems=3))
    run(context)
    assert (context.folder / "rows.jsonl").read_bytes() == (whole / "rows.jsonl").read_bytes()


def test_a_problem_is_drawn_once_and_the_seed_decides(inputs: Path, tmp_path: Path) -> None:
    settings = {"collect": {"num_problems": 1000, "group_size": 1}, "chunk_problems": 50}
    context = context_of(tmp_path / "a", config_of(inputs, **settings))
    rows = run(context)
    ids = [row["problem_id"] for row in rows]
    assert len(set(ids)) == len(ids) > 15
    other = run(context_of(tmp_path / "b", config_of(inputs, seed=1, **settings)))
    assert [row["problem_id"] for row in other] != ids


def test_max_rows_ends_the_sampling(inputs: Path, tmp_path: Path) -> None:
    collect = {"num_problems": 40, "group_size": 3, "max_rows": 5}
    context = context_of(tmp_path / "a", config_of(inputs, collect=collect))
    assert len(run(context)) == 5
    assert len(list((context.folder / "rollouts").iterdir())) <= 3
    without = context_of(
        tmp_path / "b", config_of(inputs, collect=collect | {"keep_samples": False})
    )
    run(without)
    assert list((without.folder / "rollouts").iterdir()) == []
    assert outputs(without.folder)["rows.jsonl"] == outputs(context.folder)["rows.jsonl"]


def test_killed_before_any_change_of_the_disk(inputs: Path, whole: Path, folder: Path) -> None:
    expected, kills, number = outputs(whole), 0, 0
    while True:
        number += 7
        context = context_of(folder / str(number), config_of(inputs))

        def life(context: StageContext = context, number: int = number) -> None:
            die_before(number)
            run(context)

        status = forked(life)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
        assert forked(lambda context=context: run(context)) == 0
        found = outputs(context.folder)
        assert found == expected, f"killed before change {number}"
    assert kills >= 4


def test_it_stops_where_it_is_asked_to_and_goes_on(
    inputs: Path, whole: Path, tmp_path: Path
) -> None:
    config = config_of(inputs)
    asked = iter([False, True])
    with pytest.raises(Stopped):
        run(context_of(tmp_path, config, should_stop=lambda: next(asked)))
    assert len(list((tmp_path / "rollouts").iterdir())) == 1
    run(context_of(tmp_path, config))
    assert outputs(tmp_path) == outputs(whole)


def test_a_full_disk_is_said_and_nothing_is_lost(inputs: Path, whole: Path, tmp_path: Path) -> None:
    def limited(num_bytes: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
        run(context_of(tmp_path, config_of(inputs)))

    for num_bytes in (500, 1_200, 2_500):
        assert forked(lambda size=num_bytes: limited(size)) == REFUSED, num_bytes
        assert not (tmp_path / "rows.jsonl").exists()
    run(context_of(tmp_path, config_of(inputs)))
    assert outputs(tmp_path) == outputs(whole)


def test_no_correct_sample_is_an_error_that_says_what_to_do(inputs: Path, tmp_path: Path) -> None:
    problems = {"path": inputs / "problems.jsonl", "verifier": "tests.pipeline.verdicts:seldom"}
    context = context_of(tmp_path, config_of(inputs, problems=problems))
    for _ in range(2):  # told again at once, without sampling again
        with pytest.raises(PonderError, match="of 30 samples of 10 problems none is correct") as e:
            run(context)
        assert "incorrect 30" in e.value.fix
        assert "collect.group_size" in e.value.fix
        assert "easier problems" in e.value.fix
    assert not (tmp_path / "rows.jsonl").exists()


def test_correct_but_unreadable_is_said(inputs: Path, tmp_path: Path) -> None:
    context = context_of(tmp_path, config_of(inputs, filters=ANY | {"format": "r1"}))
    with pytest.raises(PonderError, match="are correct, but none of them could be kept") as error:
        run(context)
    assert error.value.field == "filters"
    assert "format" in error.value.fix


def test_a_verifier_that_fails_is_told(inputs: Path, tmp_path: Path) -> None:
    problems = {"path": inputs / "problems.jsonl", "verifier": "tests.pipeline.verdicts:broken"}
    context = context_of(tmp_path, config_of(inputs, problems=problems))
    with pytest.raises(PonderError, match=r"none could be judged .*the verifier is broken"):
        run(context)


def test_a_wrong_reference_is_named_or_left_out(inputs: Path, tmp_path: Path) -> None:
    rows = read_lines(inputs / "problems.jsonl")
    rows[7]["answer"] = ""
    path = write_lines(tmp_path / "bad.jsonl", rows)
    problems = {"path": path, "verifier": VERIFIER}
    config = config_of(inputs, problems=problems)
    with pytest.raises(PonderError, match=r"bad\.jsonl:8: this reference .* no reference") as e:
        run(context_of(tmp_path / "a", config))
    assert "collect.bad_references=drop" in e.value.fix
    collect = {"num_problems": 10, "group_size": 3, "bad_references": "drop"}
    context = context_of(tmp_path / "b", config_of(inputs, problems=problems, collect=collect))
    run(context)
    assert isinstance(context.view, Told)
    assert "1 row dropped, e.g." in context.view.notes


def test_planted_overlaps_are_found_and_counted(inputs: Path, tmp_path: Path) -> None:
    """With a file of a benchmark, and with the problems that the pipeline evaluates on."""
    words = [f"word{n}" for n in range(40)]
    rows = [
        {"question": f"{' '.join(words[n : n + 12])} {n} and {n} times", "answer": "1"}
        for n in range(0, 28)
    ]
    path = write_lines(tmp_path / "texts.jsonl", rows)
    secret = write_lines(
        tmp_path / "secret.jsonl", [{"question": rows[5]["question"], "answer": "1"}]
    )
    settings: dict[str, Any] = {
        "problems": {"path": path, "verifier": VERIFIER},
        "collect": {"num_problems": 100, "group_size": 6},
        "decontaminate": {"sets": [{"name": "secret", "path": secret}], "boilerplate_share": 1.0},
    }
    context = context_of(tmp_path / "a", config_of(inputs, **settings))
    kept = {row["question"] for row in run(context)}
    assert rows[5]["question"] not in kept
    card = card_of(context)
    assert card["dropped"]["contaminated"] >= 1
    assert card["notes"]["rows that hit an item"] == card["dropped"]["contaminated"]
    assert card["notes"]["decontaminated against"] == "secret"
    (context.folder / "reasoning.jsonl.hits.jsonl").read_text().index("secret")

    settings["decontaminate"] = {"boilerplate_share": 1.0}
    settings["benchmarks"] = {"ours": {"path": secret}}
    settings["held_out"] = False
    again = context_of(tmp_path / "b", config_of(inputs, **settings))
    assert rows[5]["question"] not in {row["question"] for row in run(again)}
    assert card_of(again)["notes"]["decontaminated against"] == "ours"


def general_file(path: Path, count: int) -> Path:
    rows = [
        {
            "id": f"{path.stem}-{n}",
            "prompt": f"Tell me about thing number {n} {path.stem}",
            "completion": f"Thing {n * n} of {path.stem} is a fine thing, it has {n} sides.",
            "domain": "general",
            "source": path.stem,
        }
        for n in range(count)
    ]
    return write_lines(path, rows)


def test_general_rows_are_mixed_in(inputs: Path, tmp_path: Path) -> None:
    files = (general_file(tmp_path / "a.jsonl", 9), general_file(tmp_path / "b.jsonl", 3))
    config = config_of(inputs, general={"counts": [4, 2]})
    context = context_of(tmp_path / "x", config, {"general": files})
    rows = run(context)
    assert [sum(row["source"] == name for row in rows) for name in "ab"] == [4, 2]
    assert {row["domain"] for row in rows[: len(rows) // 2]} == {"math", "general"}, "shuffled"
    assert card_of(context)["domains"]["general"]["rows"] == 6
    assert card_of(context)["notes"]["general rows"] == 6
    share = context_of(
        tmp_path / "y", config_of(inputs, general={"share": 0.25}), {"general": files}
    )
    rows = run(share)
    general = sum(row["domain"] == "general" for row in rows)
    assert abs(general / len(rows) - 0.25) < 0.05


def test_too_few_general_rows_and_wrong_counts(inputs: Path, tmp_path: Path) -> None:
    files = (general_file(tmp_path / "a.jsonl", 3),)
    context = context_of(
        tmp_path / "x", config_of(inputs, general={"counts": [5]}), {"general": files}
    )
    with pytest.raises(PonderError, match=r"has only 3 rows.*general\.allow_repeats") as error:
        run(context)
    assert error.value.field == "general.counts"
    wrong = context_of(tmp_path / "y", config_of(inputs, general={"counts": [1, 1]}))
    with pytest.raises(PonderError, match="one number for each file"):
        run(wrong)
    assert not (tmp_path / "y" / "samples.jsonl.part").exists(), "told before anything is sampled"


def test_a_half_written_general_file_is_refused(inputs: Path, tmp_path: Path) -> None:
    path = general_file(tmp_path / "a.jsonl", 3)
    path.write_bytes(path.read_bytes()[:-20])
    context = context_of(tmp_path / "x", config_of(inputs), {"general": (path,)})
    with pytest.raises(PonderError, match=r"a\.jsonl:3"):
        run(context)
    assert (tmp_path / "x" / "samples.jsonl").is_file(), "the samples are not lost"


def test_shares_are_whole_numbers_that_add_up(tmp_path: Path) -> None:
    reasoning = general_file(tmp_path / "r.jsonl", 30)
    files = [general_file(tmp_path / f"{name}.jsonl", 7) for name in "abc"]
    config = config_of(tmp_path, general={"share": 0.25}).general
    counts = general_counts(config, reasoning, files)
    assert [count is not None for count in counts] == [True] * 3
    assert sum(count or 0 for count in counts) == 10


def test_an_estimate_and_a_description(inputs: Path) -> None:
    kind, config = KINDS["reject"], config_of(inputs)
    found = kind.estimate(config, {"model": [Source(inputs / "model")]})
    assert found.rows == 10
    assert found.memory is not None
    assert found.memory > 1000
    without = config_of(inputs, collect=config.collect.model_dump() | {"keep_samples": False})
    assert (kind.estimate(without, {}).bytes or 0) < (found.bytes or 0)
    assert kind.describe(config).startswith("10 problems x 3 on ")


def test_more_than_is_sampled_cannot_be_chosen(inputs: Path) -> None:
    with pytest.raises(PonderError, match=r"only collect\.group_size = 3"):
        config_of(inputs, choose={"at_most": 4})


def test_a_model_judges_what_rules_cannot(inputs: Path, tmp_path: Path) -> None:
    """A random model writes no answer that rules could read; the judge takes every second one."""

    def judge(body: dict[str, Any], number: int) -> Any:
        message = body["messages"][-1]["content"]
        right = "code word" not in message and sum(map(ord, message)) % 2 == 0
        return completion(json.dumps({"correct": right, "reason": "so"}))

    problems = {"path": inputs / "problems.jsonl", "verifier": "exact"}
    with serving(judge) as endpoint:
        who = {"by": "endpoint", "endpoint": {"url": endpoint.url, "model": "j"}}
        config = config_of(inputs, problems=problems, judge=who)
        context = context_of(tmp_path / "run" / "key", config)
        rows = run(context)
        paid = len(endpoint.bodies)
        again = context_of(tmp_path / "run" / "other", config)
        assert [row["id"] for row in run(again)] == [row["id"] for row in rows]
        assert len(endpoint.bodies) == paid, "a verdict is paid for once"
    dropped = card_of(context)["dropped"]
    assert dropped["incorrect"] + len(rows) + dropped.get("not chosen", 0) == 30
    assert KINDS["reject"].describe(config).endswith("judged by j")
