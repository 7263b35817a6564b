"""An office for browser tests: the panel under a real server, a worker, operators at real browsers."""

import threading
import time
from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page
from werkzeug.serving import WSGIRequestHandler, make_server

from core.models import Operator
from core.worker import Worker
from panel import Desk

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


_ANSWER = "office.answer"


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Say nothing of each request."""

    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        """Close what was being answered to a browser that went on, which the server forgets to do."""
        close = getattr((environ or {}).get(_ANSWER), "close", None)
        if close is not None:
            close()


def _remembered(app: Flask) -> Callable[..., Any]:
    """Return the app as a server calls it, with each answer kept beside its request."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        environ[_ANSWER] = app(environ, start_response)
        return environ[_ANSWER]

    return answer


class Office:
    """The panel at `url`, with its worker."""

    def __init__(self, app: Flask, browser: Browser) -> None:
        self.app, self.browser = app, browser
        self.server = make_server("127.0.0.1", 0, _remembered(app), threaded=True, request_handler=_Quiet)
        # Closing waits for what is still answered: SQLite crashes on a connection that is closed in use.
        self.server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.worker = Worker(app)
        self.errors: list[str] = []
        self._contexts: list[BrowserContext] = []
        self._threads = [
            threading.Thread(target=self.server.serve_forever, args=(0.02,)),
            threading.Thread(target=self.worker.run),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End browsers, streams, worker and server."""
        for context in self._contexts:
            context.close()
        self.app.extensions["parley"].hub.stop()
        self.worker.stop()
        self.server.shutdown()
        for thread in self._threads:
            thread.join(20)
        self.server.server_close()

    def page(self, operator: Operator | None = None, path: str = "", **options: Any) -> Page:
        """Open a browser of its own, signed in as `operator`, at `path`; what it complains of is noted."""
        quiet = {"reduced_motion": "reduce", "timezone_id": "UTC", "locale": "en-GB"}
        options = {"viewport": DESKTOP, **quiet, **options}
        context = self.browser.new_context(base_url=self.url, **options)
        context.set_default_timeout(15_000)
        self._contexts.append(context)
        if operator is not None:
            cookie = Desk(self.app, operator).http.get_cookie("parley")
            context.add_cookies([{"name": "parley", "value": cookie.value, "url": self.url}])
        page = context.new_page()
        page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        if path:
            page.goto(path)
        return page


def flaws(page: Page) -> list[str]:
    """Return what axe finds on a page, in both themes."""
    found = []
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        # Colours on their way from one to another, or greyed while a list loads, are nobody's to read.
        page.wait_for_function(
            "() => !document.querySelector('[aria-busy=true]')"
            " && document.getAnimations().every(one => one.playState !== 'running')"
        )
        result = Axe().run(page)
        for violation in result.response["violations"]:
            nodes = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
            found.append(f"{theme}: {violation['id']}: {violation['help']}: {nodes}")
    return found


def sideways(page: Page) -> int:
    """Return by how many pixels the document scrolls sideways."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def seconds_until(happens: Callable[[], Any], seen: Callable[[], Any]) -> float:
    """Return how long it takes from something that happens until it is seen."""
    begun = time.monotonic()
    happens()
    seen()
    return time.monotonic() - begun
