"""Find the configuration file, read it, and give settings or every fault at once."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from stemwatch.config.cross import cross_faults
from stemwatch.config.document import Document, Fault, Key, mend_hint, read
from stemwatch.config.faults import dotted
from stemwatch.config.inherit import Inherited, fill_up
from stemwatch.config.paths import PATIENCE, absolute, home_of, resolve
from stemwatch.config.settings import BASES, Named, Settings
from stemwatch.config.values import read as read_values
from stemwatch.errors import ConfigFault

Env = Mapping[str, str]
# A heading whose keys are all commented out means "the defaults".
_SECTIONS = [
    one.name for one in fields(Settings) if isinstance(one.metadata.get("shape"), type | Named)
]
_EITHER = (
    "can't stand beside inboxes, which have folders of their own; move it to inboxes.NAME.folders"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a file.

    `settings` have defaults where a key is faulty; `fault` tells of all of them, None: there are
    none. What is in `doubtful` sections is not what the file means, and must not be acted on.
    `lines` (from 1) are those of the file's own keys, but for a `state_dir` of null: then the
    environment decides.
    """

    settings: Settings
    fault: ConfigFault | None
    doubtful: frozenset[str]
    lines: Mapping[Key, int]


def candidates(env: Env, cwd: str) -> list[str]:
    """Where a configuration is looked for, in order, when none is named."""
    places = [os.path.join(cwd, "stemwatch.yaml")]
    xdg = env.get("XDG_CONFIG_HOME", "")
    home = home_of(env)
    if os.path.isabs(xdg):
        places.append(os.path.join(xdg, "stemwatch", "config.yaml"))
    elif home:
        places.append(os.path.join(home, ".config", "stemwatch", "config.yaml"))
    return [*places, "/etc/stemwatch/config.yaml"]


def find(explicit: str | None, env: Env, cwd: str) -> str | None:
    """The configuration file to use, absolute; None: there is none.

    A file that was named (`--config`, `$STEMWATCH_CONFIG`) is taken even if it does not exist, so
    that a slip of the pen never falls through to another file's folders.
    """
    named = explicit or env.get("STEMWATCH_CONFIG")
    if named:
        return absolute(named, base=cwd, env=env) or named
    return next((path for path in candidates(env, cwd) if os.path.isfile(path)), None)


def not_found(env: Env, cwd: str) -> ConfigFault:
    """The fault for commands that can't do without a configuration."""
    return ConfigFault(
        f"No configuration: looked for {', '.join(candidates(env, cwd))}.",
        hint="`stemwatch init` writes one; --config FILE or $STEMWATCH_CONFIG names another.",
    )


def load(path: str, *, env: Env, local: bool = False, patience: float = PATIENCE) -> Settings:
    """Settings of the file at `path`; `local` puts this machine in the API's place.

    `patience`: seconds for the folders' disks to tell where symbolic links lead.
    Raises ConfigFault with one sentence for each fault, each with its file, line and key.
    """
    found = load_partly(path, env=env, local=local, patience=patience)
    if found.fault is not None:
        raise found.fault
    return found.settings


def load_partly(
    path: str | None, *, env: Env, local: bool = False, patience: float = PATIENCE
) -> Reading:
    """What can be read of the file at `path`; ConfigFault where that is nothing.

    None: there is no file, and all of it is defaults. `patience`: see `load`.
    """
    document = Document()
    if path is not None:
        path = os.path.abspath(path)
        document = read(path)
    return _build(document, path, env=env, local=local, patience=patience)


def defaults(*, env: Env, local: bool = False) -> Settings:
    """Settings without a file, for `split` and `estimate`. Raises ConfigFault: there is no home."""
    found = load_partly(None, env=env, local=local)
    if found.fault is not None:
        raise found.fault
    return found.settings


def _build(
    document: Document, source: str | None, *, env: Env, local: bool, patience: float
) -> Reading:
    raw, inherited = _prepare(document.data, local=local)
    settings, found = read_values(raw)
    # A fault in an inherited value is reported once, at the key that it comes from.
    faults = [fault for fault in found if fault.key not in inherited]
    settings, unresolved = resolve(replace(settings, source=source), env=env)
    wrong = {fault.key for fault in (*found, *unresolved)}
    if raw.get("folders") and raw.get("inboxes"):
        faults.append(Fault(("folders",), _EITHER))
    faults += [*document.faults, *unresolved]
    for keys, text in cross_faults(settings, patience):
        doubtful = any(bad[: len(key)] == key for bad in wrong for key in keys)
        if keys[0] not in inherited and not doubtful:
            faults.append(Fault(keys[0], text))
    lines = dict(document.lines)
    if document.data.get("state_dir") is None:
        lines.pop(("state_dir",), None)
    if not faults:
        return Reading(settings, None, frozenset(), lines)
    told = ConfigFault(
        *_sentences(faults, document, source), hint=mend_hint(source) if source else ""
    )
    sections = {fault.section for fault in faults}
    if None in sections:  # no mapping at all
        raise told
    known = frozenset(section for section in sections if section)
    return Reading(settings, told, known, lines)


def _prepare(data: dict[str, Any], *, local: bool) -> tuple[dict[str, Any], Inherited]:
    """Return the raw values with inherited keys filled in, and which keys those are."""
    raw: dict[str, Any] = copy.deepcopy(data)
    for name in _SECTIONS:
        if name in raw and raw[name] is None:
            raw[name] = {}
    if raw.get("state_dir", "") is None:
        del raw["state_dir"]
    if local and isinstance(raw.setdefault("api", {}), dict):
        raw["api"]["base_url"] = "local"
    api = raw.get("api")
    wire = api.get("wire") if isinstance(api, dict) else None
    if isinstance(wire, str) and wire in BASES:  # a list can't be looked up, and is told of later
        raw["api"].setdefault("base_url", BASES[wire])
    return raw, fill_up(raw)


def _sentences(faults: list[Fault], document: Document, source: str | None) -> list[str]:
    def line(fault: Fault) -> int:
        if fault.line is not None:
            return fault.line
        lengths = range(len(fault.key), 0, -1)
        return next(
            (document.lines[k] for n in lengths if (k := fault.key[:n]) in document.lines), 0
        )

    sentences = []
    for fault in sorted(faults, key=line):
        where = f"{source}:{line(fault)}: " if line(fault) else f"{source}: " if source else ""
        name = f"{dotted(fault.key)}: " if fault.key else ""
        end = "" if fault.text.endswith("?") else "."
        sentences.append(f"{where}{name}{fault.text}{end}")
    return list(dict.fromkeys(sentences))
