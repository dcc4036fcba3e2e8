"""A proxy in front of the site that compresses pages, as the documented nginx does."""

import gzip
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

from tests.benchmarks.site import Web

LEVEL = 4  # gzip_comp_level in docs/operations.md
OF_ONE_HOP = {"connection", "content-length", "transfer-encoding", "server", "date"}
Headers = list[tuple[str, str]]


@contextmanager
def compressing(web: Web) -> Iterator[str]:
    """The address of a proxy before this web process, for as long as it lasts."""
    handler = type("Forward", (_Forward,), {"port": web.port})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as nginx keeps them
    port: ClassVar[int]

    def do_GET(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def do_PUT(self) -> None:
        self._forward()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is printed is the table."""

    def _forward(self) -> None:
        status, headers, body = self._answer()
        if any(value.startswith("text/html") for _, value in headers):
            body = gzip.compress(body, LEVEL)
            headers.append(("Content-Encoding", "gzip"))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self) -> tuple[int, Headers, bytes]:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with closing(HTTPConnection("127.0.0.1", self.port)) as web:
            web.request(self.command, self.path, body, dict(self.headers))
            answer = web.getresponse()
            headers = [
                (name, value)
                for name, value in answer.getheaders()
                if name.lower() not in OF_ONE_HOP
            ]
            return answer.status, headers, answer.read()
