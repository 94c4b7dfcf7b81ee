"""Programs given as text, run in this process with either library: what they print."""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import re
import sys
import tempfile
import types
import warnings
from typing import Any

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


def run(library: Any, program: str) -> str:
    """What a program prints, with its library's name as torch's and without addresses. Its imports of torch's modules mean the library's."""
    mine = library.__name__
    text = re.sub(r"import torch\.(\w+)", rf"import {mine}.\1 as _, {mine}.\1", program)
    text = text.replace("from torch import", f"from {mine} import").replace("from torch.", f"from {mine}.")
    out = io.StringIO()
    module = types.ModuleType("program")
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file, contextlib.redirect_stdout(out), warnings.catch_warnings():
        file.write(text)
        file.flush()  # what looks at sources finds them
        module.__dict__.update(__file__=file.name, torch=library)
        linecache.clearcache()
        sys.modules["program"] = module
        warnings.simplefilter("ignore")
        try:
            exec(compile(text, file.name, "exec", dont_inherit=True), module.__dict__)
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
        finally:
            del sys.modules["program"]
            library.set_grad_enabled(True)
        said = out.getvalue().replace(file.name, "<program>").replace(os.path.basename(file.name), "<program>")
    said = ADDRESS.sub("0x", said).replace("jtorch", "torch")
    return said.replace("torch._core.storage.bare_tensor.Tensor", "torch.Tensor").replace("torch._device.device", "torch.device")
