"""Start the demo; Ctrl-C while Python is still importing ends it without a traceback."""

import signal
import sys

signal.signal(signal.SIGINT, lambda number, frame: sys.exit(130))

from include.demo.demo import main  # noqa: E402  -- the import takes a second; the handler above must be set before it

sys.exit(main())
