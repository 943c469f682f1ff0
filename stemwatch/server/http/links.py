"""Makes absolute URLs of this server, such as stem URLs, that its client can reach."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request

from stemwatch.receiving.refusal import Refused
from stemwatch.server.http.signing import Signed, Signer
from stemwatch.server.work.record import Record

_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


@dataclass(frozen=True, slots=True)
class Links:
    """URLs for clients; `public_url`: their base, perhaps with a wire's path; None: the Host."""

    signer: Signer
    public_url: str | None

    def base(self, request: Request) -> str:
        """The base by which the client reached us, such as `http://gpubox.lan:8700`.

        Refused with 400 for a Host header that is missing or malformed.
        """
        if self.public_url is not None:
            return self.public_url.rstrip("/").removesuffix("/v1").removesuffix("/api")
        host = request.headers.get("host", "")
        if not _HOST.fullmatch(host):
            raise Refused(400, "The Host header is missing or malformed.")
        return f"{request.url.scheme}://{host}"

    def stems(self, record: Record, base: str) -> dict[str, Signed]:
        """A freshly signed URL below `base` for each stem."""
        signed = {stem: self.signer.mint(record.id, name) for stem, name in record.files.items()}
        return {stem: one._replace(path=base + one.path) for stem, one in signed.items()}
