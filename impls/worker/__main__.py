"""`python -m impls.worker`: one process with one framework in it, serving requests over its standard pipes."""

import os
import sys
import threading
from typing import Optional, Sequence

from impls.worker import process, server


def main(arguments: Optional[Sequence[str]] = None) -> int:
    options = server.parse(arguments)
    os.environ.update(process.settings(options.backend, options.device, options.dtype, options.threads))
    process.be_the_first_to_go()
    requests, replies = process.take_pipes()
    threading.Thread(target=process.end_with, args=(requests.fileno(),), daemon=True).start()
    return server.serve(server.Worker(options), requests, replies)


if __name__ == "__main__":
    sys.exit(main())
