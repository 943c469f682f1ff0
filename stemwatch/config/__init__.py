"""Configuration: a YAML file in, frozen and checked settings out; every fault at once."""

from stemwatch.config.changes import LIVE, merged
from stemwatch.config.example import example_text, write_example
from stemwatch.config.folders import folder_faults, make_folders, try_folder, try_folders
from stemwatch.config.load import Reading, candidates, defaults, find, load, load_partly, not_found
from stemwatch.config.settings import (
    Api,
    Budget,
    Folders,
    Inbox,
    Log,
    Notify,
    Separation,
    Settings,
    Watch,
    Web,
)

__all__ = [
    "LIVE",
    "Api",
    "Budget",
    "Folders",
    "Inbox",
    "Log",
    "Notify",
    "Reading",
    "Separation",
    "Settings",
    "Watch",
    "Web",
    "candidates",
    "defaults",
    "example_text",
    "find",
    "folder_faults",
    "load",
    "load_partly",
    "make_folders",
    "merged",
    "not_found",
    "try_folder",
    "try_folders",
    "write_example",
]
