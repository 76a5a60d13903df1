"""The collectives that every step of a job repeats: which (communicator, position) has which slot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.view import CollectiveSlot, Flags, Ints


@dataclass(slots=True, kw_only=True)
class _Slot:
    communicator: int
    slot: int
    kind: int
    bytes: int


class Slots:
    """Numbers slots in the order in which they are first seen, up to a cap.

    Two communicators may share a name and not their ranks (one tensor group a node): they are two.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._communicators: dict[tuple[str, tuple[int, ...]], int] = {}
        self._names: list[tuple[str, tuple[int, ...]]] = []
        self._slots: list[_Slot] = []
        self._index: dict[int, int] = {}
        self._masks: dict[int, Flags] = {}
        self._masks_layout = -1

    def __len__(self) -> int:
        return len(self._slots)

    def communicator(self, name: str, ranks: tuple[int, ...]) -> int:
        """Return the id of a communicator; no ranks stand for all ranks."""
        key = (name, ranks)
        number = self._communicators.setdefault(key, len(self._names))
        if number == len(self._names):
            self._names.append(key)
        return number

    def place(self, communicators: Ints, records: NDArray[np.void], affordable: int) -> Ints:
        """Return the slot of each COLLECTIVE record, -1 for those beyond the cap or ``affordable``."""
        codes = communicators * 65536 + records["slot"].astype(np.int64)
        distinct, first, back = np.unique(codes, return_index=True, return_inverse=True)
        slots = np.full(distinct.size, -1, np.int64)
        for at, (code, where) in enumerate(zip(distinct.tolist(), first.tolist(), strict=True)):
            slots[at] = self._slot(code, records[where], min(self._most, affordable))
        return slots[back]

    def _slot(self, code: int, record: np.void, most: int) -> int:
        number = self._index.get(code)
        if number is None:
            if len(self._slots) >= most:
                return -1
            number = self._index[code] = len(self._slots)
            self._slots.append(_Slot(communicator=code // 65536, slot=code % 65536, kind=0, bytes=0))
        self._slots[number].kind = int(record["kind"])
        self._slots[number].bytes = int(record["bytes"])
        return number

    def _mask(self, communicator: int, ranks: Ints, layout: int) -> Flags:
        if layout != self._masks_layout:
            self._masks = {}
            self._masks_layout = layout
        mask = self._masks.get(communicator)
        if mask is None:
            wanted = self._names[communicator][1]
            mask = np.isin(ranks, np.array(wanted, np.int64)) if wanted else np.ones(ranks.size, np.bool_)
            self._masks[communicator] = mask
        return mask

    def members(self, ranks: Ints, layout: int) -> Flags:
        """(K, R) which ranks take part in each slot."""
        masks = [self._mask(slot.communicator, ranks, layout) for slot in self._slots]
        return np.array(masks, np.bool_).reshape(len(masks), ranks.size)

    def views(self, ranks: Ints, layout: int) -> tuple[CollectiveSlot, ...]:
        """Return the slots as detectors see them."""
        return tuple(
            CollectiveSlot(
                communicator=self._names[slot.communicator][0],
                slot=slot.slot,
                kind=slot.kind,
                bytes=slot.bytes,
                members=self._mask(slot.communicator, ranks, layout),
            )
            for slot in self._slots
        )
