"""One request to an OpenAI-compatible endpoint, tried until it is answered or hopeless."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ponder.config.endpoint import EndpointConfig
from ponder.errors import PonderError
from ponder.generate.endpoint_cache import Answered

if TYPE_CHECKING:
    import openai

PASSING = {408, 409, 425, 429}
"""Refusals that a later try may not meet, beside every one from 500 on."""

FIXES = {
    400: "the endpoint refused the request",
    401: "the endpoint refused the key: check the variable that {at}.api_key_env names",
    402: "the account has no balance left: what was answered is in {at}.cache",
    403: "the key may not use this model",
    404: "no such model or address: check {at}.url (does it end in /v1?) and {at}.model",
    422: "the endpoint refused the request",
}
"""By status; {at} stands for the key of the endpoint's section."""

CUT_SHORT = "insufficient_system_resource"
"""DeepSeek's finish reason for a completion that it broke off itself."""


class Stopped(Exception):  # noqa: N818 - no error: another request failed
    """Another request failed for good, or the caller gave up: this one was not (re)tried."""


class EndpointClient:
    """Sends requests; thread-safe.

    Args:
        config: the endpoint.
        on_retry: called before each further try.
        at: the key of the endpoint's section, which errors name.

    Raises:
        PonderError: the extra ponder[endpoint] is missing, or the variable of the key is not set.
    """

    def __init__(
        self, config: EndpointConfig, on_retry: Callable[[], None], at: str = "endpoint"
    ) -> None:
        self.config, self.at = config, at
        self._on_retry = on_retry
        try:
            import openai
        except ImportError as error:
            fix = 'an endpoint needs an extra: pip install "ponder[endpoint]"'
            raise PonderError(at, config.url, fix) from error
        self._openai = openai
        self._client = openai.OpenAI(
            api_key=_key(config, at),
            base_url=config.url,
            timeout=config.timeout_seconds,
            max_retries=0,  # ours honour stopping, and are counted
        )

    def ask(self, body: dict[str, Any], stopping: threading.Event) -> Answered:
        """The answer to one request.

        Raises:
            PonderError: refused for good, or not answered in ``attempts`` tries.
            Stopped: ``stopping`` was set before it was sent (again).
        """
        failure: Exception | None = None
        for attempt in range(self.config.attempts):
            if failure is not None:
                self._on_retry()
                stopping.wait(self._delay(attempt, failure))
            if stopping.is_set():
                raise Stopped
            try:
                return self._once(body)
            except self._openai.APIError as error:
                self._refuse_hopeless(error)
                failure = error
            except Unfinished as error:
                failure = error
        tries = "1 try" if self.config.attempts == 1 else f"{self.config.attempts} tries"
        kept = f"in {self.at}.cache" if self.config.cache else f"lost (set {self.at}.cache)"
        fix = (
            f"no answer in {tries} (the last: {_said(failure)}); what was answered before is "
            f"{kept}: check the endpoint, then go on"
        )
        raise PonderError(f"{self.at}.url", self.config.url, fix) from failure

    def close(self) -> None:
        self._client.close()

    def _once(self, body: dict[str, Any]) -> Answered:
        fields = {name: value for name, value in body.items() if name not in self.config.extra}
        raw = self._client.chat.completions.with_raw_response
        return self._read(raw.create(**fields, extra_body=self.config.extra).text)

    def _read(self, text: str) -> Answered:
        """What the body of a reply says; read here, since the client lets any JSON pass."""
        try:
            reply = json.loads(text)
        except ValueError as error:
            if not text.lstrip().startswith("<"):  # a page comes again, half a reply may not
                raise Unfinished(f"a reply that is no JSON: {text[:60]!r}") from error
            reply = None
        if not isinstance(reply, dict):
            fix = f"it answers, but not as an OpenAI-compatible endpoint does: check {self.at}.url"
            raise PonderError(f"{self.at}.url", self.config.url, fix)
        choice = _part(reply.get("choices"), 0)
        message, finish = _part(choice, "message"), str(_part(choice, "finish_reason"))
        content = _part(message, "content")
        if not isinstance(message, dict) or finish == CUT_SHORT:
            raise Unfinished("an answer without a completion")
        if not isinstance(content, str | None):
            raise Unfinished(f"a completion that is no text: {str(content)[:60]!r}")
        usage = reply.get("usage")
        return Answered(
            content=_sound(content or ""),
            reasoning=_reasoning(message),
            finish_reason=finish,
            prompt_tokens=_count(_part(usage, "prompt_tokens")),
            completion_tokens=_count(_part(usage, "completion_tokens")),
        )

    def _refuse_hopeless(self, error: openai.APIError) -> None:
        """PonderError for what no further try can mend."""
        if isinstance(error, self._openai.APIConnectionError):
            return
        status = error.status_code if isinstance(error, self._openai.APIStatusError) else None
        is_passing = status is None or status in PASSING or status >= 500
        if is_passing and error.code != "insufficient_quota":
            return
        is_spent = error.code == "insufficient_quota"
        why = FIXES[402] if is_spent else FIXES.get(status or 0, "refused")
        fix = f"{why.replace('{at}', self.at)} ({_said(error)})"
        raise PonderError(self.at, self.config.url, fix) from error

    def _delay(self, attempt: int, failure: Exception) -> float:
        """Seconds before try number ``attempt``: what the endpoint asks for, or doubling."""
        most = self.config.backoff_most_seconds
        asked = 0.0
        if isinstance(failure, self._openai.APIStatusError):
            asked = _seconds(failure.response.headers.get("retry-after"))
        if asked:
            return min(most, asked) * random.uniform(1.0, 1.1)
        whole = min(most, self.config.backoff_seconds * 2.0 ** (attempt - 1))
        return whole * random.uniform(0.5, 1.0)


class Unfinished(Exception):  # noqa: N818 - no error of ours
    """The endpoint answered, but broke off."""


def _key(config: EndpointConfig, at: str) -> str:
    if not config.api_key_env:
        return "none"
    key = os.environ.get(config.api_key_env, "")
    if not key:
        fix = "this environment variable is not set: export the endpoint's key in it"
        raise PonderError(f"{at}.api_key_env", config.api_key_env, fix)
    return key


def _part(value: Any, name: str | int) -> Any:
    """A field of an object or an item of a list; None where there is none, as in any JSON."""
    if isinstance(value, dict):
        return value.get(name)
    return value[name] if isinstance(value, list) and value and isinstance(name, int) else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _reasoning(message: dict[str, Any]) -> str | None:
    """DeepSeek calls it ``reasoning_content``; newer vLLM and others ``reasoning``."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str):
            return _sound(message[name])
    return None


def _sound(text: str) -> str:
    """JSON can name half a pair of surrogates, which no file of ours could hold."""
    return text.encode(errors="replace").decode()


def _seconds(header: str | None) -> float:
    """A Retry-After in seconds; 0 for none, and for a date."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0


def _said(error: Exception | None) -> str:
    """One line, with the cause of a failed connection."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    cause = error.__cause__ if error is not None else None
    return f"{line} {cause}" if cause is not None else line
