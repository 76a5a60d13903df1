"""All calls of this site: finds the adapter, checks the arguments, keeps the time. Does nothing itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from ringwatch_collector.repair.base import Adapter
from ringwatch_proto.errors import ConfigError, VerbRefused
from ringwatch_runbooks import calls
from ringwatch_runbooks.base import RepairCall, VerbOutcome

_LOG: Final = logging.getLogger("ringwatch.repair")
_LONGEST_S: Final = 3600.0


class Switchboard:
    """The ``Repairs`` of the runbook engine."""

    def __init__(self, adapters: Iterable[Adapter] = ()) -> None:
        """Take the adapters; raise ConfigError when two offer the same call or one that nobody knows."""
        self._adapters: dict[str, Adapter] = {}
        for adapter in adapters:
            for name in adapter.calls:
                if name in self._adapters:
                    raise ConfigError(f"two adapters offer {name}")
                if not calls.is_known(name):
                    raise ConfigError(f"{name} is no call: an adapter's noun is the name of its entry point")
                self._adapters[name] = adapter

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all calls that are set up."""
        return tuple(sorted(self._adapters))

    def offers(self, name: str) -> bool:
        """Say whether a call of that name is set up."""
        return name in self._adapters

    async def call(self, call: RepairCall) -> VerbOutcome:
        """Return what came of a call, within its time-out; an adapter that breaks is an outcome too."""
        adapter = self._adapters.get(call.name)
        if adapter is None:
            return VerbOutcome(status="refused", text=f"{call.name} is not set up at this collector")
        try:
            _check(call)
            async with asyncio.timeout(call.timeout_s):
                return await (adapter.plan(call) if call.dry_run else adapter.do(call))
        except VerbRefused as error:
            return VerbOutcome(status="refused", text=str(error))
        except TimeoutError:
            text = f"{call.name} has not come back for {call.timeout_s:.0f} s; it may still happen"
            return VerbOutcome(status="timed_out", text=text)
        except Exception as error:  # noqa: BLE001  (an adapter of a site may raise anything)
            _LOG.exception("%s", call.name)
            return VerbOutcome(status="failed", text=f"{type(error).__name__}: {error}"[:300])


def _check(call: RepairCall) -> None:
    """Raise VerbRefused for a call that must not reach an adapter."""
    if not 0 < call.timeout_s <= _LONGEST_S:
        raise VerbRefused(f"{call.name}: a time-out of {call.timeout_s} s is not within {_LONGEST_S:.0f} s")
    if not call.requested_by:
        raise VerbRefused(f"{call.name}: nobody asks for it")
    calls.check_arguments(call.name, call.arguments)
    known = calls.BY_NAME.get(call.name)
    reads = known is not None and known.risk == "R0"
    if not reads and not call.approved_by and not call.dry_run:
        raise VerbRefused(f"{call.name} changes something and nobody approved it")
