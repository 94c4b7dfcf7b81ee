"""``python -m jtorch script.py [args]``: runs a PyTorch program unmodified, as ``python script.py [args]`` would.

``-m module [args]`` and ``-c code [args]`` work as python's own; ``-`` reads the program from standard input.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from types import ModuleType, TracebackType

_USAGE = """\
usage: python -m jtorch script.py [args]
       python -m jtorch -m module [args]
       python -m jtorch -c code [args]
       python -m jtorch --check script.py [args]    (or -m, -c) compares every operator with real torch, if it is installed
       python -m jtorch torchrun [options] script.py [args]      several processes, as torchrun starts them
       python -m jtorch --version
       python -m jtorch --stubs [FOLDER]     type stubs for `import torch`, by default in ./typings

Runs a program with `import torch` meaning jtorch, in the program and in every library that it imports.

environment:
  JTORCH_EAGER=1                 run each operator at once
  JTORCH_LOG=trace,recompiles    print what runs, and what is compiled and why
  JTORCH_CACHE_DIR=PATH          where compiled programs are kept (0: nowhere); python -m jtorch.cache shows them
  JTORCH_TRACEBACK=full          show jtorch's own frames in the traceback of an error
"""


def _fresh_main() -> ModuleType:
    """A new ``__main__``, where pickle and multiprocessing look for what the program defines."""
    module = ModuleType("__main__")
    module.__dict__.update(__builtins__=sys.modules["builtins"], __spec__=None, __loader__=None)
    if sys.version_info < (3, 14):  # from there on they are made when they are asked for
        module.__dict__["__annotations__"] = {}
    sys.modules["__main__"] = module
    return module


def _set_path(first: str) -> None:
    if not sys.flags.safe_path:
        sys.path[0] = first


def _code_runner(source: str | bytes, filename: str, file: str | None = None) -> Callable[[], None]:
    def run() -> None:
        main = _fresh_main()
        if file is not None:
            from importlib.machinery import SourceFileLoader

            main.__file__ = file
            main.__dict__["__cached__"] = None
            main.__loader__ = SourceFileLoader("__main__", file)
        code = compile(source, filename, "exec", dont_inherit=True)
        if filename == "<string>":
            import linecache

            if hasattr(linecache, "_register_code"):  # Python 3.13's tracebacks show the lines of -c, as newer releases of it by the code, as the first by the name
                linecache._register_code(code if hasattr(linecache, "_getline_from_code") else filename, source, filename)
        exec(code, main.__dict__)

    return run


def _module_runner(name: str, alter_argv: bool) -> Callable[[], None]:
    def run() -> None:
        import runpy

        _fresh_main()
        runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]  # what `python -m` itself calls

    return run


def _plan(argv: list[str]) -> Callable[[], None]:
    """What to run, with ``sys.argv`` and ``sys.path`` set as python would."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_USAGE, end="", file=sys.stdout if argv else sys.stderr)
        raise SystemExit(0 if argv else 2)
    if argv[0] in ("-V", "--version"):
        from jtorch import version

        print(f"jtorch {version.jtorch_version} (follows torch {version.__version__})")
        raise SystemExit(0)
    first, rest = argv[0], argv[1:]
    if first == "--stubs":
        from jtorch import _stub_alias

        folder = rest[0] if rest else "typings"
        print(f"{_stub_alias.write(folder)} stubs in {folder}/torch")
        raise SystemExit(0)
    if first == "torchrun" and not os.path.exists(first):
        first, rest = "-m", ["torch.distributed.run", *rest]
    if first in ("-m", "-c"):
        if not rest:
            print(f"Argument expected for the {first} option\n{_USAGE}", end="", file=sys.stderr)
            raise SystemExit(2)
        sys.argv = [first, *rest[1:]]
        _set_path(os.getcwd() if first == "-m" else "")
        return _module_runner(rest[0], True) if first == "-m" else _code_runner(rest[0], "<string>")
    if first.startswith("-") and first != "-":
        print(f"unknown option {first}\n{_USAGE}", end="", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [first, *rest]
    if first == "-":
        _set_path("")
        return _code_runner(sys.stdin.read(), "<stdin>")
    path = os.path.abspath(first)
    if os.path.isdir(path) or _is_zip(path):
        _set_path(path)
        return _module_runner("__main__", False)
    try:
        with io.open_code(path) as stream:
            source = stream.read()
    except OSError as error:
        print(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from None
    _set_path(os.path.dirname(os.path.realpath(path)))
    return _code_runner(source, path, path)


def _is_zip(path: str) -> bool:
    import zipfile

    return os.path.isfile(path) and zipfile.is_zipfile(path)


def _without_us(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the program's first frame on."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def _shorten(error: BaseException) -> bool:
    from jtorch._traceback import shorten

    return shorten(error)


def _die_of_interrupt() -> None:
    """End as python ends at an unhandled KeyboardInterrupt: by the signal, after all else has been cleaned up."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    """Run the program named on the command line."""
    from jtorch._install import install

    if "__version__" not in vars(sys.modules["jtorch"]):  # it was imported as the home of this file only (see there)
        del sys.modules["jtorch"]
    argv = sys.argv[1:]
    check = argv[:1] == ["--check"]
    run = _plan(argv[check:])
    install()
    if check:
        from jtorch._checker.calls import start

        try:
            start()
        except ModuleNotFoundError as error:
            print(error, file=sys.stderr)
            raise SystemExit(2) from None
    try:
        run()
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__ = _without_us(error.__traceback__)
        short = not isinstance(error, KeyboardInterrupt) and "jtorch" in sys.modules and _shorten(error)
        trace = error.__traceback__
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
        sys.stdout.flush()
        sys.excepthook(type(error), error, trace)
        if short:
            print("(frames inside jtorch are left out; JTORCH_TRACEBACK=full shows them)", file=sys.stderr)
        if isinstance(error, KeyboardInterrupt) and os.name == "posix":
            import atexit

            atexit._run_exitfuncs()
            sys.stdout.flush()
            _die_of_interrupt()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
