"""``python -m optengine``: the same as the command ``optengine``."""

import sys

from optengine.cli import main

if __name__ == "__main__":
    sys.exit(main())
