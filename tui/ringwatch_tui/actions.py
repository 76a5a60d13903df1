"""The one registry of what an operator can do: it feeds keys, key bar, palette, help and permissions.

An action that changes something says which role it needs. Nothing that changes a cluster happens on a
key alone: those keys are capitals, and they open a dialog.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

VIEWER: Final = "viewer"
OPERATOR: Final = "operator"
ROLES: Final = ("viewer", "operator", "approver", "admin")

_LISTS = ("overview", "jobs", "nodes", "incidents", "runbooks")
_FILTERED = ("jobs", "nodes", "incidents", "runbooks", "audit", "silences", "alerts")
_INCIDENT = ("overview", "incidents", "incident")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do. ``where`` empty means on every screen; ``weight`` orders the key bar, low first."""

    id: str
    key: str
    title: str
    help: str
    where: tuple[str, ...] = ()
    role: str = VIEWER
    weight: int = 50
    # Bound by the widget that has the focus; listed here for the key bar and the help.
    by_widget: bool = False
    # Of use while a picture of the past is shown: only then in the key bar.
    in_past: bool = False

    @property
    def changes(self) -> bool:
        """Say whether the action is written to the collector's log under the operator's name."""
        return self.role != VIEWER

    @property
    def shown_key(self) -> str:
        """Return the key as people read it."""
        return {
            "escape": "esc",
            "question_mark": "?",
            "colon": ":",
            "semicolon": ";",
            "slash": "/",
            "comma": ",",
            "full_stop": ".",
            "plus": "+",
            "minus": "-",
            "left_square_bracket": "[",
            "right_square_bracket": "]",
        }.get(self.key, self.key)

    def shown_on(self, screen: str) -> bool:
        """Say whether the action belongs to this screen."""
        return not self.where or screen in self.where


ACTIONS: Final[tuple[Action, ...]] = (
    Action(
        id="open",
        key="enter",
        title="open",
        help="open what is selected",
        where=(*_LISTS, "incident", "silences", "alerts"),
        weight=10,
        by_widget=True,
    ),
    Action(
        id="answer",
        key="enter",
        title="answer",
        help="answer the question of the open step",
        where=("run",),
        role=OPERATOR,
        weight=10,
        by_widget=True,
    ),
    Action(
        id="approve",
        key="A",
        title="approve",
        help="approve the open step; its target has to be typed",
        where=("run",),
        role=OPERATOR,
        weight=11,
    ),
    Action(
        id="dry_run",
        key="D",
        title="dry run",
        help="ask what the open step would do, changing nothing",
        where=("run",),
        role=OPERATOR,
        weight=12,
    ),
    Action(
        id="skip",
        key="s",
        title="skip",
        help="skip the open step, with the reason",
        where=("run",),
        role=OPERATOR,
        weight=13,
    ),
    Action(
        id="retry",
        key="t",
        title="retry",
        help="try the failed step again",
        where=("run",),
        role=OPERATOR,
        weight=14,
    ),
    Action(
        id="abort",
        key="X",
        title="abort",
        help="end the run; the word abort has to be typed",
        where=("run",),
        role=OPERATOR,
        weight=15,
    ),
    Action(
        id="acknowledge",
        key="a",
        title="ack",
        help="say that you see to the incident",
        where=_INCIDENT,
        role=OPERATOR,
        weight=20,
    ),
    Action(
        id="runbook",
        key="r",
        title="runbook",
        help="walk the runbook of the incident, or open its run",
        where=_INCIDENT,
        weight=21,
    ),
    Action(
        id="own",
        key="o",
        title="own",
        help="make the incident yours",
        where=_INCIDENT,
        role=OPERATOR,
        weight=22,
    ),
    Action(
        id="note",
        key="c",
        title="note",
        help="write a note on the incident",
        where=_INCIDENT,
        role=OPERATOR,
        weight=23,
    ),
    Action(
        id="silence",
        key="z",
        title="silence",
        help="silence the incident for a time, with the reason",
        where=_INCIDENT,
        role=OPERATOR,
        weight=24,
    ),
    Action(
        id="resolve",
        key="R",
        title="resolve",
        help="close the incident by hand, with the reason",
        where=_INCIDENT,
        role=OPERATOR,
        weight=25,
    ),
    Action(
        id="export",
        key="E",
        title="export",
        help="write the evidence of the incident to an archive in the folder the console was started in",
        where=_INCIDENT,
        weight=27,
    ),
    Action(id="gpu", key="u", title="GPU", help="open one GPU of the node", where=("node",), weight=25),
    Action(
        id="incident",
        key="i",
        title="incident",
        help="open the incident of what is shown",
        where=("run", "job", "node"),
        weight=26,
    ),
    Action(
        id="new_silence",
        key="S",
        title="hold back",
        help="hold back what matches, for a time, with the reason",
        where=("silences",),
        role=OPERATOR,
        weight=28,
    ),
    Action(
        id="end_silence",
        key="X",
        title="end",
        help="end the selected silence before its time, with the reason",
        where=("silences",),
        role=OPERATOR,
        weight=29,
    ),
    Action(
        id="span",
        key="t",
        title="span",
        help="let the trends go back 15 minutes, 1 h, 6 h, 24 h, or show the last minutes again",
        where=("node", "gpu"),
        weight=28,
    ),
    Action(
        id="metric",
        key="m",
        title="metric",
        help="change what the map's ramp shows",
        where=("overview",),
        weight=30,
    ),
    Action(
        id="grouping",
        key="b",
        title="by",
        help="part the map by rack, pod, job, or not at all",
        where=("overview",),
        weight=33,
    ),
    Action(
        id="zoom_in",
        key="plus",
        title="zoom",
        help="let a cell of the map stand for a GPU, then a node, then a group, then whatever fits",
        where=("overview",),
        weight=34,
    ),
    Action(
        id="zoom_out",
        key="minus",
        title="zoom back",
        help="the same the other way",
        where=("overview",),
        weight=71,
    ),
    Action(
        id="next_bad",
        key="n",
        title="next bad",
        help="go to the next cell of the map that is not ok",
        where=("overview",),
        weight=31,
    ),
    Action(
        id="previous_bad",
        key="N",
        title="previous bad",
        help="go to the previous cell that is not ok",
        where=("overview",),
        weight=70,
    ),
    Action(
        id="next_step",
        key="right_square_bracket",
        title="next",
        help="look at the next step",
        where=("run",),
        weight=40,
    ),
    Action(
        id="previous_step",
        key="left_square_bracket",
        title="previous",
        help="look at the previous step",
        where=("run",),
        weight=41,
    ),
    Action(
        id="filter",
        key="slash",
        title="filter",
        help="keep rows that match: word, field:word, !word, sev:>=warn",
        where=_FILTERED,
        weight=32,
    ),
    Action(
        id="mark",
        key="x",
        title="mark",
        help="mark the incident: ack, own, note and silence then act on all marked; esc takes the marks away",
        where=("overview", "incidents"),
        role=VIEWER,
        weight=26,
    ),
    Action(
        id="jump",
        key="f",
        title="jump",
        help="put a letter before each row in sight; pressing it selects the row",
        where=("overview", *_FILTERED),
        weight=54,
    ),
    Action(
        id="save_view",
        key="w",
        title="save view",
        help="keep the filter of this list under a name, on this machine",
        where=_FILTERED,
        weight=51,
    ),
    Action(
        id="views",
        key="V",
        title="views",
        help="use a filter that was saved",
        where=_FILTERED,
        weight=52,
    ),
    Action(
        id="copy",
        key="y",
        title="copy",
        help="put the selected object's id and its one-line summary on the clipboard, through the terminal",
        weight=53,
    ),
    Action(
        id="diagnose",
        key="d",
        title="diagnose",
        help="say what a log, a dump or a tool's output shows: give a path, or paste it",
        weight=79,
    ),
    Action(id="overview", key="1", title="Overview", help="the fleet, its incidents and its jobs", weight=60),
    Action(id="jobs", key="2", title="Jobs", help="training jobs", weight=61),
    Action(id="nodes", key="3", title="Nodes", help="nodes", weight=62),
    Action(id="incidents", key="4", title="Incidents", help="open and recent incidents", weight=63),
    Action(id="runbooks", key="5", title="Runbooks", help="every runbook, as written", weight=64),
    Action(id="audit", key="6", title="Audit", help="who did what, when and why", weight=65),
    Action(id="silences", key="7", title="Silences", help="what is held back, and until when", weight=66),
    Action(id="alerts", key="8", title="Alerts", help="what was told to whom, and what was not", weight=67),
    Action(
        id="settings",
        key="9",
        title="Settings",
        help="how this console was started, what is kept where",
        weight=68,
    ),
    Action(
        id="goto", key="colon", title="go to", help="go to a job, node, incident or run by name", weight=55
    ),
    Action(
        id="help",
        key="question_mark",
        title="help",
        help="the keys that work here; enter runs one",
        weight=56,
    ),
    Action(id="back", key="escape", title="back", help="back to where you came from; never quits", weight=57),
    Action(
        id="pause",
        key="p",
        title="pause",
        help="hold the picture; data keep coming and are counted",
        weight=71,
    ),
    Action(
        id="history",
        key="H",
        title="history",
        help="go back in time: pictures that the collector kept, from the start of an incident",
        weight=58,
    ),
    Action(
        id="earlier",
        key="comma",
        title="earlier",
        help="in the past: one picture back",
        weight=1,
        in_past=True,
    ),
    Action(
        id="later",
        key="full_stop",
        title="later",
        help="in the past: one picture on",
        weight=2,
        in_past=True,
    ),
    Action(
        id="play",
        key="space",
        title="play",
        help="in the past: play, faster, stop",
        weight=3,
        in_past=True,
    ),
    Action(id="now", key="L", title="live", help="in the past: back to now", weight=4, in_past=True),
    Action(
        id="palette",
        key="semicolon",
        title="palette",
        help="every action and every object (also ctrl+p)",
        weight=72,
    ),
    Action(
        id="theme", key="T", title="theme", help="the next of eight themes; the last has no colour", weight=73
    ),
    Action(
        id="ascii",
        key="U",
        title="ASCII",
        help="draw with ASCII only, or with blocks and lines again",
        weight=73,
    ),
    Action(
        id="quit", key="q", title="quit", help="press twice to leave; runs go on in the collector", weight=74
    ),
)
BY_ID: Final[dict[str, Action]] = {action.id: action for action in ACTIONS}


def actions_on(screen: str) -> tuple[Action, ...]:
    """Return what can be done on a screen, the most used first, what is for the past last."""
    shown = (each for each in ACTIONS if each.shown_on(screen))
    return tuple(sorted(shown, key=lambda each: (each.in_past, each.weight)))


def allowed(action: Action, role: str) -> bool:
    """Say whether a role may do this."""
    return ROLES.index(role) >= ROLES.index(action.role)
