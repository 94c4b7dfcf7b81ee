"""Which functions of ``torch.nn.functional`` torch writes in C++: each is one object with what ``torch._C._nn`` has."""

NATIVE = ("avg_pool2d", "avg_pool3d", "elu_", "gelu", "hardtanh_", "leaky_relu_", "linear", "one_hot", "scaled_dot_product_attention", "softplus", "softshrink")
