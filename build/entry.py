"""Where the frozen executable begins."""

import sys

import packs

packs.install()

from reactor.__main__ import main  # noqa: E402

sys.exit(main())
