"""A running service with its page, and a client that holds each answer against our OpenAPI."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator

from tests.acceptance.harness import KEY, Home, Service
from tests.acceptance.songs import wav_bytes
from tests.support.ports import free_port
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import NO_TLS, wait_for

SECONDS = 6.0  # of each song that is sent here
PASSWORD = "open sesame 42"  # noqa: S105
# Answers whose content no JSON schema describes.
_OTHER = ("audio/", "application/zip", "application/octet-stream", "text/event-stream")


@cache
def openapi() -> dict[str, Any]:
    text = files("stemwatch.web.api").joinpath("openapi.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def check(answer: httpx.Response) -> None:
    """Fail unless the answer is as the document says: its status, its media type, its content."""
    path = answer.request.url.path
    method = answer.request.method.lower().replace("head", "get")
    template = next((one for one in openapi()["paths"] if _pattern(one).fullmatch(path)), None)
    if template is None or method not in openapi()["paths"][template]:
        assert answer.status_code in (401, 403, 404, 405, 421), f"{method} {path} isn't documented"
        return
    known = openapi()["paths"][template][method]["responses"]
    status = str(answer.status_code)
    assert status in known, f"{method} {template} is not said to answer {status}: {answer.text}"
    content = known[status].get("content")
    if content is None:
        return
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in content, f"{method} {template} {status} is not said to be {kind}"
    if not kind.startswith(_OTHER):
        validate(content[kind]["schema"], answer.json())


def validate(schema: dict[str, Any], value: Any) -> None:
    document = {"components": openapi()["components"], **schema}
    faults = [f"{fault.json_path}: {fault.message}" for fault in _validator(document, value)]
    assert not faults, faults


def _validator(document: dict[str, Any], value: Any) -> Iterator[Any]:
    return Draft202012Validator(document).iter_errors(value)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)))


class Page:
    """A service on loopback whose page is on."""

    def __init__(self, root: Path, *, password: bool = False, job_seconds: float = 0.1) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = ScenarioServer(key=KEY, job_seconds=job_seconds)
        self._root = root
        self._password = password
        self._stack = ExitStack()
        # More keys of these sections.
        self.web: dict[str, Any] = {}
        self.watch: dict[str, Any] = {}
        self.separation: dict[str, Any] = {}
        self.budget: dict[str, Any] = {}
        self.api: dict[str, Any] = {}
        self.inboxes: dict[str, Any] = {}  # several of them: their folders lie below their names
        # What starts the service with this configuration; None: `stemwatch run`.
        self.command: Callable[[Path], list[str]] | None = None
        self.home: Home
        self.service: Service

    def __enter__(self) -> Page:
        self._stack.enter_context(self.server)
        web = {"listen": f"127.0.0.1:{self.port}", "page": True, **self.web}
        if self._password:
            path = self._root / "password"
            path.write_text(PASSWORD + "\n")
            path.chmod(0o600)
            web["password_file"] = str(path)
        more = {"watch": self.watch, "separation": self.separation, "budget": self.budget}
        more["api"] = self.api
        self.home = Home(self._root, self.server.url, web=web, **more)
        if self.inboxes:
            self._several()
        self.service = self._stack.enter_context(
            Service(self.home, self.command(self.home.config), KEY)
            if self.command
            else self.home.service()
        )
        headers = {"Authorization": f"Bearer {PASSWORD}"} if self._password else {}
        hooks = {"response": [_checked]}
        self.http = self._stack.enter_context(
            httpx.Client(
                base_url=self.url, timeout=30, headers=headers, event_hooks=hooks, verify=NO_TLS
            )
        )
        return self

    def _several(self) -> None:
        whole = yaml.safe_load(self.home.config.read_text())
        folders = whole.pop("folders")
        whole["inboxes"] = {
            name: {"folders": {one: f"{name}/{one}" for one in folders}, **said}
            for name, said in self.inboxes.items()
        }
        for name in self.inboxes:
            (self._root / name / "inbox").mkdir(parents=True)
        self.home.config.write_text(yaml.safe_dump(whole))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, fault, trace)

    def stranger(self, **headers: str) -> httpx.Client:
        """A client without a login."""
        return self._stack.enter_context(
            httpx.Client(base_url=self.url, timeout=30, headers=headers, verify=NO_TLS)
        )

    def songs(self) -> list[dict[str, Any]]:
        """The history."""
        found: list[dict[str, Any]] = self.http.get("/api/songs").json()["songs"]
        return found

    def delivered(self, name: str) -> dict[str, Any]:
        """The song of that name, once it has stems."""

        def found() -> dict[str, Any] | None:
            return next((one for one in self.songs() if one["name"] == name), None)

        song: dict[str, Any] = wait_for(found, what=f"{name} in\n{self.service.text()}")
        return song


class Stream:
    """Server-sent events as a browser reads them."""

    def __init__(self, page: Page, last: str = "") -> None:
        self._answer = page.http.stream(
            "GET", "/api/events", headers={"Last-Event-ID": last} if last else {}
        )
        self.last = last

    def __enter__(self) -> Stream:
        self._lines = self._answer.__enter__().iter_lines()
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.__exit__(None, None, None)

    def event(self) -> tuple[str, Any]:
        """The next one: its name and its data."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line:
                self.last = fields.get("id", self.last)
                return fields["event"], json.loads(fields["data"])
            name, _, value = line.partition(": ")
            fields[name] = value
        raise EOFError

    def until(self, wanted: Any, timeout: float = 30.0) -> Any:
        """Read on until `wanted(name, data)` is true; that event's data."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            name, data = self.event()
            if wanted(name, data):
                return data
        raise AssertionError("that did not come")


def _checked(answer: httpx.Response) -> None:
    if not answer.request.url.path.startswith("/api/"):
        return
    if "text/event-stream" not in answer.headers.get("content-type", ""):
        answer.read()
    check(answer)


def upload(page: Page, path: str, number: int, *, seconds: float = SECONDS) -> httpx.Response:
    """Put song `number` at `path` of the only inbox."""
    song = wav_bytes(number, seconds=seconds)
    return page.http.put("/api/inbox/default", params={"path": path}, content=song)


def remove_vocals(
    page: Page, number: int, name: str = "My Song.wav", **asked: str
) -> httpx.Response:
    """Ask for the instrumental of song `number`."""
    files = {"audio": (name, wav_bytes(number, seconds=SECONDS), "audio/wav")}
    return page.http.post("/api/remove-vocals", files=files, params=asked)
