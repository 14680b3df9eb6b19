"""GET /api/nodes/NODE/code: what a node has loaded, from the archive of its host, beside what is on disk now.

What is shown are the files of the archive, by their names there, and what lies where each of these came from; no name
comes from the page. The archive is one of the folders that this console reads: what the network says of others is not
believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from guardian.client.records.archived import Archive, Commit
from guardian.client.records.differences import Difference, beside_disk, text_of
from guardian.console.console import Console
from guardian.console.elsewhere import claim_of, here, told
from guardian.console.problem import ProblemError
from guardian.core.names import check_name
from guardian.errors import ExpectedError
from guardian.host.places import ARCHIVE

#: Loads that are listed; bytes of all files together, and of one difference, that are shown.
LOADS, MOST_BYTES, MOST_DIFF = 100, 4_000_000, 1_000_000


def routes(console: Console) -> list[BaseRoute]:
    """The one address."""

    async def code(request: Request) -> Response:
        node = request.path_params["node"]
        try:
            check_name(node)
        except ExpectedError as error:
            raise ProblemError(404, str(error)) from None
        found_here = await console.desk.read(request, lambda _: here(console, ()))
        running, changed, folders, why = await _where(console, node, found_here.folders)
        if why:
            return JSONResponse(_nothing(node, running, changed, why))
        found = await console.desk.read(request, lambda _: _read(node, running, folders))
        return JSONResponse({**found, "code_changed": changed})

    return [Route("/api/nodes/{node}/code", code)]


async def _where(console: Console, node: str, called: Mapping[Path, Path]) -> tuple[str, bool | None, list[Path], str]:
    """ARCHIVE_ID and CODE_CHANGED of a node, in which of the folders its archive may be, and why it is in none."""
    claim = await claim_of(console, node)
    if claim is None:
        return "", None, list(dict.fromkeys(called.values())), ""
    running, changed = await asyncio.gather(*(_row(console, node, row) for row in ("ARCHIVE_ID", "CODE_CHANGED")))
    where = console.board.cells[node].facts.where.rpartition(":")[0]
    why = told(claim, node, where, called)
    if not why and not running:
        why = (
            f"the code that {node} runs is not archived: not yet, or its host cannot (`guardctrl hosts` says what is "
            "wrong), or may not ([archive] in its site file)"
        )
    return running, changed in ("1", "True"), [] if why else [called[Path(claim.dir)]], why


async def _row(console: Console, node: str, row: str) -> str:
    try:
        return await console.watch.read(console.names.pv(node, row))
    except ExpectedError:
        return ""


def _nothing(node: str, running: str, changed: bool | None, why: str) -> dict[str, Any]:
    return {
        "node": node, "files": [], "archive_id": running, "load": None, "code_changed": changed, "loads": [],
        "says": [why],
    }  # fmt: skip


def _read(node: str, running: str, folders: list[Path]) -> dict[str, Any]:
    said: list[str] = []
    archives = []
    for folder in folders:
        archive = Archive(folder / ARCHIVE, node)
        try:
            if archive.has_node():
                archives.append((archive, archive.commit(running)))
        except ExpectedError as error:
            said.append(str(error))
    if not archives:
        why = f"nothing of {node} is archived in the folders of hosts on this machine"
        return _nothing(node, running, None, "; ".join(said) or why)
    archive, commit = max(archives, key=lambda one: one[1].at)
    if not running:
        said.append(f"{node} does not say what it runs now: this is what it has loaded last, as far as is known here")
    try:
        return {
            "node": node,
            "archive_id": commit.short,
            "load": commit.facts(),
            "files": _files(archive, commit, said),
            "loads": [one.facts() for one in archive.log(LOADS)],
            "says": said,
        }
    except ExpectedError as error:
        return _nothing(node, running, None, str(error))


def _files(archive: Archive, commit: Commit, said: list[str]) -> list[dict[str, Any]]:
    """Each file as it was loaded, and how it is otherwise on disk."""
    loaded = archive.files(commit)
    try:
        otherwise = {one.name: one for one in beside_disk(archive, commit)}
    except ExpectedError as error:
        said.append(f"what is on disk cannot be compared: {error}")
        otherwise = {}
    left, files = MOST_BYTES, []
    for name, (path, content) in loaded.items():
        left -= len(content)
        text = content.decode("utf-8", "backslashreplace") if left >= 0 else None
        files.append({"name": name, "path": path, "loaded": text, **_diff(otherwise.pop(name, None), commit)})
    files += [{"name": name, "path": one.path, "loaded": None, **_diff(one, commit)} for name, one in otherwise.items()]
    if left < 0:
        said.append(f"this is much code: only the first {MOST_BYTES} bytes are shown; guardutil shows the rest")
    return files


def _diff(one: Difference | None, commit: Commit) -> dict[str, Any]:
    if one is None:
        return {"differs": False, "how": "same", "diff": []}
    text = "" if one.unknown else text_of([one], [commit.short, "now"])
    lines = text[:MOST_DIFF].splitlines() + ["... and more"] * (len(text) > MOST_DIFF)
    return {"differs": True, "how": one.how, "diff": lines}
