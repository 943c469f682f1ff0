"""Answers checked against StemSplit's OpenAPI document.

`stemsplit_openapi.json` is the structure of the document that StemSplit publishes at
https://stemsplit.io/api/v1/openapi, version 1.0.0: paths, parameters, schemas and headers, without
its descriptions and examples.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker

PREFIX = "/api/v1"
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _sharpened(schema: Any) -> Any:
    """The document requires next to nothing, so that `{}` would pass: here, all that it names.

    It says `nullable`, which its own version of OpenAPI doesn't know any more: taken by its word.
    """
    if isinstance(schema, list):
        return [_sharpened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    sharp = {key: _sharpened(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        sharp["required"] = sorted(schema["properties"])
    if schema.get("nullable") is True:
        sharp["type"] = [schema["type"], "null"]
    return sharp


DOCUMENT: dict[str, Any] = _sharpened(
    json.loads(Path(__file__).with_name("stemsplit_openapi.json").read_text(encoding="utf-8"))
)


def validate(name: str, value: Any) -> None:
    """Fail unless the value is what the document calls by this name, such as `WebhookPayload`."""
    _validate({"$ref": f"#/components/schemas/{name}"}, value)


def check(answer: httpx.Response) -> None:
    """Fail unless the answer of the presigned wire is as documented.

    An error of a kind or a place that the document doesn't name must have the form of its errors.
    """
    answer.read()
    if not answer.request.url.path.startswith(f"{PREFIX}/"):
        return  # a stem, or the other wire
    if "/uploads/" in answer.request.url.path and answer.is_success:
        return  # the storage's, not the API's
    documented = _documented(answer)
    if documented is None:
        assert answer.is_error, f"not documented: {answer.request.method} {answer.url.path}"
        validate("ErrorResponse", answer.json())
        return
    _validate(documented["content"]["application/json"]["schema"], answer.json())
    if answer.status_code == 429:
        assert answer.headers["Retry-After"].isdecimal()
        for name in documented["headers"]:  # there are none of a rate where too many jobs wait
            assert answer.headers.get(name, "0").isdecimal()


def _documented(answer: httpx.Response) -> dict[str, Any] | None:
    path = answer.request.url.path.removeprefix(PREFIX)
    for template, methods in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            responses = methods.get(answer.request.method.lower(), {}).get("responses", {})
            found: dict[str, Any] | None = responses.get(str(answer.status_code))
            if found is not None and "$ref" in found:
                found = DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]]
            return found
    return None


def _validate(schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=_FORMATS).validate(value)
