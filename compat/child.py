"""Runs scripts one after another in this process and writes what each printed: the inner half of run_both.

Started as ``python compat/child.py a.py b.py`` under real torch, and as ``python -m jtorch compat/child.py a.py b.py``.
"""

import os
import sys

# This folder comes first on the path, and holds modules named as the standard library's.
sys.path[:] = [p for p in sys.path if os.path.abspath(p) != os.path.dirname(os.path.abspath(__file__))]

import contextlib
import io
import json
import runpy
import traceback
import warnings


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    for path in sys.argv[1:]:
        printed, error = io.StringIO(), ""
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as e:
                error = "" if e.code in (None, 0) else f"exit code {e.code}"
            except BaseException:
                error = traceback.format_exc(limit=-4)
        out.write("\x1e" + json.dumps({"path": path, "printed": printed.getvalue(), "error": error}) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
