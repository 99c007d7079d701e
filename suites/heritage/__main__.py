"""`python -m suites.heritage`, see `suites.heritage.run`."""

import sys

from suites.heritage.run import main

if __name__ == "__main__":
    sys.exit(main())
