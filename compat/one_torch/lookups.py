"""Private helpers of torch that libraries call."""

import torch
from torch import _utils as u


def show(fn, *args, **kwargs):
    try:
        print(fn.__name__, fn(*args, **kwargs))
    except Exception as error:
        print(fn.__name__, type(error).__name__, str(error)[:120])


a, b = torch.arange(6.0).view(2, 3), torch.arange(2.0)
flat = u._flatten_dense_tensors([a, b])
show(u._unflatten_dense_tensors, flat, [a, b])
show(u._flatten_dense_tensors, [a.t()])
print([len(g) for g in u._take_tensors([a, b, a, b.double()], 30)])
show(u._reorder_tensors_as, [a, b, b.double()], [b.double(), a, b])
for value in (torch.float16, torch.int64, 3):
    show(u._element_size, value)
for device in ("cpu", "cuda:1", 2, torch.device("cpu")):
    show(u._get_device_index, device), show(u._get_device_index, device, allow_cpu=True)
show(torch._shape_as_tensor, a)
show(torch._int_mm, torch.ones(17, 8, dtype=torch.int8) * 3, torch.ones(8, 8, dtype=torch.int8))
show(torch._convert_indices_from_coo_to_csr, torch.tensor([0, 0, 2]), 4), show(torch._convert_indices_from_csr_to_coo, torch.tensor([0, 2, 2, 3]), torch.tensor([1, 0, 2]))
scale, tracker, inf = torch.tensor([8.0]), torch.tensor([1], dtype=torch.int32), torch.tensor([0.0])
grads = [torch.tensor([8.0, 16.0]), torch.tensor([float("inf")])]
torch._amp_foreach_non_finite_check_and_unscale_(grads[:1], inf, torch.tensor([0.125]))
print(grads, inf, torch._amp_update_scale_(scale, tracker, inf, 2.0, 0.5, 2), tracker)
torch._amp_foreach_non_finite_check_and_unscale_(grads, inf, torch.tensor([0.125]))
print(grads, inf, torch._amp_update_scale_(scale, tracker, inf, 2.0, 0.5, 2), tracker)
for args, kwargs in ((("cuda:1",), {}), ((torch.float16, True), {}), ((a,), {}), ((), {"device": "cpu", "dtype": torch.float32, "non_blocking": True, "memory_format": torch.channels_last})):
    print(torch._C._nn._parse_to(*args, **kwargs))
from torch.utils import _foreach_utils, _pytree

groups = _foreach_utils._group_tensors_by_device_and_dtype([[a, b.double(), b], [b, b, b]], with_indices=True)
print([(str(k), [len(x) for x in lists], list(places)) for k, (lists, places) in sorted(groups.items(), key=str)])
leaves, spec = _pytree.tree_flatten({"a": [1, 2], "b": 3})
print(_pytree._broadcast_to_and_flatten({"a": 5, "b": 6}, spec), _pytree._broadcast_to_and_flatten(7, spec), _pytree._dict_flatten({"x": 1}), _pytree._list_flatten([1, 2]))
