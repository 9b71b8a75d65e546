"""`python -m mma82cli`, and the script that `bin/mma82` runs from a checkout."""

import os
import sys

if not __package__:  # started as a folder: the package's parent belongs on the path, not the package itself
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from mma82cli.cli import main


def end(status: int) -> None:
    """Ends the process. One of torchrun's ends at once: threads of its group may still ask for the interpreter while that is
    taken apart, and then they abort a process that has done its work."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        sys.exit(status)
    from contextlib import suppress

    from mma82cli.replacing import forget_all

    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    forget_all()
    os._exit(status)


if __name__ == "__main__":
    end(main())
