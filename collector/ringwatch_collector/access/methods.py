"""The one table of who may call what. A method that is not in it is refused to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ringwatch_collector.access.callers import Role

# None stands for anybody: the method asks for its own proof.
LEAST_ROLE: Final[Mapping[str, Role | None]] = {
    "/ringwatch.v1.Enrollment/Enroll": None,
    "/ringwatch.v1.Enrollment/Renew": Role.AGENT,
    "/ringwatch.v1.Telemetry/Report": Role.AGENT,
    "/ringwatch.v1.Query/GetFleet": Role.VIEWER,
    "/ringwatch.v1.Query/FollowFleet": Role.VIEWER,
    "/ringwatch.v1.Query/GetIncident": Role.VIEWER,
    "/ringwatch.v1.Query/ListIncidents": Role.VIEWER,
    "/ringwatch.v1.Query/GetJob": Role.VIEWER,
    "/ringwatch.v1.Query/GetNode": Role.VIEWER,
    "/ringwatch.v1.Query/ListEvents": Role.VIEWER,
    "/ringwatch.v1.Query/ListAudit": Role.VIEWER,
    "/ringwatch.v1.Query/ActOnIncident": Role.OPERATOR,
    "/ringwatch.v1.Query/ListSilences": Role.VIEWER,
    "/ringwatch.v1.Query/PutSilence": Role.OPERATOR,
    "/ringwatch.v1.Query/EndSilence": Role.OPERATOR,
    "/ringwatch.v1.Query/ListAlerts": Role.VIEWER,
    "/ringwatch.v1.Query/History": Role.VIEWER,
    "/ringwatch.v1.Recording/Frames": Role.VIEWER,
    "/ringwatch.v1.Runs/ListRunbooks": Role.VIEWER,
    "/ringwatch.v1.Runs/GetRunbook": Role.VIEWER,
    "/ringwatch.v1.Runs/GetRun": Role.VIEWER,
    "/ringwatch.v1.Runs/ListRuns": Role.VIEWER,
    "/ringwatch.v1.Runs/StartRun": Role.OPERATOR,
    # An answer that approves something may need more: the run knows what its open step asks for.
    "/ringwatch.v1.Runs/Answer": Role.OPERATOR,
    "/ringwatch.v1.Runs/PlanRun": Role.OPERATOR,
    "/ringwatch.v1.Runs/GetSafety": Role.VIEWER,
    # Opening the circuit breaker takes an operator; the service asks for an admin to close it.
    "/ringwatch.v1.Runs/SetBreaker": Role.OPERATOR,
}
