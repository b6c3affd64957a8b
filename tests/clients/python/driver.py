"""Asks a Python client for tasks in JSON lines; the same tasks and answers as `../node/driver.mjs`.

A task: `{"do": NAME, "model", "url", "key", "retries", ...options}`. An adapter module has a function of that
name, which gives what was seen:

complete, stream   `text`, `texts`, `finish`, `calls`, `usage`, `metadata`, `headers`, `request_id`,
                   `logprobs`, `pieces`, `reasoning`
tools              a loop over tool calls: `text` of its end, and `ran`, the arguments of each call
structured         `value`, the parsed object
leave              reads one piece of a stream and leaves: `left_s`
models             `ids`, and `read`, those that were asked for one by one

An exception of the client is `error`: its class and those above it, status, code, message; `pieces` is what
was read before it.
"""

import importlib
import json
import sys
import traceback


def told(error, read):
    """A client's exception, as a user's `except` sees it."""
    cause, chain = error, []
    while cause is not None:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    named = next((e for e in chain if getattr(e, "status_code", None) or getattr(e, "code", None)), error)
    response = getattr(named, "response", None)
    return {
        "error": {
            "classes": [c.__name__ for e in chain for c in type(e).__mro__],
            "status": getattr(named, "status_code", None),
            "code": getattr(named, "code", None),
            "param": getattr(named, "param", None),
            "request_id": getattr(named, "request_id", None),
            "retry_after": response.headers.get("retry-after") if response is not None else None,
            "message": " / ".join(str(e) for e in chain),
        },
        "pieces": read,
    }


def main():
    adapter = importlib.import_module(sys.argv[1])
    for line in sys.stdin:
        task = json.loads(line)
        read = []
        try:
            found = getattr(adapter, task["do"])(task, read)
            found.setdefault("pieces", read)
        except adapter.ERRORS as error:
            found = told(error, read)
        except Exception:  # noqa: BLE001 - whatever it is, the test is to see it
            found = {"fault": traceback.format_exc()}
        print(json.dumps(found), flush=True)


main()
