"""What a Tensor is: storages, views, dispatch, the autograd tape; and the public functions derived from the registry."""
