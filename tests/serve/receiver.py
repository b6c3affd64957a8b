"""A receiver of webhooks on loopback: threads that owe nothing to the gateway's own HTTP."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Post:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def fields(self) -> dict:
        return json.loads(self.body)

    def signed_by(self, secret: str) -> bool:
        """Whether the signature holds, worked out as the README tells a receiver to."""
        parts = dict(part.split("=", 1) for part in self.headers["x-p402-signature"].split(","))
        assert abs(int(parts["t"]) - self.at) < 60
        expected = hmac.new(secret.encode(), parts["t"].encode() + b"." + self.body, hashlib.sha256)
        return hmac.compare_digest(expected.hexdigest(), parts["v1"])


@dataclass
class Receiver:
    """What came, and how it is answered: `answer(number)` gives status and headers, and may take its time."""

    url: str = ""
    answer: Callable[[int], tuple[int, dict[str, str]]] = lambda number: (204, {})
    posts: list[Post] = field(default_factory=list)

    def until(self, count: int, seconds: float = 10.0) -> list[Post]:
        """The posts, once there are so many."""
        deadline = time.monotonic() + seconds
        while len(self.posts) < count:
            assert time.monotonic() < deadline, f"{len(self.posts)} posts came, expected {count}"
            time.sleep(0.01)
        return self.posts


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posts.append(Post(self.path, headers, body, time.time()))
            status, more = receiver.answer(len(receiver.posts))
            try:
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()
            except OSError:
                pass  # who asked has given up

        do_GET = do_POST  # noqa: N815 - its caller's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
