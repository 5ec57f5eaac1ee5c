"""Where the frozen executable begins."""

import sys

from reactor.__main__ import main

sys.exit(main())
