"""The options of a separation server, however it is started. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field

DAY = 24.0  # hours
MIN_FREE = 500_000_000  # bytes
URL_TTL = 3600.0  # seconds, as StemSplit's
UPLOAD_TTL = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The defaults are those of `stemwatch serve`, but for its port; comments name the units."""

    data_dir: str
    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one
    engine: str = "spectral"  # a name, or module:function
    device: str = "auto"  # of a neural engine: auto, cpu, cuda, cuda:1 ...
    model_dir: str | None = None  # where its weights lie; None: the user's own folder of them
    jobs: int | None = None  # separations at once; None: the cores less one, a neural engine: one
    key: str | None = None  # None: no key is asked for
    keys_file: str | None = None  # several keys, by name and hash: keyholders.py
    strict_limit: bool = False  # 429 above `jobs`, instead of a queue
    keep_hours: float = DAY  # hours that results are kept
    url_ttl: float = URL_TTL  # seconds that a stem URL is good for
    upload_ttl: float = UPLOAD_TTL  # seconds that a presigned upload URL is good for
    public_url: str | None = None  # base of the URLs that are handed out; None: the Host header
    min_free: int = MIN_FREE  # bytes of the disk that stay free
    credits: int | None = None  # seconds of audio that may be separated; None: no limit
    rate_limit: int | None = None  # requests a minute on the presigned wire; None: no limit
    min_seconds: float = 0.0  # shorter audio is refused
    max_seconds: float | None = None  # longer audio is refused
    webhook_secret: str | None = None  # signs what is sent to a job's own `webhook_url`
    queue_url: str | None = field(
        default=None, repr=False
    )  # of the cluster's database: this is a front end of it
    queue_url_place: str = ""  # where that was given, for messages
    exit_with_stdin: bool = False  # end when standard input ends
