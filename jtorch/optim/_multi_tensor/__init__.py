"""``torch.optim._multi_tensor``: optimizers whose default is ``foreach=True``. Here updates of many tensors are one program in any case."""

from __future__ import annotations

from functools import partialmethod
from typing import Any

from jtorch import optim

__all__ = ["ASGD", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "partialclass"]


def partialclass(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A class with arguments of its constructor given."""

    class NewCls(cls):  # type: ignore[misc]
        __init__ = partialmethod(cls.__init__, *args, **kwargs)

    return NewCls


Adam, AdamW, NAdam, SGD = (partialclass(cls, foreach=True) for cls in (optim.Adam, optim.AdamW, optim.NAdam, optim.SGD))
RAdam, RMSprop, Rprop, ASGD = (partialclass(cls, foreach=True) for cls in (optim.RAdam, optim.RMSprop, optim.Rprop, optim.ASGD))
Adamax, Adadelta, Adagrad = (partialclass(cls, foreach=True) for cls in (optim.Adamax, optim.Adadelta, optim.Adagrad))
