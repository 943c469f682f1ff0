"""A YAML file as plain data with the line of each key; a duplicate key is a fault."""

from __future__ import annotations

import errno
import os
import shlex
from dataclasses import dataclass, field
from typing import Any

import yaml

from stemwatch.errors import ConfigFault
from stemwatch.private_file import opening

MAX_BYTES = 1 << 20
Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One sentence about one key; `key` is empty where it is about the whole file.

    `meant` is the section that an unknown key was probably meant for.
    """

    key: Key
    text: str
    line: int | None = None
    meant: str | None = None

    @property
    def section(self) -> str | None:
        """The section whose values are not what the file means; None: all of them."""
        return self.meant or (str(self.key[0]) if self.key else None)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file; `lines` counts from 1. Keys that have `faults` are left out of `data`."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def mend_hint(path: str) -> str:
    """What to do about the faults of the file at `path`."""
    try:
        found = path == os.path.abspath("stemwatch.yaml")  # there `check` sees it by itself
    except OSError:  # the current folder was deleted
        found = False
    option = "" if found else f" -c {shlex.quote(path)}"
    return f"Mend {path}, then run `stemwatch check{option}`."


def read(path: str) -> Document:
    """Read and parse `path`; an empty file is an empty mapping. Raises ConfigFault."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        told = f"{path}: can't be read by uid {os.geteuid()}, gid {os.getegid()}: {error.strerror}."
        write = "`stemwatch init PATH` writes a commented configuration."
        hint = opening(path) if error.errno == errno.EACCES else write
        raise ConfigFault(told, hint=hint) from None
    mend = mend_hint(path)
    if len(raw) > MAX_BYTES:
        raise ConfigFault(f"{path}: is larger than {MAX_BYTES} bytes; this is no configuration.")
    try:
        return parse(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigFault(f"{path}:{line}: is not UTF-8 text.", hint=mend) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise ConfigFault(f"{where}: is not YAML: {error.problem}.", hint=mend) from None
    except yaml.YAMLError as error:
        raise ConfigFault(
            f"{path}: is not YAML: {str(error).splitlines()[0]}.", hint=mend
        ) from None
    except RecursionError:
        raise ConfigFault(f"{path}: is nested too deeply.") from None
    except ValueError as error:  # dates and numbers such as 2026-13-01 or 0x
        raise ConfigFault(f"{path}: has a value that YAML can't read: {error}.") from None
    except (LookupError, AttributeError):  # PyYAML's own answers to `!!bool x`, `!!timestamp x`
        raise ConfigFault(f"{path}: has a value that is not what its tag (!!) says.") from None


def parse(text: str) -> Document:
    """Parse one YAML document whose top level is a mapping (or nothing)."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Document()
        if not isinstance(root, yaml.MappingNode):
            found = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
            fault = Fault((), f"the file must be keys with values; found {found}", 1)
            return Document(faults=[fault])
        lines: dict[Key, int] = {}
        faults: list[Fault] = []
        _walk(loader, root, (), lines, faults, set())
        data = loader.construct_document(root)
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        return Document(faults=[Fault((), "the file must be keys with values", 1)])
    return Document(data, lines, faults)


def _walk(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    at: Key,
    lines: dict[Key, int],
    faults: list[Fault],
    seen: set[int],
) -> None:
    """Note each key's line; take out keys that are not text or are given twice."""
    if id(node) in seen:  # an alias: walking it again could take for ever
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*at, index)] = item.start_mark.line + 1
            _walk(loader, item, (*at, index), lines, faults, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    kept = []
    for name, value in node.value:
        line = name.start_mark.line + 1
        if name.tag == "tag:yaml.org,2002:merge":
            kept.append((name, value))
            _walk(loader, value, at, {}, faults, seen)
            continue
        if name.tag != "tag:yaml.org,2002:str" or not isinstance(name, yaml.ScalarNode):
            shown = str(name.value) if isinstance(name, yaml.ScalarNode) else "?"
            faults.append(Fault((*at, shown), "a key must be text; put quotes round it", line))
            continue
        key = (*at, name.value)
        if key in lines:
            faults.append(Fault(key, f"is given twice (first in line {lines[key]})", line))
            continue
        lines[key] = line
        kept.append((name, value))
        _walk(loader, value, key, lines, faults, seen)
    node.value = kept
