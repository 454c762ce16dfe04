"""`python -m evpipe`: the same as the command `evpipe`."""

import sys

from evpipe.cli.main import main

sys.exit(main())
