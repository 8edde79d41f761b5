"""The end of a process: at once, for what torch and pandas loaded takes half a second to be taken down in order.

What was promised for the end still happens: exit functions run, temporary folders go, what was printed is printed.
"""

import atexit
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End this process with `code`, as sys.exit would, without taking down what is loaded.

    120 where standard output cannot be written any more, which is Python's own code for that. Threads are not waited
    for: whoever starts one ends it.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:
            code = code or 120
    os._exit(code)
