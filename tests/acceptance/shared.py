"""One service for two people, with an inbox each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.acceptance.harness import Home
from tests.support.scenario.server import ScenarioServer

QUICK = {"settle_seconds": 0.05}  # the songs are written in one go
NAMES = ("inbox", "outbox", "quarantine", "archive")


class Shared:
    """One service for two people; `home` has its state, `dj` and `karaoke` their folders."""

    def __init__(self, root: Path, server: ScenarioServer, **sections: Any) -> None:
        self.home = Home(root, server.url)
        self.dj, self.karaoke = (self._of(root / name) for name in ("dj", "karaoke"))
        self._url = server.url
        self.configure(**sections)

    def _of(self, root: Path) -> Home:
        one = object.__new__(Home)  # only the folders: both are in one configuration
        one.root = root
        one.inbox, one.outbox = root / "inbox", root / "outbox"
        one.quarantine, one.archive = root / "quarantine", root / "archive"
        one.inbox.mkdir(parents=True, exist_ok=True)
        return one

    def configure(
        self, dj: Any = None, karaoke: Any = None, short: str | None = None, **sections: Any
    ) -> None:
        """`short`: the short form with the folders of that one."""
        each = {"dj": dj or {}, "karaoke": karaoke or {}}
        for name, said in each.items():
            said["folders"] = {n: f"{name}/{n}" for n in NAMES} | said.get("folders", {})
        content = {"watch": QUICK, **sections}
        self.home.configure(self._url, **content)
        text = self.home.config.read_text()
        whole = json.loads(json.dumps(yaml.safe_load(text)))
        if short is None:
            del whole["folders"]
            whole["inboxes"] = each
        else:
            whole["folders"] = {n: f"{short}/{n}" for n in NAMES}
        self.home.config.write_text(json.dumps(whole))  # JSON is YAML

    def take_out(self, name: str) -> None:
        """Write the configuration without this inbox."""
        whole = json.loads(self.home.config.read_text())
        del whole["inboxes"][name]
        self.home.config.write_text(json.dumps(whole))

    def status(self) -> dict[str, Any]:
        asked = self.home.command("status", "--json", "-c", str(self.home.config))
        assert asked.returncode == 0, asked.stderr
        found: dict[str, Any] = json.loads(asked.stdout)
        return found
