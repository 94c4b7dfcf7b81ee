"""Programs given as text, run in this process with either library: what they print."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from typing import Any

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


def run(library: Any, program: str) -> str:
    """What a program prints, with its library's name as torch's and without addresses. Its imports of torch's modules mean the library's."""
    mine = library.__name__
    text = re.sub(r"import torch\.(\w+)", rf"import {mine}.\1 as _, {mine}.\1", program)
    text = text.replace("from torch import", f"from {mine} import").replace("from torch.", f"from {mine}.")
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(text, "<program>", "exec", dont_inherit=True), {"torch": library, "__name__": "__main__"})
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
        finally:
            library.set_grad_enabled(True)
    return ADDRESS.sub("0x", out.getvalue()).replace("jtorch", "torch").replace("torch._core.storage.bare_tensor.Tensor", "torch.Tensor").replace("torch._device.device", "torch.device")
