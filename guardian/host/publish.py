"""From a step of the automaton to the PVs that change: the table, evaluated and compared.

Only what differs from what was published last goes out, in the order of the table, which is the order the design
promises. Two rows are special: STATUS shows how a state was left before it shows the new one, and EVENT tells the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from guardian.core.events import Step
from guardian.core.graph import Graph
from guardian.core.interface import BY_NAME, EVENT, ROWS, Row, Source, Vitals
from guardian.core.texts import clip
from guardian.core.view import View
from guardian.enums import Severity
from guardian.host.face import Update

_STATUS = BY_NAME["STATUS"]
_SUMMARY = BY_NAME["SUMMARY"]
#: A row and what is asked of it with every step, at hand.
_Shown = tuple[Row, str, Callable[[Any], Any], Callable[[Any], Severity] | None, Callable[[Any], Any] | None]


def _rows(source: Source) -> tuple[_Shown, ...]:
    rows = (row for row in ROWS if row.source is source and row is not _SUMMARY)
    return tuple((row, row.name, row.value, row.alarm, row.of) for row in rows)


_VIEW_ROWS, _GRAPH_ROWS, _VITALS_ROWS = map(_rows, (Source.VIEW, Source.GRAPH, Source.VITALS))
_NOTHING: Any = object()
#: A text in EVENT is not cut to less than so many bytes.
_KEPT = 100


class Publisher:
    """Remembers what one node shows, and finds what has changed."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[Any, Severity]] = {}
        self._parts: dict[str, Any] = {}
        self._graph: Any = _NOTHING

    def first(self, view: View, vitals: Vitals) -> list[Update]:
        """A value for every row."""
        event = Update(EVENT, "{}", Severity.NO_ALARM)
        return [*self._of_view(view), *self._changed(_VITALS_ROWS, vitals, view), event]

    def step(self, step: Step) -> list[Update]:
        """What a step changes; EVENT and SUMMARY always, SUMMARY last."""
        left: list[Update] = []
        if step.via is not None:
            left = [Update(_STATUS, step.via, Severity.NO_ALARM)]
            self._shown[_STATUS.name] = (step.via, Severity.NO_ALARM)  # so that the view's own STATUS always follows
        *updates, last = self._of_view(step.view)
        return [*left, *updates, Update(EVENT, event_text(step), Severity.NO_ALARM), last]

    def vitals(self, vitals: Vitals, view: View) -> list[Update]:
        return self._changed(_VITALS_ROWS, vitals, view)

    def _of_view(self, view: View) -> list[Update]:
        updates = self._changed(_VIEW_ROWS, view, view)
        if view.graph is not self._graph:
            self._graph = view.graph
            updates += self._changed(_GRAPH_ROWS, view.graph, view)
        return [*updates, Update(_SUMMARY, _SUMMARY.value(view), Severity.NO_ALARM)]

    def _changed(self, rows: Iterable[_Shown], source: View | Graph | Vitals | None, view: View) -> list[Update]:
        updates, shown = [], self._shown
        for row, name, value, alarm, of in rows:
            if of is not None:
                part = of(source)
                if self._parts.get(name, _NOTHING) is part:
                    continue
                self._parts[name] = part
            new = (value(source), alarm(view) if alarm is not None else Severity.NO_ALARM)
            if shown.get(name) != new:
                shown[name] = new
                updates.append(Update(row, *new))
        return updates


def event_record(step: Step) -> dict[str, Any]:
    """EVENT, and what the journal keeps of a step (R23)."""
    view = step.view
    return {
        "id": view.event_id,
        "stamp": round(view.stamp, 6),
        "kind": step.kind,
        "text": step.text,
        "by": step.by,
        "via": step.via.name if step.via is not None else "",
        "state": view.state,
        "target": view.target,
        "status": view.status.name,
        "request": view.request,
        "op": view.op.name,
        "mode": view.mode.name,
        "worker": view.worker.name,
    }


def event_text(step: Step) -> str:
    """EVENT as JSON that fits its PV: a sentence that is too long is cut, the journal has it whole."""
    record = event_record(step)
    text: str = EVENT.value(record)
    for name in ("text", "by"):
        while len(text.encode()) > EVENT.size and len(record[name]) > _KEPT:
            record[name] = clip(record[name], max(_KEPT, len(record[name].encode()) // 2))
            text = EVENT.value(record)
    return text
