"""A teacher over an endpoint, against a server of our own on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.generate.endpoint_server import Answer, Endpoint, completion, refusal, serving

from ponder.config.endpoint import EndpointConfig
from ponder.config.recipes import load_recipe
from ponder.errors import PonderError
from ponder.generate.endpoint import EndpointGenerator, cut_after, join_reasoning
from ponder.generate.endpoint_cost import Estimate
from ponder.types import Completion, Judgement, Prompt, Rollout, Sampling, Verdict

SAMPLING = Sampling(temperature=0.6, top_p=0.95, max_completion_tokens=50)


def prompts(*texts: str) -> list[Prompt]:
    return [Prompt(f"p{i}", text, ()) for i, text in enumerate(texts)]


def generator(endpoint: Endpoint, **settings: Any) -> EndpointGenerator:
    defaults = {"url": endpoint.url, "model": "m", "backoff_seconds": 0.01, "attempts": 4}
    return EndpointGenerator(EndpointConfig(**(defaults | settings)))


def echo(body: dict[str, Any], number: int) -> tuple[int, dict[str, Any]]:
    return completion(f"{body['messages'][-1]['content']} #{number}")


def test_every_prompt_gets_its_completions_in_order_and_each_is_told_once() -> None:
    told: list[Completion] = []
    with serving(echo) as endpoint:
        groups = generator(endpoint).generate(prompts("a", "b"), 3, SAMPLING, 0, told.append)
    assert [[c.text[0] for c in group] for group in groups] == [["a"] * 3, ["b"] * 3]
    assert [[c.sample_index for c in group] for group in groups] == [[0, 1, 2]] * 2
    assert len({c.text for group in groups for c in group}) == 6
    assert sorted(c.text for c in told) == sorted(c.text for group in groups for c in group)
    assert endpoint.bodies[0] == {
        "model": "m",
        "messages": endpoint.bodies[0]["messages"],
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 50,
    }


def test_a_completion_says_that_it_has_no_tokens() -> None:
    with serving(lambda body, n: completion("x", finish="length", tokens=50)) as endpoint:
        [[one]] = generator(endpoint).generate(prompts("a"), 1, SAMPLING, 0)
    assert (one.token_ids, one.sampler_logprobs, one.finish_reason) == ([], [], "length")
    assert one.num_tokens == one.counted_tokens == 50
    assert Rollout(one, Judgement(Verdict.CORRECT), {}, 1.0).num_tokens == 50


def test_reasoning_is_joined_dropped_or_required() -> None:
    def answer(body: dict[str, Any], number: int) -> tuple[int, dict[str, Any]]:
        return completion("\\boxed{4}", reasoning_content="2+2 is 4\n")

    with serving(answer) as endpoint:
        texts = [
            generator(endpoint, reasoning=how).generate(prompts("a"), 1, SAMPLING, 0)[0][0].text
            for how in ("join", "drop", "require")
        ]
    joined = "<think>\n2+2 is 4\n</think>\n\n\\boxed{4}"
    assert texts == [joined, "\\boxed{4}", joined]
    with (
        serving(echo) as endpoint,
        pytest.raises(PonderError, match="gives no reasoning_content"),
    ):
        generator(endpoint, reasoning="require").generate(prompts("a"), 1, SAMPLING, 0)


def test_a_thought_without_an_answer_is_not_closed() -> None:
    assert join_reasoning("so", "") == "<think>\nso\n"
    with serving(lambda body, n: completion(None, finish="length", reasoning="so far")) as endpoint:
        [[one]] = generator(endpoint).generate(prompts("a"), 1, SAMPLING, 0)
    assert (one.text, one.finish_reason) == ("<think>\nso far\n", "length")


def test_busy_and_broken_endpoints_are_tried_again() -> None:
    failures = [
        refusal(429),
        refusal(500),
        refusal(503),
        (200, completion("")[1] | {"choices": []}),
    ]
    with serving(lambda b, n: failures[n] if n < 4 else completion("at last")) as endpoint:
        teacher = generator(endpoint, attempts=5)
        [[one]] = teacher.generate(prompts("a"), 1, SAMPLING, 0)
    assert one.text == "at last"
    assert teacher.tally.num_retries == 4
    assert teacher.tally.num_answers == 1


def test_waits_double_and_an_asked_wait_is_kept() -> None:
    with serving(lambda b, n: refusal(500) if n < 3 else completion("x")) as endpoint:
        generator(endpoint, backoff_seconds=0.1).generate(prompts("a"), 1, SAMPLING, 0)
    gaps = [b - a for a, b in zip(endpoint.times, endpoint.times[1:], strict=False)]
    for gap, whole in zip(gaps, (0.1, 0.2, 0.4), strict=True):
        assert whole / 2 <= gap < whole + 0.5
    busy = (429, {"error": {"message": "slow down"}, "headers": {"retry-after": "0.4"}})
    with serving(lambda b, n: busy if n == 0 else completion("x")) as endpoint:
        generator(endpoint).generate(prompts("a"), 1, SAMPLING, 0)
    assert endpoint.times[1] - endpoint.times[0] >= 0.4


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (400, None, "too long a prompt"),
        (401, None, "api_key_env"),
        (402, None, "balance"),
        (404, None, "endpoint.model"),
        (429, "insufficient_quota", "balance"),
    ],
)
def test_what_no_retry_mends_is_an_error_at_once(status: int, code: str | None, says: str) -> None:
    with serving(lambda b, n: refusal(status, "too long a prompt", code)) as endpoint:
        with pytest.raises(PonderError, match=says):
            generator(endpoint).generate(prompts("a"), 1, SAMPLING, 0)
        assert len(endpoint.bodies) == 1


def test_an_unreachable_teacher_is_an_error_after_the_retries_and_loses_nothing(
    tmp_path: Path,
) -> None:
    cache = tmp_path / "cache.jsonl"
    asked = prompts(*"abcdef")
    with serving(echo) as endpoint:
        teacher = generator(endpoint, cache=cache, attempts=2)
        teacher.generate(asked[:4], 1, SAMPLING, 0)
    with pytest.raises(PonderError, match=r"no answer in 2 tries .*[Cc]onnection"):
        teacher.generate(asked, 1, SAMPLING, 0)
    told: list[Completion] = []
    config = EndpointConfig(
        url=endpoint.url, model="m", cache=cache, attempts=1, backoff_seconds=0.01
    )
    again = EndpointGenerator(config)
    with pytest.raises(PonderError, match="no answer in 1 try"):
        again.generate(asked, 1, SAMPLING, 0, told.append)
    assert [c.text[0] for c in told] == list("abcd")
    assert again.tally.cost == 0


def test_a_silent_endpoint_is_given_up() -> None:
    with (
        serving(echo, seconds=0.5) as endpoint,
        pytest.raises(PonderError, match=r"no answer in 2 tries .*timed out"),
    ):
        generator(endpoint, attempts=2, timeout_seconds=0.1).generate(prompts("a"), 1, SAMPLING, 0)


def test_one_that_fails_ends_the_others_but_what_was_answered_is_kept(tmp_path: Path) -> None:
    def answer(body: dict[str, Any], number: int) -> tuple[int, dict[str, Any]]:
        return refusal(400) if number == 5 else echo(body, number)

    with serving(answer) as endpoint:
        teacher = generator(endpoint, cache=tmp_path / "c", concurrency=1)
        with pytest.raises(PonderError, match="refused"):
            teacher.generate(prompts(*(str(i) for i in range(40))), 1, SAMPLING, 0)
    assert len(endpoint.bodies) == 6
    assert len(teacher.cache) == 5


def test_no_more_requests_at_a_time_than_allowed() -> None:
    with serving(echo, seconds=0.03) as endpoint:
        generator(endpoint, concurrency=3).generate(prompts(*"abcdefghij"), 2, SAMPLING, 0)
    assert endpoint.most_under_way == 3


def test_nothing_is_paid_twice_and_whatever_matters_is_in_the_key(tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    with serving(echo) as endpoint:
        teacher = generator(endpoint, cache=cache)
        first = teacher.generate(prompts("a", "b"), 2, SAMPLING, 0)
        teacher.close()
        again = generator(endpoint, cache=cache)
        assert again.generate(prompts("a", "b"), 2, SAMPLING, 0) == first
        assert (len(endpoint.bodies), again.tally.num_cached) == (4, 4)
        again.generate(prompts("a", "b"), 3, SAMPLING, 0)
        assert len(endpoint.bodies) == 6
        hotter = Sampling(temperature=0.7, top_p=0.95, max_completion_tokens=50)
        others = [
            (again, prompts("c"), SAMPLING, 0),
            (again, prompts("a"), hotter, 0),
            (again, prompts("a"), SAMPLING, 1),
            (generator(endpoint, cache=cache, model="n"), prompts("a"), SAMPLING, 0),
            (generator(endpoint, cache=cache, system="s"), prompts("a"), SAMPLING, 0),
            (generator(endpoint, cache=cache, extra={"top_k": 5}), prompts("a"), SAMPLING, 0),
        ]
        for number, (one, asked, sampling, seed) in enumerate(others, start=7):
            one.generate(asked, 1, sampling, seed)
            assert len(endpoint.bodies) == number


def test_a_torn_tail_is_skipped_and_paid_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    with serving(echo) as endpoint:
        generator(endpoint, cache=cache).generate(prompts("a", "b", "c"), 1, SAMPLING, 0)
        whole = cache.read_bytes()
        cache.write_bytes(whole[:-20])
        again = generator(endpoint, cache=cache)
        assert (len(again.cache), again.cache.num_torn) == (2, 1)
        again.generate(prompts("a", "b", "c"), 1, SAMPLING, 0)
        assert len(endpoint.bodies) == 4
        last = generator(endpoint, cache=cache)
        last.generate(prompts("a", "b", "c"), 1, SAMPLING, 0)
        assert len(endpoint.bodies) == 4
        assert len(last.cache) == 3


def test_another_file_is_not_taken_for_a_cache(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary\n")
    with serving(echo) as endpoint, pytest.raises(PonderError, match="no cache"):
        generator(endpoint, cache=tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "dear diary\n"


def test_a_folder_is_no_cache(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match=r"endpoint\.cache.*folder"):
        EndpointGenerator(EndpointConfig(cache=tmp_path))


def test_the_cost_is_estimated_before_and_counted_after(tmp_path: Path) -> None:
    with serving(echo) as endpoint:
        teacher = generator(
            endpoint, cache=tmp_path / "c", prompt_price=2.0, completion_price=10.0, system="12345"
        )
        asked = prompts("x" * 400, "y" * 40)
        before = teacher.estimate(asked, 2, SAMPLING, 0, expected_completion_tokens=20)
        assert not endpoint.bodies
        assert (before.num_requests, before.num_cached) == (4, 0)
        assert before.prompt_tokens == 2 * (100 + 2) + 2 * (10 + 2)
        assert (before.completion_tokens, before.most_completion_tokens) == (80, 200)
        assert before.cost == pytest.approx((228 * 2 + 80 * 10) / 1e6)
        assert before.most_cost == pytest.approx((228 * 2 + 200 * 10) / 1e6)
        teacher.generate(asked[:1], 2, SAMPLING, 0)
        after = teacher.estimate(asked, 2, SAMPLING, 0, count_tokens=len)
        assert (after.num_cached, after.prompt_tokens) == (2, 2 * (40 + 5))
    assert teacher.tally.cost == pytest.approx((22 * 2 + 14 * 10) / 1e6)
    assert teacher.tally.metrics()["endpoint/completion_tokens"] == 14


@pytest.mark.parametrize(
    ("cost", "most", "cached", "says"),
    [
        (12.5, 20.0, 0, "tokens: 12.50, at most 20.00"),
        (0.001, 0.02, 0, "tokens: less than 0.01, at most 0.02"),
        (0.0, 0.0, 0, "tokens; no prices are set"),
        (0.0, 0.0, 5, "(5 of them in the cache), 1 prompt tokens, about 2 completion tokens"),
    ],
)
def test_an_estimate_says_what_it_knows(cost: float, most: float, cached: int, says: str) -> None:
    assert str(Estimate(5, cached, 1, 2, 3, cost, most)).endswith(says)


def test_no_more_is_spent_than_allowed() -> None:
    with serving(echo) as endpoint:
        teacher = generator(endpoint, completion_price=1e6 / 7, most_cost=3.0, concurrency=1)
        with pytest.raises(PonderError, match="is spent"):
            teacher.generate(prompts(*"abcdefgh"), 1, SAMPLING, 0)
        assert len(endpoint.bodies) == 3


def test_text_ends_after_the_first_stop_string() -> None:
    assert cut_after("a </answer> b STOP", ("STOP", "</answer>")) == ("a </answer>", True)
    assert cut_after("a", ("STOP",)) == ("a", False)
    stopping = Sampling(max_completion_tokens=9, stop=("</answer>",))
    with serving(lambda b, n: completion("4</answer> and", finish="length")) as endpoint:
        [[one]] = generator(endpoint).generate(prompts("a"), 1, stopping, 0)
    assert (one.text, one.finish_reason) == ("4</answer>", "stop")
    assert "stop" not in endpoint.bodies[0]


def test_what_an_endpoint_cannot_do_is_refused() -> None:
    with serving(echo) as endpoint:
        with pytest.raises(PonderError, match="top_k"):
            generator(endpoint).generate(prompts("a"), 1, Sampling(top_k=5), 0)
        with pytest.raises(PonderError, match="end token"):
            generator(endpoint).generate(prompts("a"), 1, Sampling(ignore_end_tokens=True), 0)
        with pytest.raises(ValidationError, match="leave them out"):
            generator(endpoint, extra={"temperature": 1})


def test_errors_name_the_section_that_the_endpoint_stands_in(tmp_path: Path) -> None:
    """[judge] of an RL run, [judge.endpoint] of preferences: not one called [endpoint]."""
    path = tmp_path / "rl.toml"
    path.write_text('extends = "modern"\n[problems]\ntask = "gcd"\n[judge]\nextra = {stop = "x"}\n')
    with pytest.raises(PonderError) as told:
        load_recipe(str(path))
    assert told.value.field == "judge.extra"
    broken: Answer = lambda body, number: (401, {"error": "no"})  # noqa: E731
    with serving(broken) as endpoint:
        config = EndpointConfig(url=endpoint.url, model="m", attempts=1)
        with pytest.raises(PonderError, match=r"judge\.endpoint\.api_key_env") as told:
            EndpointGenerator(config, "judge.endpoint").generate(prompts("a"), 1, SAMPLING, 0)
    assert told.value.field == "judge.endpoint"


def test_the_key_is_sent_and_stands_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "sesame")
    with serving(lambda b, n: echo(b, n) if n else refusal(429)) as endpoint:
        teacher = generator(endpoint, api_key_env="TEST_KEY", cache=tmp_path / "c")
        teacher.generate(prompts("a"), 1, SAMPLING, 0)
        assert endpoint.keys == ["Bearer sesame"] * 2
        assert b"sesame" not in (tmp_path / "c").read_bytes()
        monkeypatch.delenv("TEST_KEY")
        with pytest.raises(PonderError, match="not set"):
            generator(endpoint, api_key_env="TEST_KEY")


def test_a_seed_is_sent_where_wanted() -> None:
    with serving(echo) as endpoint:
        generator(endpoint, send_seed=True).generate(prompts("a"), 2, SAMPLING, 0)
    seeds = {body["seed"] for body in endpoint.bodies}
    assert len(seeds) == 2


def test_a_page_that_is_no_endpoint_is_told() -> None:
    answer: Answer = lambda body, number: (200, {"hello": 1})  # noqa: E731
    with serving(answer) as endpoint, pytest.raises(PonderError, match=r"endpoint\.url"):
        generator(endpoint, attempts=1).generate(prompts("a"), 1, SAMPLING, 0)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ('{"choices": [{"index": 0, "mess', "no JSON"),
        ('{"choices": [{"finish_reason": "stop", "message": {"content": 5}}]}', "no text"),
        ('{"choices": ["a"], "usage": 3}', "without a completion"),
        ("", "no JSON"),
    ],
)
def test_a_damaged_reply_is_asked_for_again(reply: str, says: str, tmp_path: Path) -> None:
    broken: Answer = lambda body, n: (200, {"raw": reply})  # noqa: E731
    with serving(broken) as endpoint, pytest.raises(PonderError, match=f"in 2 tries .*{says}"):
        generator(endpoint, attempts=2).generate(prompts("a"), 1, SAMPLING, 0)
    once: Answer = lambda body, n: (200, {"raw": reply}) if n == 0 else completion("b")  # noqa: E731
    with serving(once) as endpoint:
        teacher = generator(endpoint, cache=tmp_path / "c")
        [[one]] = teacher.generate(prompts("a"), 1, SAMPLING, 0)
    assert (one.text, teacher.tally.num_retries, len(teacher.cache)) == ("b", 1, 1)


def test_half_a_pair_of_surrogates_is_replaced() -> None:
    half: Answer = lambda b, n: completion("a \ud83d b \U0001f600", reasoning_content="\udfff")  # noqa: E731
    with serving(half) as endpoint:
        [[one]] = generator(endpoint).generate(prompts("a"), 1, SAMPLING, 0)
    assert one.text == "<think>\n?\n</think>\n\na ? b \U0001f600"


def test_a_page_is_no_endpoint() -> None:
    page: Answer = lambda body, n: (200, {"raw": " <html>log in</html>"})  # noqa: E731
    with serving(page) as endpoint, pytest.raises(PonderError, match="not as an OpenAI"):
        generator(endpoint).generate(prompts("a"), 1, SAMPLING, 0)
    assert len(endpoint.bodies) == 1


def test_lines_of_the_cache_are_json(tmp_path: Path) -> None:
    with serving(lambda b, n: completion("ü\n\u2028")) as endpoint:
        teacher = generator(endpoint, cache=tmp_path / "c")
        teacher.generate(prompts("a"), 1, SAMPLING, 0)
        [line] = (tmp_path / "c").read_text().splitlines()
        assert json.loads(line)["content"] == "ü\n\u2028"
        [[one]] = generator(endpoint, cache=tmp_path / "c").generate(prompts("a"), 1, SAMPLING, 0)
    assert one.text == "ü\n\u2028"
