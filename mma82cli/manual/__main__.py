"""`python -m mma82cli.manual`: rewrites the manual pages and completions of the checkout that this package lies in."""

from __future__ import annotations

from pathlib import Path

from mma82cli.manual.files import rewrite

if __name__ == "__main__":
    for name in rewrite(Path(__file__).resolve().parent.parent.parent):
        print(name)
