"""`GET /metrics`: what waits, runs and works, in Prometheus' text form, to scale workers by."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from stemwatch.server.http.requests import Endpoint
from stemwatch.server.work.records import Board, Load

TYPE = "text/plain; version=0.0.4; charset=utf-8"


def load_metrics(board: Board) -> Endpoint:
    """The endpoint. It asks for no key and names no job, as `/v1/health`."""

    async def metrics(_: Request) -> Response:
        return Response(text(await board.load()), media_type=TYPE)

    return metrics


def text(load: Load) -> str:
    """The numbers, and a line for each worker."""
    gauges = {
        "waiting": ("Jobs that wait.", load.waiting),
        "running": ("Jobs that run.", load.running),
        "oldest_waiting_seconds": ("How long the first job has waited.", load.oldest or 0),
        "workers": ("Workers that live.", len(load.workers)),
        "seats": ("Jobs that can run at once.", load.seats),
    }
    lines = []
    for name, (meaning, value) in gauges.items():
        whole = f"stemwatch_serve_{name}"
        lines += [f"# HELP {whole} {meaning}", f"# TYPE {whole} gauge", f"{whole} {value}"]
    whole = "stemwatch_serve_worker_seats"
    lines += [f"# HELP {whole} Seats of each worker.", f"# TYPE {whole} gauge"]
    for one in load.workers:
        labels = {"name": one.get("name") or "here", "engine": one["engine"],
                  "device": one["device"] or "cpu"}  # fmt: skip
        shown = ",".join(f'{label}="{_escaped(str(value))}"' for label, value in labels.items())
        lines.append(f"{whole}{{{shown}}} {one['jobs']}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
