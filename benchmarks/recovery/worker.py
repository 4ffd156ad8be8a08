"""One measurement in a process of its own, which says what it finds a line at a time.

    python -m benchmarks.recovery.worker '{"task": ...}'

Numbers of threads are in the environment before anything is imported.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from time import perf_counter


def main() -> None:
    """Do what the argument says."""
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not what is found
    warnings.simplefilter("ignore")

    def say(**what):
        said.write(json.dumps(what) + "\n")
        said.flush()

    asked = json.loads(sys.argv[1])
    TASKS[asked.pop("task")](say, **asked)


def draw(say, threads, size, kind, folder):
    """Leave a log on disk, and say what it is made of."""
    from . import logs

    log = logs.draw(logs.Size(**size), kind)
    logs.save(log, Path(folder))
    if log.ids is None:
        used = log.activations.nbytes
    else:  # as compressed rows: a value and an action each
        used = 12 * log.ids.size + 4 * (len(log.rewards) + 1)
    say(bytes=used + log.latents.nbytes + log.rewards.nbytes, support=log.support.tolist())


def rates(say, threads):
    """GEMM and bandwidth."""
    from . import machine

    say(**machine.rates())


def one_pass(say, threads, folder, gemm):
    """The time of one pass."""
    from . import logs, machine

    say(**machine.one_pass(logs.load(Path(folder)), threads, gemm))


def contend(say, contender, kind, threads, folder, repeats, seconds, memory_limit):
    """Find the support of a log, some times over, from the raw log every time."""
    import numpy as np

    from . import logs, memory
    from .contenders import CONTENDERS

    one = CONTENDERS[contender]
    tiny = logs.draw(logs.TINY, kind)
    start = perf_counter()
    one.solve(one.prepare(tiny, threads), tiny, threads)
    warm = perf_counter() - start
    log = logs.load(Path(folder))
    before = memory.settle()
    memory.limit(memory_limit)
    say(warmup_seconds=warm, before_bytes=before)
    spent = 0.0
    for number in range(repeats):
        start = perf_counter()
        prepared = one.prepare(log, threads)
        built = perf_counter()
        support = one.solve(prepared, log, threads)
        ended = perf_counter()
        del prepared
        said = {"build": built - start, "solve": ended - built}
        if number == 0:
            found = sorted(int(j) for j in np.asarray(support))
            said |= {"support": found, "peak_bytes": memory.peak()}
        say(**said)
        spent += ended - start
        if spent >= seconds:
            break


TASKS = {"draw": draw, "rates": rates, "one_pass": one_pass, "contend": contend}

if __name__ == "__main__":
    main()
