"""`python -m mma82cli`, and the script that `bin/mma82` runs from a checkout."""

import sys

if not __package__:  # started as a folder: the package's parent belongs on the path, not the package itself
    import os

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from mma82cli.cli import main

if __name__ == "__main__":
    sys.exit(main())
