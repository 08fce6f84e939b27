"""The HTTP server of a live result: loopback only, with a token, for one page.

Other programs and pages of other origins must not read or change the result. The server listens on 127.0.0.1. It
answers only if the request names it by that address or as ``localhost`` (against DNS rebinding), comes from no other
origin, and has the token: in the address of the page, and in a header of the requests of the page. It never allows
other origins (CORS), and a request contains no path of a file.
"""

from __future__ import annotations

import json
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from gnntrack.errors import GnntrackError, InputError, OutputError
from gnntrack.json_files import parse_json
from gnntrack.serving.live import OutdatedPageError

if TYPE_CHECKING:
    from gnntrack.serving.live import LiveResult

__all__ = ["TOKEN_HEADER", "PageServer", "make_server"]

TOKEN_HEADER = "X-Gnntrack-Token"
_HOST = "127.0.0.1"
_LARGEST = 64 * 1024  # bytes of a request
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page has a policy of its own for the rest
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _RefusedRequestError(Exception):
    """A request that is answered by a status and a sentence."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class PageServer(ThreadingHTTPServer):
    """Serves the page of a live result.

    Parameters
    ----------
    live : LiveResult
        The result.
    port : int
        The port; 0: a free one.

    Raises
    ------
    OSError
        If the port is in use or may not be opened.
    """

    daemon_threads = True
    allow_reuse_address = sys.platform != "win32"  # there, two servers could share a port

    def __init__(self, live: LiveResult, port: int) -> None:
        super().__init__((_HOST, port), _Handler)
        self.live = live
        self.token = secrets.token_urlsafe(32)
        self.hosts = {f"{name}:{self.server_port}" for name in (_HOST, "localhost")}

    @property
    def url(self) -> str:
        """The address of the page, with the token."""
        return f"http://{_HOST}:{self.server_port}/?token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that closed the connection; print other errors."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def make_server(live: LiveResult, port: int) -> PageServer:
    """Return the server of a live result, which listens already.

    Raises
    ------
    InputError
        If the port cannot be used.
    """
    try:
        return PageServer(live, port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"port {port} cannot be used ({reason}); choose another one, or 0 for any free one (--port 0)"
        raise InputError(msg) from error


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: PageServer
    server_version = "gnntrack"
    sys_version = ""
    timeout = 30  # seconds without a byte

    def do_GET(self) -> None:
        """Send the page."""
        try:
            self._check_origin()
            address = urlsplit(self.path)
            if address.path != "/":
                raise _RefusedRequestError(HTTPStatus.NOT_FOUND, "There is only the page of the result.")
            self._check_token((parse_qs(address.query).get("token") or [""])[0])
            page = self.server.live.make_page(self.server.token)
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", page.encode())
        except _RefusedRequestError as error:
            self._send(error.status, "text/plain; charset=utf-8", f"{error.reason}\n".encode())

    def do_POST(self) -> None:
        """Carry out a request of the page."""
        try:
            self._check_origin()
            self._check_token(self.headers.get(TOKEN_HEADER, ""))
            acts = {"/edit": self.server.live.edit, "/save": self.server.live.save}
            if self.path not in acts:
                raise _RefusedRequestError(HTTPStatus.NOT_FOUND, "There is no such request.")
            self._reply(HTTPStatus.OK, acts[self.path](self._read_body()))
        except _RefusedRequestError as error:
            self._reply(error.status, {"error": error.reason})
        except OutdatedPageError as error:
            self._reply(HTTPStatus.CONFLICT, {"error": str(error)})
        except OutputError as error:
            self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)})
        except GnntrackError as error:
            self._reply(HTTPStatus.BAD_REQUEST, {"error": str(error)})

    def log_message(self, *_: Any) -> None:
        """Print nothing: the address of the page contains the token."""

    def _check_origin(self) -> None:
        """Refuse requests that were meant for another host or that come from another origin."""
        hosts = self.server.hosts
        if self.headers.get_all("Host") is None or not set(self.headers.get_all("Host", [])) <= hosts:
            reason = f"Open the address that 'gnntrack serve' has printed (the host must be {_HOST})."
            raise _RefusedRequestError(HTTPStatus.MISDIRECTED_REQUEST, reason)
        own = {f"http://{host}" for host in hosts}
        other = not set(self.headers.get_all("Origin", [])) <= own
        # a link to the page, in a terminal that is a page itself, may be followed: it has the token
        follows = self.command == "GET" and self.headers.get("Sec-Fetch-Mode") == "navigate"
        if other or not (follows or self.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")):
            raise _RefusedRequestError(HTTPStatus.FORBIDDEN, "Requests of other pages are refused.")

    def _check_token(self, given: str) -> None:
        if not secrets.compare_digest(given.encode(), self.server.token.encode()):
            reason = "The token is wrong; open the address that 'gnntrack serve' has printed."
            raise _RefusedRequestError(HTTPStatus.FORBIDDEN, reason)

    def _read_body(self) -> dict[str, Any]:
        """Return the JSON object that was sent."""
        if self.headers.get_content_type() != "application/json":
            raise _RefusedRequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Only JSON is read.")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            raise _RefusedRequestError(HTTPStatus.LENGTH_REQUIRED, "The length of the request is missing.")
        if len(length) > len(str(_LARGEST)) or int(length) > _LARGEST:
            raise _RefusedRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large.")
        try:
            content = parse_json(self.rfile.read(int(length)))
        except ValueError as error:
            raise _RefusedRequestError(HTTPStatus.BAD_REQUEST, "The request is not JSON.") from error
        if not isinstance(content, dict):
            raise _RefusedRequestError(HTTPStatus.BAD_REQUEST, "The request is not a JSON object.")
        return content

    def _reply(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content, allow_nan=False, separators=(",", ":")).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **_HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
