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


class Slots:
    """Numbers slots in the order in which they are first seen, up to a cap.

    Two communicators may share a name and not their ranks (one tensor group a node): they are two.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._communicators: dict[tuple[str, tuple[int, ...]], int] = {}
        self._names: list[tuple[str, tuple[int, ...]]] = []
        self._slots: list[_Slot] = []
        # Codes of (communicator, place) in order, and the slot of each.
        self._codes: Ints = np.zeros(0, np.int64)
        self._slot_of_code: Ints = np.zeros(0, np.int64)
        # (K, 2) kind and bytes of each slot, as they were last told.
        self._sizes: NDArray[np.uint64] = np.zeros((0, 2), np.uint64)
        self._masks: dict[int, Flags] = {}
        self._masks_layout = -1

    def __len__(self) -> int:
        return len(self._slots)

    def keys(self) -> tuple[tuple[str, tuple[int, ...], int], ...]:
        """Return by what each slot is known again: communicator, its ranks, position."""
        return tuple((*self._names[slot.communicator], slot.slot) for slot in self._slots)

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
        slots = self._known(codes)
        fresh = slots < 0
        if fresh.any():
            distinct, first = np.unique(codes[fresh], return_index=True)
            records_of = records[fresh]
            for code, where in zip(distinct.tolist(), first.tolist(), strict=True):
                self._slot(code, records_of[where], min(self._most, affordable))
            slots = self._known(codes)
        self._note_sizes(slots, records)
        return slots

    def _known(self, codes: Ints) -> Ints:
        """Return the slot of each code, -1 for those that have none."""
        if not self._codes.size:
            return np.full(codes.size, -1, np.int64)
        at = np.minimum(np.searchsorted(self._codes, codes), self._codes.size - 1)
        return np.where(self._codes[at] == codes, self._slot_of_code[at], -1)

    def _note_sizes(self, slots: Ints, records: NDArray[np.void]) -> None:
        """Take over kind and size where they are not what they were."""
        placed = slots >= 0
        if not placed.all():
            slots, records = slots[placed], records[placed]
        sizes = self._sizes[slots]
        changed = (records["bytes"] != sizes[:, 1]) | (records["kind"] != sizes[:, 0])
        if changed.any():
            self._sizes[slots[changed], 0] = records["kind"][changed]
            self._sizes[slots[changed], 1] = records["bytes"][changed]

    def _slot(self, code: int, record: np.void, most: int) -> None:
        if len(self._slots) >= most:
            return
        at = int(np.searchsorted(self._codes, code))
        self._codes = np.insert(self._codes, at, code)
        self._slot_of_code = np.insert(self._slot_of_code, at, len(self._slots))
        self._slots.append(_Slot(communicator=code // 65536, slot=code % 65536))
        size = np.array([[record["kind"], record["bytes"]]], np.uint64)
        self._sizes = np.concatenate([self._sizes, size])

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
                kind=kind,
                bytes=size,
                members=self._mask(slot.communicator, ranks, layout),
            )
            for slot, (kind, size) in zip(self._slots, self._sizes.tolist(), strict=True)
        )
