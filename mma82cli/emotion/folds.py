"""Parts of a set of clips to be held out in turn: people stay whole, emotions are spread evenly."""

from __future__ import annotations

import numpy as np


def folds(person: np.ndarray, emotion: np.ndarray, parts: int, rng: np.random.Generator) -> np.ndarray:
    """(N,) the part 0..parts-1 of each clip. A person's clips share a part; people come in random order, those with many
    clips first, and each joins the part that has the least of what they bring.

    person, emotion  (N,) ids
    """
    brings = np.zeros((int(person.max()) + 1, int(emotion.max()) + 1))
    np.add.at(brings, (person, emotion), 1)
    total = np.maximum(brings.sum(0), 1)
    held, chosen = np.zeros((parts, brings.shape[1])), np.zeros(len(brings), np.int64)
    shuffled = rng.permutation(len(brings))
    for who in shuffled[np.argsort(-brings[shuffled].sum(1), kind="stable")]:
        crowding = held @ (brings[who] / total)
        place = int(np.lexsort((held.sum(1), np.round(crowding, 9)))[0])
        chosen[who] = place
        held[place] += brings[who]
    return chosen[person]
