"""``torch._dynamo.exc``: what capturing may raise in torch. Programs catch these; but for what ``jtorch._compile.errors`` has, nothing raises them."""

from __future__ import annotations

from jtorch._compile.errors import BackendCompilerFailed, TorchDynamoException, TorchRuntimeError, UncapturedHigherOrderOpError, Unsupported

__all__ = [
    "TorchDynamoException", "InternalTorchDynamoError", "Unsupported", "UserError", "BackendCompilerFailed", "TorchRuntimeError", "ResetRequired", "RecompileError",
    "FailOnRecompileLimitHit", "IncorrectUsage", "TensorifyScalarRestartAnalysis", "UncapturedHigherOrderOpError",
]  # fmt: skip


class InternalTorchDynamoError(TorchDynamoException): ...


class RestartAnalysis(TorchDynamoException): ...


class TensorifyScalarRestartAnalysis(RestartAnalysis): ...


class ResetRequired(TorchDynamoException): ...


class IncorrectUsage(Exception): ...


class UserError(Unsupported): ...


class RecompileError(TorchDynamoException): ...


class FailOnRecompileLimitHit(Exception): ...
