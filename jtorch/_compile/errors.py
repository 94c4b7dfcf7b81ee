"""What ``torch.compile`` raises."""

from __future__ import annotations

__all__ = ["BackendCompilerFailed", "TorchDynamoException", "TorchRuntimeError", "UncapturedHigherOrderOpError", "Unsupported", "unsupported"]


class TorchDynamoException(RuntimeError):
    """Any of those that ``torch.compile`` raises."""

    __module__ = "torch._dynamo.exc"


class Unsupported(TorchDynamoException):
    """``fullgraph=True``, and something in the function ends the graph."""

    __module__ = "torch._dynamo.exc"


class UncapturedHigherOrderOpError(TorchDynamoException):
    """A function given to torch.cond and the like does what a branch or a loop's body cannot."""

    __module__ = "torch._dynamo.exc"


class TorchRuntimeError(TorchDynamoException):
    """The shapes or types inside such a function do not fit."""

    __module__ = "torch._dynamo.exc"


class BackendCompilerFailed(TorchDynamoException):
    """A backend that the program gave raised something."""

    __module__ = "torch._dynamo.exc"


def unsupported(why: str) -> Unsupported:
    return Unsupported(f"{why}\n  Explanation: `fullgraph=True` asks for one program, and this has to run in Python.")
