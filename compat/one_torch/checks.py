"""torch._check and its like."""

import warnings

import torch

warnings.simplefilter("ignore")


def show(fn, *args, **kwargs):
    try:
        print(fn.__name__, fn(*args, **kwargs))
    except Exception as error:
        print(fn.__name__, type(error).__name__, str(error)[:150])


for name in ("_check", "_check_index", "_check_value", "_check_type", "_check_not_implemented"):
    fn = getattr(torch, name)
    for cond in (True, False, 1, torch.tensor(True)):
        show(fn, cond)
    show(fn, False, lambda: "said")
    show(fn, False, "text")
for cond in (torch.tensor([True, False]), torch.tensor([True]), torch.tensor([1]), True):
    show(torch._check_tensor_all, cond, lambda: "said")
show(torch._check_is_size, 3), show(torch._check_is_size, -1), show(torch._check_is_size, 5, max=4)
show(torch._check_with, KeyError, False, lambda: "said")
