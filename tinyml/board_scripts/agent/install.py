"""Bundles that are installed on the board: each is there whole, and the one in use changes at once.

~/.tinyml/bundles/NAME/DIGEST/    a version, by the first digits of its digest
~/.tinyml/bundles/NAME/current    points at the version in use
~/.tinyml/bundles/NAME/previous   points at the one before it, for ``rollback``
"""

from __future__ import annotations

import json
import os
import zipfile
from typing import Any

from tinyml.board_scripts.agent.errors import AgentError
from tinyml.board_scripts.agent.files import sha256
from tinyml.board_scripts.agent.places import draft_of, place, point, remove, target_of
from tinyml.board_scripts.agent.service import service_of

BUNDLES, CURRENT, PREVIOUS, MANIFEST = "bundles", "current", "previous", "manifest.json"
DIGITS = 16


def install(name: str, digest: str, archive: str) -> dict[str, Any]:
    """Unpack ``archive``, check each file, and use it; the version before it is kept.

    An empty ``archive``: only if the version is there already; an empty ``folder`` shows that it
    is not.
    """
    version = digest[:DIGITS]
    folder = place(BUNDLES, name, version)
    if archive:
        remove(folder)
        with draft_of(folder) as draft:
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(draft)
            changed = changed_file(draft, digest)
            if changed:
                raise AgentError("{} is not the file that was sent".format(changed), "try again")
    elif changed_file(folder, digest):
        return {"folder": "", "bundle": bundle(name)}
    used = target_of(place(BUNDLES, name, CURRENT))
    if used != version:
        if used:
            point(place(BUNDLES, name, PREVIOUS), used)
        point(place(BUNDLES, name, CURRENT), version)
    kept = {version, target_of(place(BUNDLES, name, PREVIOUS)), CURRENT, PREVIOUS}
    for other in os.listdir(place(BUNDLES, name)):
        if other not in kept:
            remove(place(BUNDLES, name, other))
    return used_now(name)


def used_now(name: str) -> dict[str, Any]:
    """Where the version in use is, and the unit that is to start anew with it, if there is one."""
    folder = place(BUNDLES, name, CURRENT)
    return {"folder": folder, "bundle": bundle(name), "service": service_of(name)}


def changed_file(folder: str, digest: str) -> str:
    """The first file that is not that of the bundle with ``digest``; empty: all are."""
    if hash_of(folder, MANIFEST) != digest:
        return MANIFEST
    with open(os.path.join(folder, MANIFEST), encoding="utf-8") as stream:
        files = json.load(stream)["files"]
    wrong = [name for name in files if hash_of(folder, name) != files[name]["sha256"]]
    return wrong[0] if wrong else ""


def hash_of(folder: str, name: str) -> str:
    path = os.path.join(folder, name)
    return sha256(path) if os.path.isfile(path) else ""


def rollback(name: str) -> dict[str, Any]:
    """Use the previous version; the one that was in use is the previous one then."""
    used, before = (target_of(place(BUNDLES, name, link)) for link in (CURRENT, PREVIOUS))
    if not used:
        raise AgentError("{} is not installed".format(name), installed_hint())
    if not before or not os.path.isdir(place(BUNDLES, name, before)):
        raise AgentError("{} has no previous version".format(name), "install another version first")
    point(place(BUNDLES, name, CURRENT), before)
    point(place(BUNDLES, name, PREVIOUS), used)
    return used_now(name)


def bundles() -> dict[str, Any]:
    """Every bundle that is installed."""
    folder = place(BUNDLES)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return {"bundles": [bundle(name) for name in names if target_of(place(BUNDLES, name, CURRENT))]}


def bundle(name: str) -> dict[str, Any]:
    used = target_of(place(BUNDLES, name, CURRENT))
    folder = place(BUNDLES, name, used)
    paths = [os.path.join(at, own) for at, _, names in os.walk(folder) for own in names]
    return {
        "name": name,
        "current": used,
        "previous": target_of(place(BUNDLES, name, PREVIOUS)),
        "bytes": sum(map(os.path.getsize, paths)),
        "installed_s": os.path.getmtime(folder) if os.path.isdir(folder) else None,
    }


def installed_hint() -> str:
    names = [own["name"] for own in bundles()["bundles"]]
    return "installed: " + ", ".join(names) if names else "no bundle is installed on the board"
