"""Finds an id that was read before, at some 40 bytes an id whatever its length."""

from __future__ import annotations

import numpy as np


def fingerprints(keys: list) -> np.ndarray:
    """(N,) int64, never 0, of N keys: equal for equal keys, and within one process (and what it forks) only for these."""
    prints = np.fromiter(map(hash, keys), np.int64, len(keys))
    prints[prints == 0] = 1
    return prints


def differ(prints: np.ndarray) -> bool:
    """Whether all fingerprints (N,) differ."""
    ordered = np.sort(prints)
    return not (ordered[1:] == ordered[:-1]).any()


class Seen:
    """The ids that were read, as fingerprints in a hash table with open addressing, and where each was read."""

    def __init__(self):
        self._table = np.zeros(1 << 16, np.int64)  # 0 is an empty slot
        self._held = 0
        self._order: list[tuple[np.ndarray, np.ndarray]] = []  # fingerprints and places as they came

    def find(self, keys: list, places: list[int]) -> dict[int, int]:
        """{index into `keys`: place of the first occurrence} for the keys seen before; the others are remembered."""
        prints = fingerprints(keys)
        first = slice(None) if differ(prints) else np.unique(prints, return_index=True)[1]
        self._make_room(len(keys))
        again = np.ones(len(keys), bool)
        again[first] = self._add(prints[first])
        self._order.append((prints, np.asarray(places, np.int64)))
        return {int(i): self._place(prints[i]) for i in np.flatnonzero(again)}

    def all(self) -> np.ndarray:
        """The fingerprints of all keys, as they came."""
        return np.concatenate([prints for prints, _ in self._order] or [np.zeros(0, np.int64)])

    def _add(self, prints: np.ndarray) -> np.ndarray:
        """Adds fingerprints that differ from each other; True for those that were there before."""
        mask = len(self._table) - 1
        there = np.zeros(len(prints), bool)
        pending, mine, slots = np.arange(len(prints)), prints, prints & mask
        while len(pending):
            held = self._table[slots]
            there[pending[held == mine]] = True
            empty = held == 0
            self._table[slots[empty]] = mine[empty]  # of several that want one slot the last gets it
            left = self._table[slots] != mine
            pending, mine = pending[left], mine[left]
            slots = (slots[left] + 1) & mask
        return there

    def _make_room(self, n: int) -> None:
        self._held += n
        if 2 * self._held > len(self._table):
            self._table = np.zeros(4 * len(self._table), np.int64)
            for prints, _ in self._order:
                self._add(prints)

    def _place(self, wanted: int) -> int:
        hits = ((places, np.flatnonzero(prints == wanted)) for prints, places in self._order)
        return next(int(places[hit[0]]) for places, hit in hits if len(hit))
