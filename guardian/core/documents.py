"""The JSON documents among a node's PVs: what they hold, and how they are read back. Pure.

SUMMARY and SUBNODES are read by managers, GRAPH by whoever plans or draws, SPM_SETPOINTS and SPM_DIFFS by
``guardutil setpoints``, DURATIONS by ``guardctrl request``; all of them by consoles.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from guardian.core import explain
from guardian.core.durations import StateTimes
from guardian.core.graph import Edge, Graph, StateInfo
from guardian.core.setpoints import Difference, Setpoint, shown_of
from guardian.core.texts import clip
from guardian.core.threads import Seen
from guardian.core.view import View

_encode = msgspec.json.Encoder().encode

#: What DURATIONS tells of the completions of a state.
_TIMES = ("count", "usual", "p90", "most", "last")
#: Bytes of the PVs that hold them.
SUMMARY_BYTES = 8_000
SUBNODES_BYTES = 65_536
SETPOINTS_BYTES = 262_144
DIFFERENCES_BYTES = 65_536
THREADS_BYTES = 65_536
DURATIONS_BYTES = 262_144
#: Of WHY in SUMMARY: what a manager shows of its subordinates.
WHY_BYTES = 300
#: Of USERMSG in SUMMARY: what a manager passes on.
SAYS_BYTES = 200
#: Lost channels that SUMMARY names; CONNECT_S has as many as fit.
SUMMARY_CHANNELS = 20


def as_json(value: Any) -> str:
    """In one line, without spaces. A number that is none is null; half of a surrogate pair is escaped."""
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), default=asdict)


def summary(view: View) -> dict[str, Any]:
    """SUMMARY: one consistent moment, what managers and consoles read."""
    return {
        "id": view.event_id,
        "stamp": round(view.stamp, 6),
        "request": view.request,
        "request_id": view.request_id,
        "by": view.request_by,
        "cmd": view.request_cmd,
        "state": view.state,
        "since": round(view.state_time, 3),
        "target": view.target,
        "status": view.status.name,
        "stalled": view.stalled,
        "op": view.op.name,
        "mode": view.mode.name,
        "manager": view.manager,
        "worker": view.worker.name,
        "load": view.load_status.name,
        "states": len(view.graph.states) if view.graph is not None else 0,
        "nominal": view.nominal or "",
        "error": view.error.name,
        "connect": list(view.missing[:SUMMARY_CHANNELS]),
        "notification": bool(view.notifications),
        "says": clip("; ".join(view.notifications), SAYS_BYTES),
        "ok": explain.is_ok(view),
        "severity": explain.severity(view).name,
        "why": clip(explain.why_not_ok(view), WHY_BYTES),
    }


def graph_facts(graph: Graph | None) -> dict[str, Any]:
    """GRAPH: states with their flags, and the declared edges (implied ones follow from ``goto``, R19).

    ``watchdog`` stands where a state says its own.
    """
    if graph is None:
        return {"states": [], "edges": []}
    return {
        "states": [
            {
                "name": s.name,
                "index": s.index,
                "request": s.request,
                "goto": s.goto,
                "redirect": s.redirect,
                "doc": s.doc,
                **({} if s.watchdog_s is None else {"watchdog": s.watchdog_s}),
            }
            for s in graph.states.values()
        ],
        "edges": [[e.start, e.end, e.weight] for e in graph.edges if not e.implied],
    }


def read_graph(facts: Any) -> Graph:
    """The graph that GRAPH told of: :func:`graph_facts` backwards.

    Raises
    ------
    GraphError, ValueError
        It is no graph; of another program, or of a node whose code is not loaded yet.
    """
    try:
        states = [
            StateInfo(
                name=s["name"],
                index=s["index"],
                request=s["request"],
                goto=s["goto"],
                redirect=s["redirect"],
                watchdog_s=s.get("watchdog"),
                doc=s["doc"],
            )
            for s in facts["states"]
        ]
        edges = [Edge(start=start, end=end, weight=weight) for start, end, weight in facts["edges"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"it is no graph: {error!r}") from None
    return Graph.build(states, edges)


def graph_told(text: str) -> Graph | None:
    """The graph in GRAPH; None where it tells of none: an original Guardian's, or its code is not loaded yet.

    Raises
    ------
    GraphError, ValueError
        It is no graph: it was cut, or is of another program.
    """
    if not text:
        return None
    try:
        facts = json.loads(text)
        has_states = bool(facts["states"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"it is no graph: {error!r}") from None
    return read_graph(facts) if has_states else None


def subnodes(v: View) -> str:
    """SUBNODES: with all the reasons if they fit; a manager of hundreds that are all in trouble tells which are.

    A thousand do not fit even so: as many as do, those in trouble first; SUBNODES_TOTAL counts all.
    """
    told = as_json(v.subnodes)
    if len(told.encode()) <= SUBNODES_BYTES:
        return told
    bare = [asdict(one) | {"why": ""} for one in sorted(v.subnodes, key=lambda one: one.ok)]
    while (size := len((told := as_json(bare)).encode())) > SUBNODES_BYTES:
        del bare[len(bare) * SUBNODES_BYTES // size :]
    return told


def setpoints(points: Iterable[Setpoint]) -> str:
    """SPM_SETPOINTS: what was set, by channel; as many as fit, and how many were left off."""
    rows = [
        {"channel": point.channel, "set": shown_of(point), "at": round(point.at, 3)}
        for point in sorted(points, key=lambda point: point.channel)
    ]
    return _as_many_as_fit("setpoints", rows, len(rows), SETPOINTS_BYTES)


def differences(count: int, first: Iterable[Difference]) -> str:
    """SPM_DIFFS: what is not as it was set; as many as fit, and how many were left off of `count`."""
    rows = [
        {
            "channel": one.channel,
            "set": one.set,
            "is": one.now,
            "since": round(one.since, 3),
            "at": round(one.at, 3),
        }
        for one in sorted(first, key=lambda one: one.channel)
    ]
    return _as_many_as_fit("changed", rows, count, DIFFERENCES_BYTES)


def threads(seen: Iterable[Seen]) -> str:
    """THREADS: the watched threads of a process, late ones first; as many as fit, and how many were left off."""
    rows = [
        {
            "name": one.thread.name,
            "kind": one.thread.kind,
            "period": one.thread.period_s,
            "age": round(one.age_s, 2),
            "state": one.state,
            "recovery": one.thread.recovery.value,
            "restarts": one.thread.restarts,
        }
        for one in sorted(seen, key=lambda one: (not one.late, one.thread.name))
    ]
    return _as_many_as_fit("threads", rows, len(rows), THREADS_BYTES)


def durations(times: Mapping[str, StateTimes]) -> str:
    """DURATIONS: how long each state takes, in seconds; as many as fit, and how many were left off."""
    rows = [
        {
            "state": state,
            "done": {
                "count": one.done.count,
                "usual": one.done.usual_s,
                "p90": one.done.p90_s,
                "most": one.done.most_s,
                "last": one.done.last_s,
            },
            "stay": {
                "count": one.stay.count,
                "total": one.stay.total_s,
                "usual": one.stay.usual_s,
                "p90": one.stay.p90_s,
                "last": one.stay.last_s,
            },
        }
        for state, one in sorted(times.items())
    ]
    return _as_many_as_fit("states", rows, len(rows), DURATIONS_BYTES)


def read_durations(text: str) -> dict[str, tuple[float, float]]:
    """Of each state in DURATIONS that has ever completed: what that usually takes, and the longest lately; seconds.

    Raises
    ------
    ValueError
        It is no such document; of another program.
    """
    return {state: (done["usual"], done["most"]) for state, done in read_times(text).items()}


def read_times(text: str) -> dict[str, dict[str, float]]:
    """The same with all that is told: ``count``, and in seconds ``usual``, ``p90``, ``most``, ``last``.

    Raises
    ------
    ValueError
        It is no such document; of another program.
    """
    try:
        told = [(row["state"], row["done"]) for row in json.loads(text)["states"]]
        return {str(state): {name: float(done[name]) for name in _TIMES} for state, done in told if done["count"] > 0}
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no durations: {error!r}") from None


def _as_many_as_fit(name: str, rows: list[dict[str, Any]], count: int, size: int) -> str:
    while True:
        told = as_json({name: rows, "left_off": count - len(rows)})
        length = len(told.encode(errors="replace"))
        if length <= size or not rows:
            return told
        del rows[min(len(rows) * size // length, len(rows) - 1) :]


def read_rows(text: str, name: str) -> tuple[list[dict[str, Any]], int]:
    """The rows of SPM_SETPOINTS ("setpoints") or SPM_DIFFS ("changed"), and how many were left off.

    Raises
    ------
    ValueError
        It is no such document; of another program.
    """
    try:
        told = json.loads(text)
        rows, left = told[name], int(told["left_off"])
        return [{**row, "channel": str(row["channel"])} for row in rows], left
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no {name}: {error!r}") from None
