"""Which elements of Laban movement analysis a micro-action has (`share/mma82/emotion/laban.json`)."""

from __future__ import annotations

import json

from mma82cli import share
from mma82cli.taxonomy import Taxonomy


def elements(actions: Taxonomy) -> list[list[str]]:
    """The elements of each action, in the order of the taxonomy; none for an action that the table does not name."""
    data = json.loads((share.share_dir() / "emotion" / "laban.json").read_text(encoding="utf-8"))
    return [[name for name, of in data["elements"].items() if action in of["actions"]] for action in actions.names]
