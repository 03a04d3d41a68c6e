"""`python -m intaglio` is the command `intaglio`."""

import sys

from intaglio.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
