"""Where HTTP statuses become codes: one table for each kind of call. A 429 is RATE_LIMITED in all.

Who waits then, and until when, is the code's rule in `codes.py`, carried out by
`workers/pool/outcome.py`. What the answer says besides is in `answers.py`. A stem's 429 becomes
STORAGE_BUSY in `workers/steps/fetch.py`, and only that song waits.
"""

from __future__ import annotations

from stemwatch.codes import Code

# Any call to the API.
_CALL = {
    401: Code.AUTH,
    402: Code.CREDIT,
    403: Code.AUTH,
    407: Code.SERVER_ERROR,
    429: Code.RATE_LIMITED,
    511: Code.SERVER_ERROR,
}
_SUBMISSION = _CALL | {
    # "Not here", so nothing was taken; following would carry the key elsewhere.
    301: Code.ENDPOINT,
    307: Code.ENDPOINT,
    308: Code.ENDPOINT,
    400: Code.BAD_REQUEST,
    404: Code.ENDPOINT,
    405: Code.ENDPOINT,
    408: Code.SERVER_ERROR,
    409: Code.BUSY,
    413: Code.TOO_LARGE,
    415: Code.UNSUPPORTED,
    421: Code.ENDPOINT,  # our own server under a name that it does not know as its own
    422: Code.UNPROCESSABLE,
    425: Code.BUSY,
}
_QUESTION = _CALL | {
    404: Code.JOB_MISSING,
    408: Code.SERVER_ERROR,
    410: Code.JOB_MISSING,
    421: Code.SERVER_ERROR,  # the jobs are there, and so they are once it knows its name again
}
# A storage host never sees the key. Hosts differ in their status for an address that has expired.
_STEM = {
    400: Code.URL_EXPIRED,
    401: Code.URL_EXPIRED,
    403: Code.URL_EXPIRED,
    404: Code.URL_EXPIRED,
    408: Code.SERVER_ERROR,
    410: Code.URL_EXPIRED,
    429: Code.RATE_LIMITED,
}
_UPLOAD = {413: Code.TOO_LARGE, 429: Code.RATE_LIMITED}
# Statuses of a gateway that passed the request on and got no usable answer from the origin.
# The origin may have taken the song all the same. 520, 522 and 524 are Cloudflare's.
NO_ANSWER = frozenset({502, 504, 520, 522, 524})
# Wire B's error codes, which say more than the status.
NAMED = {
    "FILE_TOO_LARGE": Code.TOO_LARGE,
    "AUDIO_TOO_LONG": Code.TOO_LONG,
    "AUDIO_TOO_SHORT": Code.TOO_SHORT,
    "UNSUPPORTED_FORMAT": Code.UNSUPPORTED,
}


def of_submission(status: int, *, body_sent: bool) -> Code:
    """Of a status that names no job. SUBMISSION_UNCONFIRMED: it may have been taken.

    `body_sent`: the last bytes went out; without them nobody can have taken the song.
    """
    if status in NO_ANSWER and body_sent:
        return Code.SUBMISSION_UNCONFIRMED
    if 300 <= status < 400 and not body_sent:  # a 302 or 303 may say "done, look there"
        return Code.ENDPOINT
    return _SUBMISSION.get(status) or _class(status, Code.SUBMISSION_UNCONFIRMED, Code.REFUSED)


def of_question(status: int) -> Code:
    """Of a poll or another question to the API, where it is no readable 200."""
    if 300 <= status < 400:
        return Code.REDIRECTED
    return _QUESTION.get(status) or _class(status, Code.BAD_ANSWER)


def of_stem(status: int) -> Code:
    """Of a storage host that was asked for a stem, where it is no 200."""
    return _STEM.get(status) or _class(status, Code.BAD_ANSWER)


def of_upload(status: int) -> Code:
    """Of a storage host that was sent a song, where it is no 2xx: nothing was submitted."""
    return _UPLOAD.get(status, Code.SERVER_ERROR)


def _class(status: int, other: Code, refused: Code | None = None) -> Code:
    """Of a status that has no row: by its first digit."""
    if status >= 500:
        return Code.SERVER_ERROR
    return refused if refused is not None and status >= 400 else other
