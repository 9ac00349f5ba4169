"""A generator that asks an OpenAI-compatible endpoint: any teacher or judge that serves one.

What is sampled follows from the endpoint, not from a seed of ours; a request that stands in the
cache gets the same completion again. There are no token ids and no log-probabilities.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from ponder.config.endpoint import EndpointConfig
from ponder.errors import PonderError
from ponder.generate.endpoint_cache import Answered, EndpointCache, request_key
from ponder.generate.endpoint_client import EndpointClient, Stopped
from ponder.generate.endpoint_cost import CountTokens, Estimate, Prices, Tally, about_tokens
from ponder.seeds import derive_seed
from ponder.types import Completion, FinishReason, Prompt, Sampling

AHEAD = 4
"""Requests that wait per request under way: enough to keep all busy, and few in memory."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One completion to ask for, and its place."""

    prompt_index: int
    sample_index: int
    body: dict[str, Any]
    key: str


class _Batch:
    """Requests that stop together: the first failure keeps the others from being sent."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._failure: BaseException | None = None
        self._lock = threading.Lock()

    def fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error
        self.stopping.set()

    def finished(
        self, waiting: dict[Future[Answered], _Request]
    ) -> Iterator[tuple[_Request, Answered]]:
        """Those that are answered by now, at least one; raises the first failure after them."""
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            request = waiting.pop(future)
            if future.exception() is None:
                yield request, future.result()
        if self._failure is not None:
            raise self._failure


class EndpointGenerator:
    """Completions from an endpoint. ``tally`` is the running total of what they cost.

    A prompt's text is the user's message as it stands. Stop strings are not sent (an endpoint
    leaves them out of the text): the text is cut after the first of them here. A completion that
    the endpoint's filter cut short has the finish reason "length", like any that did not end by
    itself. ``at`` is the key of the endpoint's section, which errors name.

    Raises PonderError: see ``EndpointClient``, ``EndpointCache``.
    """

    def __init__(self, config: EndpointConfig, at: str = "endpoint") -> None:
        self.config, self.at = config, at
        self.tally = Tally(Prices(config.prompt_price, config.completion_price))
        self.cache = EndpointCache(config.cache, at)
        self._client = EndpointClient(config, self.tally.retry, at)

    def generate(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        sampling: Sampling,
        seed: int,
        on_finished: Callable[[Completion], None] | None = None,
    ) -> list[list[Completion]]:
        """``group_size`` completions for each prompt, in the order of ``prompts``.

        ``seed`` is part of a request's key in the cache: another seed asks anew.

        Raises:
            PonderError: the endpoint refuses, stays silent after all retries, or
                ``endpoint.most_cost`` is spent. What was answered until then is in the cache.
        """
        found: dict[tuple[int, int], Completion] = {}
        requests = self._requests(prompts, group_size, sampling, seed)
        for request, answered in self._answers(requests):
            prompt = prompts[request.prompt_index]
            completion = self._completion(prompt, request.sample_index, answered, sampling)
            found[request.prompt_index, request.sample_index] = completion
            if on_finished is not None:
                on_finished(completion)
        return [[found[i, j] for j in range(group_size)] for i in range(len(prompts))]

    def estimate(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        sampling: Sampling,
        seed: int,
        expected_completion_tokens: int | None = None,
        count_tokens: CountTokens = about_tokens,
    ) -> Estimate:
        """What ``generate`` would cost, without sending anything.

        Args:
            expected_completion_tokens: of one completion, its reasoning included; None: the limit.
            count_tokens: of a prompt; give a tokenizer's where there is one.
        """
        system = count_tokens(self.config.system or "")
        num_requests = num_cached = prompt_tokens = 0
        for request in self._requests(prompts, group_size, sampling, seed):
            num_requests += 1
            if request.key in self.cache:
                num_cached += 1
            else:
                prompt_tokens += system + count_tokens(prompts[request.prompt_index].text)
        limit = sampling.max_completion_tokens
        num_new = num_requests - num_cached
        expected = num_new * min(limit, expected_completion_tokens or limit)
        prices = self.tally.prices
        return Estimate(
            num_requests=num_requests,
            num_cached=num_cached,
            prompt_tokens=prompt_tokens,
            completion_tokens=expected,
            most_completion_tokens=num_new * limit,
            cost=prices.of(prompt_tokens, expected),
            most_cost=prices.of(prompt_tokens, num_new * limit),
        )

    def close(self) -> None:
        self._client.close()
        self.cache.close()

    def _requests(
        self, prompts: Sequence[Prompt], group_size: int, sampling: Sampling, seed: int
    ) -> Iterator[_Request]:
        _check(sampling, self.at)
        for i, prompt in enumerate(prompts):
            for j in range(group_size):
                body = self._body(prompt, sampling)
                if self.config.send_seed:
                    body["seed"] = derive_seed(seed, prompt.problem_id, j) % 2**31
                what = {"url": self.config.url, "body": body, "seed": seed, "sample_index": j}
                yield _Request(i, j, body, request_key(what))

    def _body(self, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
        system = self.config.system
        messages = [{"role": "system", "content": system}] if system is not None else []
        messages.append({"role": "user", "content": prompt.text})
        return {
            "model": self.config.model,
            "messages": messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self.config.limit_field: sampling.max_completion_tokens,
        } | self.config.extra

    def _answers(self, requests: Iterator[_Request]) -> Iterator[tuple[_Request, Answered]]:
        """Every request with its answer, as they come; the first failure ends it.

        Requests under way when one fails are waited for (they are paid for and go to the cache).
        """
        batch = _Batch()
        waiting: dict[Future[Answered], _Request] = {}
        with ThreadPoolExecutor(self.config.concurrency, "ponder-endpoint") as threads:
            try:
                for request in requests:
                    cached = self.cache.get(request.key)
                    if cached is not None:
                        self.tally.cached()
                        yield request, cached
                        continue
                    waiting[threads.submit(self._ask, request, batch)] = request
                    if len(waiting) >= self.config.concurrency * AHEAD:
                        yield from batch.finished(waiting)
                while waiting:
                    yield from batch.finished(waiting)
            finally:
                batch.stopping.set()

    def _ask(self, request: _Request, batch: _Batch) -> Answered:
        try:
            self._refuse_overspending()
            answered = self._client.ask(request.body, batch.stopping)
            self.tally.answer(answered.prompt_tokens, answered.completion_tokens)
            self.cache.put(request.key, answered)
        except Stopped:
            raise
        except BaseException as error:
            batch.fail(error)
            raise
        return answered

    def _refuse_overspending(self) -> None:
        most = self.config.most_cost
        if most and self.tally.cost >= most:
            fix = (
                f"{self.tally.cost:.2f} is spent: raise it to go on; what was answered is in "
                f"{self.at}.cache and is not paid for again"
            )
            raise PonderError(f"{self.at}.most_cost", most, fix)

    def _completion(
        self, prompt: Prompt, sample_index: int, answered: Answered, sampling: Sampling
    ) -> Completion:
        text, is_cut = cut_after(self._text(answered), sampling.stop)
        finish: FinishReason = "stop" if is_cut or answered.finish_reason == "stop" else "length"
        return Completion(
            problem_id=prompt.problem_id,
            sample_index=sample_index,
            token_ids=[],
            text=text,
            sampler_logprobs=[],
            finish_reason=finish,
            counted_tokens=answered.completion_tokens or about_tokens(text),
        )

    def _text(self, answered: Answered) -> str:
        how = self.config.reasoning
        if answered.reasoning is None and how == "require":
            fix = "the endpoint gives no reasoning_content; ask a reasoning model, or use join"
            raise PonderError(f"{self.at}.reasoning", how, fix)
        if how == "drop" or not answered.reasoning:
            return answered.content
        return join_reasoning(answered.reasoning, answered.content)


def join_reasoning(reasoning: str, content: str) -> str:
    """The completion that an endpoint took apart; a thought without an answer stays open."""
    thought = f"<think>\n{reasoning.strip()}\n"
    return f"{thought}</think>\n\n{content.strip()}" if content.strip() else thought


def cut_after(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text up to the end of the first stop string in it, and whether there is one."""
    ends = [place + len(word) for word in stop if (place := text.find(word)) >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def _check(sampling: Sampling, at: str) -> None:
    """What an endpoint cannot do must not be asked in silence."""
    if sampling.top_k:
        fix = f"the OpenAI protocol has none; vLLM takes it as {at}.extra = {{top_k = ...}}"
        raise PonderError("sampling.top_k", sampling.top_k, fix)
    if sampling.ignore_end_tokens:
        fix = "only the local engine can go on after an end token"
        raise PonderError("sampling.ignore_end_tokens", True, fix)
