"""A small HTTP server that speaks as much of the OpenAI protocol as the tests need."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any]]
Answer = Callable[[dict[str, Any], int], Reply]
"""(body of a request, how many came before it) -> (status, body)."""


@dataclass
class Endpoint:
    """What the server saw."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0


def completion(content: str | None, finish: str = "stop", tokens: int = 7, **extra: Any) -> Reply:
    return 200, {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, **extra},
            }
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": tokens, "total_tokens": 11 + tokens},
    }


def refusal(status: int, message: str = "no", code: str | None = None) -> Reply:
    return status, {"error": {"message": message, "type": "t", "code": code}}


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    """Connections that wait: with Python's 5, a busy machine resets those beyond."""


@contextmanager
def serving(answer: Answer, seconds: float = 0.0) -> Iterator[Endpoint]:
    """Serve on a free port; each answer takes ``seconds``."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(seen.bodies)
                seen.bodies.append(body)
                seen.keys.append(self.headers.get("authorization", ""))
                seen.times.append(time.monotonic())
                seen.under_way += 1
                seen.most_under_way = max(seen.most_under_way, seen.under_way)
            try:
                time.sleep(seconds)
                status, reply = answer(body, number)
            finally:
                with lock:
                    seen.under_way -= 1
            data = reply.get("raw", json.dumps(reply)).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            for name, value in reply.get("headers", {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = _Server(("127.0.0.1", 0), Handler)
    seen = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
