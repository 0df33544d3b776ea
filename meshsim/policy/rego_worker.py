"""What runs in the Rego engine's own process: answers requests, a line of JSON each, until nobody asks any more."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import traceback
from typing import Any, Final

OUT_OF_MEMORY: Final = 77
"""Exit code of a process that took more memory than it may."""
TOO_DEEP: Final = 78
"""Exit code of a process that was to read or write what nests deeper than Python follows."""

_LOOK_EVERY_S: Final = 0.02


def serve(most_bytes: int) -> None:
    """Answer requests from standard input; whoever started this is to end it, so signals of the terminal are not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_watch, args=(most_bytes,), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints is no answer
    bundles: dict[int, Any] = {}
    for line in sys.stdin.buffer:
        try:
            answer = _limited(json.loads(line), bundles)
        except RecursionError:
            os._exit(TOO_DEEP)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        answers.write(answer.encode() + b"\n")
        answers.flush()


def _limited(request: dict[str, Any], bundles: dict[int, Any]) -> str:
    # The kernel ends the process when the time is over: native code hears of no signal.
    signal.setitimer(signal.ITIMER_PROF, request["seconds"])
    answer = json.dumps(_answer(request, bundles))
    signal.setitimer(signal.ITIMER_PROF, 0)
    return answer


def _answer(request: dict[str, Any], bundles: dict[int, Any]) -> dict[str, Any]:
    from meshsim.policy.rego_native import Bundle, refusals

    for number in request["dropped"]:
        bundles.pop(number, None)
    try:
        if "build" in request:
            bundles[request["build"]] = Bundle(request["modules"], request["documents"], request["query"])
            return {"answer": None}
        if "refusals" in request:
            return {"answer": refusals(request["refusals"], request["text"])}
        return {"answer": bundles[request["ask"]].ask(request["document"])}
    except ValueError as error:
        return {"refused": str(error)}
    except (RecursionError, MemoryError):
        raise
    except Exception:  # told to whoever asked, where it is a mistake of this program
        return {"broken": traceback.format_exc()}


def _watch(most_bytes: int) -> None:
    """End the process when it takes too much memory."""
    never = threading.Event()
    while not never.wait(_LOOK_EVERY_S):
        if _resident_bytes() > most_bytes:
            os._exit(OUT_OF_MEMORY)


def _resident_bytes() -> int:
    """Memory that is in use; where the system does not say, the most that ever was."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        # Not on Linux, where the peak begins with that of the process that started this one.
        per_unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * per_unit
