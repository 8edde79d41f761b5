"""One question, asked in this new process: `python -m lrbench.claims.fresh` reads it from standard input as JSON.

    {"function": "module:attr", "arguments": {…}}  →  the last line of standard output is what it returned, as JSON

A claim about processes has to be asked of whole ones: environment variables are read when Python or CUDA starts, and
cuDNN's plans live as long as the process. What this does *not* do: fork, or load anything that was not asked for.
"""

import gc
import json
import sys
from importlib import import_module

from lrbench.leaving import leave


def main() -> None:
    gc.set_threshold(1_000_000)  # a fifth of the time that importing torch takes is the collector looking through it
    asked = json.load(sys.stdin)
    module, _, attribute = asked["function"].partition(":")
    answer = getattr(import_module(module), attribute)(**asked["arguments"])
    print(f"\n{json.dumps(answer)}")
    leave(0)


if __name__ == "__main__":
    main()
