"""What a hostile API, storage host or name server may say: seeded, so a number repeats it."""

from __future__ import annotations

import gzip
import json
from random import Random
from typing import Any

API_HOST = "api.hostile.test"  # the one that the user configured; it is on loopback
OWN = "127.0.0.99"  # where it is: an address that no other name may lead to
KNOWN = ("vocals", "instrumental")
ESCAPED = "/tmp/hostile-escaped"  # noqa: S108 - must never be there

_NAMES = (
    "../../escaped", "..", ".", ESCAPED, "vocals/../../escaped", "vocals\0.wav",
    "con", "a" * 5000, "~root/.ssh/authorized_keys", "..\\..\\escaped", "%2e%2e%2fescaped",
    "vocals\n", "\u202egnp.slacov", "\ud800", "VOCALS", "vocals ", "", "-rf", "$(id)", "`id`",
    "file:///etc/passwd", "\u2025/escaped", "\uff0e\uff0e\uff0fescaped", ".stemwatch", "drums",
)  # fmt: skip
# Every kind of address that must never be connected to, as a resolver would write it.
FORBIDDEN = (
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255",  # noqa: S104
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.7", "198.18.0.1",
    "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "192.88.99.1", "::1", "::", "fe80::1", "fe80::1%lo", "fc00::1", "fd12::1",
    "ff02::1", "ff05::c", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:192.168.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1",
    "2001::1", "2001:db8::1", "::7f00:1", "::127.0.0.1", "fec0::1", "100::1", "2001:2::1",
    "no address", "", "1.2.3", "999.1.1.1", OWN,
)  # fmt: skip
PUBLIC = ("93.184.216.34", "1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001::5")
# Literal hosts in all the spellings that a C library takes for an address.
_LITERALS = (
    "127.0.0.1", "[::1]", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "[::]",
    "10.0.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]", "[::ffff:10.0.0.1]", "[fd00::1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "1\uff0e1\uff0e1\uff0e1", "\u2460\u2461\u2462.0.0.1",
    "224.0.0.1", "localhost", "LOCALHOST.", "[::1%25lo]", "255.255.255.255", "0.0.0.0",  # noqa: S104
)  # fmt: skip
_SCHEMES = (
    "http", "ftp", "file", "gopher", "javascript", "data", "ws", "HTTPS", "hTTp", "", "https+x",
)  # fmt: skip


_BUDGET = b"X-RateLimit-Limit: 0\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: %d\r\n" % 10**11


class Hostile:
    """All that one case says. `ports`: the API's, the storage's, and the trap's."""

    def __init__(self, seed: int, number: int, ports: tuple[int, int, int]) -> None:
        self.rng = Random(f"{seed}-{number}")
        self.number = number
        self.api_port, self.storage_port, self.trap_port = ports

    # -- names and addresses ---------------------------------------------------------------

    def answers(self, host: str) -> list[list[str]]:
        """What a name server says about `host`: at first, and every time after that."""
        rng = Random(f"{host}-{self.number}")
        bad = [rng.choice(FORBIDDEN) for _ in range(rng.choice((1, 1, 2)))]
        good = [rng.choice(PUBLIC) for _ in range(rng.choice((1, 1, 2)))]
        kind = rng.random()
        if kind < 0.45:
            return [bad, bad]
        if kind < 0.65:  # a public one among them
            mixed = good + bad
            rng.shuffle(mixed)
            return [mixed, mixed]
        if kind < 0.85:  # rebinding: public when it is checked, private a moment later
            return [good, bad]
        return [good, good] if kind < 0.97 else [[], bad]

    def host(self) -> str:
        rng = self.rng
        return rng.choice(
            (
                f"evil-{rng.randrange(10**6)}.test",
                f"rebind-{rng.randrange(10**6)}.test",
                rng.choice(_LITERALS),
                API_HOST,
                f"{API_HOST}.evil.test",
                f"{API_HOST}@evil-{rng.randrange(99)}.test",
                f"evil.test#@{API_HOST}",
                f"{API_HOST}%2eevil.test",
                f"{API_HOST}\t.evil.test",
                f"{API_HOST}\\.evil.test",
                f"xn--{rng.randrange(999)}.test",
                f"b\xfccher-{rng.randrange(99)}.test",
                f"{'a' * 70}.test",
                f"{'a.' * 200}test",
                "",
            )
        )

    def port(self) -> str:
        known = (self.api_port, self.storage_port, self.trap_port)
        odd = ("", ":", ":0", ":65536", ":-1", ":99999999999", ":x", ":22", ":25")
        return self.rng.choice([f":{port}" for port in known] + list(odd))

    def good_url(self) -> str:
        """One on the API's own host: the only place where something really answers."""
        return f"http://{API_HOST}:{self.storage_port}/body/{self.number}?token=signed"

    def url(self) -> str:
        rng = self.rng
        if rng.random() < 0.3:
            return self.good_url().replace("/body/", rng.choice(("/body/", "/redirect/")))
        scheme = "https" if rng.random() < 0.6 else rng.choice(_SCHEMES)
        user = rng.choice(("", "", "", "user:pass@", "@", f"{API_HOST}:80@"))
        path = rng.choice(
            ("/x", "", "/../../x", "/%00", "/" + "a" * 9000, "/\r\nX-Evil: 1", "/?a#b")
        )
        slashes = rng.choice(("://", "://", "://", ":/", ":", ":///", ":\\\\"))
        text = f"{scheme}{slashes}{user}{self.host()}{self.port()}{path}"
        return self._garble(text) if rng.random() < 0.15 else text

    def location(self) -> str:
        """A redirect's target: another URL, or a relative one."""
        rng = self.rng
        relative = (f"/redirect/{self.number}", "..", "//", f"//{self.host()}{self.port()}/x", "?")
        if rng.random() < 0.3:
            return rng.choice((*relative, f"/body/{self.number}", "", "\xff\xfe", "x" * 20_000))
        return self.url()

    # -- JSON ------------------------------------------------------------------------------

    def value(self, depth: int = 0) -> Any:
        rng = self.rng
        kind = rng.randrange(9 if depth < 3 else 7)
        if kind == 7:
            return [self.value(depth + 1) for _ in range(rng.randrange(4))]
        if kind == 8:
            return {rng.choice(_NAMES): self.value(depth + 1) for _ in range(rng.randrange(4))}
        return (
            None,
            rng.random() < 0.5,
            rng.choice((0, -1, 2**63, 10**400, 1)),
            rng.choice((float("nan"), float("inf"), -0.0, 1e308, 0.5)),
            rng.choice(_NAMES),
            self._garble(rng.choice(_NAMES)),
            self.url(),
        )[kind]

    def stems(self) -> Any:
        """Known names with hostile URLs, hostile names with any, or no mapping at all."""
        rng = self.rng
        if rng.random() < 0.1:
            return self.value()
        found = {rng.choice(_NAMES): self.value() for _ in range(rng.randrange(6))}
        for name in KNOWN:
            if rng.random() < 0.9:
                found[name] = self.url() if rng.random() < 0.95 else self.value()
        return found

    def job(self, remote_id: str) -> dict[str, Any]:
        rng = self.rng
        data: dict[str, Any] = {
            "job_id": remote_id if rng.random() < 0.9 else self.value(),
            "status": "completed"
            if rng.random() < 0.8
            else rng.choice(("failed", "Completed ", 7)),
            "stems": self.stems(),
        }
        told = ("bpm", "key", "duration_seconds", "error", "progress", "engine", "id")
        heard = ("tuning_cents", "bpm_confidence", "key_confidence", "first_beat_seconds")
        for name in (*told, *heard):
            if rng.random() < 0.4:
                data[name] = self.value()
        return data

    # -- JSON of wire B --------------------------------------------------------------------

    def detail(self, remote_id: str) -> dict[str, Any]:
        """A job as `GET /jobs/{id}` has it there."""
        rng = self.rng
        words = ("COMPLETED", "completed") * 6 + ("FAILED", "EXPIRED", "PENDING", 7)
        stems = self.stems()
        if isinstance(stems, dict) and rng.random() < 0.9:
            stems = {name: {"url": url, "expiresAt": self.value()} for name, url in stems.items()}
        data: dict[str, Any] = {
            "id": remote_id if rng.random() < 0.9 else self.value(),
            "status": rng.choice(words),
            "outputs": stems,
        }
        odd = ("audioMetadata", "input", "progress", "creditsCharged", "errorMessage", "engine")
        data |= {name: self.value() for name in odd if rng.random() < 0.3}
        if rng.random() < 0.5:
            told = ("bpm", "key", "tuningCents", "bpmConfidence", "firstBeatSeconds")
            data["audioMetadata"] = {name: self.value() for name in told}
        return data

    def ticket(self) -> dict[str, Any]:
        """Where an upload shall go: half of them to a place that answers."""
        rng = self.rng
        good = self.good_url().replace("/body/", "/put/")
        data = {
            "uploadUrl": good if rng.random() < 0.5 else rng.choice((self.url(), self.value())),
            "uploadKey": "k" if rng.random() < 0.8 else self.value(),
            "maxFileSizeBytes": 10**8 if rng.random() < 0.7 else self.value(),
            "contentType": rng.choice(("audio/wav", "a/b\r\nX-Evil: 1", self.value())),
        }
        return {name: value for name, value in data.items() if rng.random() < 0.97}

    def listed(self, name: str) -> dict[str, Any]:
        """One page of `GET /jobs`; `name` is the file's that is looked for."""
        rng = self.rng
        jobs: list[Any] = []
        for number in range(rng.randrange(4)):
            file = name if rng.random() < 0.2 else rng.choice(_NAMES)
            times = ("2027-01-15T08:00:00Z", "0001-01-01T00:00:00Z", self.value())
            item = {"id": f"j{number}", "input": {"fileName": file}, "createdAt": rng.choice(times)}
            jobs.append(item if rng.random() < 0.9 else self.value())
        more = rng.choice((True, False, False, self.value()))
        return {"jobs": jobs, "pagination": {"hasMore": more}}

    # -- whole answers, as bytes -----------------------------------------------------------

    def answer(self, body: bytes, *, tame: float) -> bytes:
        """An HTTP answer around `body`; `tame` is how often it is a proper one."""
        rng = self.rng
        if rng.random() < tame:
            return _http(200, body)
        return rng.choice(
            (
                lambda: _http(rng.choice((200, 204, 206, 304, 400, 401, 402, 429, 500, 599)), body),
                lambda: _http(rng.choice((301, 302, 303, 307, 308)), b"", self._moved()),
                lambda: _http(200, gzip.compress(bytes(200_000)), b"Content-Encoding: gzip\r\n"),
                lambda: _http(200, body[: len(body) // 2]),
                lambda: _http(200, body, length=len(body) + 100),
                lambda: _http(200, body, length=max(0, len(body) - 3)),
                lambda: _http(200, body, length=-5),
                lambda: _http(200, body, b"Content-Length: 3\r\n"),
                lambda: _http(200, body, b"X-Long: " + b"a" * 300_000 + b"\r\n"),
                lambda: _http(200, body, b"\xff\xfe: \x00\r\n"),
                lambda: _http(200, body, b"Retry-After: " + b"9" * 400 + b"\r\n"),
                lambda: _http(429, body, b"Retry-After: \xff\r\n"),
                lambda: _http(200, body, _BUDGET),
                lambda: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\nx",
                lambda: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
                lambda: b"HTTP/1.1 999 \xff\r\nContent-Length: 0\r\n\r\n",
                lambda: b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + _http(200, body),
                lambda: b"SSH-2.0-OpenSSH_9.2\r\n",
                lambda: b"",
                lambda: bytes(rng.randrange(256) for _ in range(200)),
                lambda: _http(200, b'{"a":' * 30_000),
                lambda: _http(200, b'{"status":' + b"9" * 6000 + b"}"),
                lambda: _http(200, b"[" * 100_000),
                lambda: _http(200, b"\xef\xbb\xbf" + body),
                lambda: _http(200, b"<html>" + body),
            )
        )()

    def json_answer(self, remote_id: str) -> bytes:
        return self.wrapped(self.job(remote_id))

    def wrapped(self, data: Any) -> bytes:
        """This JSON, in an answer that is mostly a proper one."""
        return self.answer(json.dumps(data).encode("utf-8", "surrogatepass"), tame=0.75)

    def redirect(self) -> bytes:
        return _http(self.rng.choice((301, 302, 303, 307, 308)), b"", self._moved())

    def _moved(self) -> bytes:
        target = self.location().encode("utf-8", "surrogatepass")
        if self.rng.random() < 0.8:
            target = target.replace(b"\r", b"").replace(b"\n", b"")
        return b"Location: " + target + b"\r\n"

    def _garble(self, text: str) -> str:
        rng, characters = self.rng, list(text or "x")
        for _ in range(rng.randrange(1, 4)):
            odd = rng.choice(
                ("\0", "\n", "\r\n", " ", "\ud83c", "%", "\x7f", "\u200b", "/", "@", "[")
            )
            characters.insert(rng.randrange(len(characters) + 1), odd)
        return "".join(characters)


def _http(status: int, body: bytes, extra: bytes = b"", *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n%b" % (status, size, extra, body)
