"""`python -m suites.heritage`, see `suites.heritage.run`."""

import sys

from suites.heritage.run import main

sys.exit(main())
