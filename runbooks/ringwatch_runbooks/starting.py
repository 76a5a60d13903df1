"""The text of a runbook to begin with. Writes no file."""

from __future__ import annotations

import json
import re
from typing import Final

from ringwatch_proto.errors import RunbookError

_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,60}")
_TEMPLATE: Final = """\
schema: runbook/v1
id: {id}
revision: 1
title: {{en: "What is wrong, in one line", zh: "一句话说明故障"}}
first_rule: {{en: "The one thing to keep in mind", zh: "最重要的一条"}}
severity: warning                       # info, warning, critical
triggers:
  - {{kind: {kind}, causes: [{cause}]}}   # without causes it takes every {kind}
never:
  - "the one thing that makes it worse"
sources: ["https://example.org/where-this-comes-from"]
steps:
  - id: look
    kind: check                         # reads; `ringwatch runbook facts` lists what can be read
    title: Is it still seen?
    shows: [node.connected]
    timeout_s: 10
    expect: the incident is quiet
    branch:
      - {{when: {{timeout: true}}, goto: hand_over}}
      - {{when: {{fact: incident.active, op: "==", value: false}}, goto: proof}}
      - {{when: {{else: true}}, goto: consent}}
  - id: consent
    kind: ask
    title: May the node be taken out?
    question: "Say what the operator has to know to answer."
    options:
      - {{answer: "yes", goto: drain}}
      - {{answer: hand over, goto: hand_over}}
  - id: drain
    kind: action                        # something of the action library: `ringwatch runbook show` others
    title: Stop new work on the node
    uses: drain_node
    then: hand_over
    on_fail: hand_over
  - id: proof
    kind: verify                        # the signal is gone, and these hold, without a break
    title: Does it stay away?
    expect: the signal is gone
    healthy_s: 60
    timeout_s: 900
    facts: [{{fact: node.connected, op: "==", value: true}}]
    then: repaired
    on_fail: hand_over
  - id: hand_over
    kind: escalate
    title: Hand over with the evidence
    to: hardware on-call
    asks_for: ["what they will ask for first"]
    then: others
  - {{id: others, kind: end, outcome: handed_over, note: "Others have it now, with the evidence."}}
  - {{id: repaired, kind: end, outcome: resolved, note: "It was seen to be well."}}
"""


def template(id: str, kind: str) -> str:
    """Return a runbook that passes the linter; raise RunbookError when the id is none."""
    if _ID.fullmatch(id) is None:
        raise RunbookError(f"{id[:60]!r} is no id: small letters, digits and -")
    return _TEMPLATE.format(id=id, kind=kind, cause=json.dumps("my_cause"))
