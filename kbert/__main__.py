"""`python -m kbert`: the command line from a checkout."""

import sys

from kbert.cli import main

if __name__ == "__main__":
    sys.exit(main())
