"""``torch._dynamo.config``: nothing is captured from bytecode here, so these are kept and change nothing. The defaults are torch's."""

from __future__ import annotations

from typing import Any

from jtorch._private.settings import settings_module as _settings_module

verbose = False
verify_correctness = False
suppress_errors = False
disable = False
cache_size_limit = 8
recompile_limit = 8
accumulated_cache_size_limit = 256
accumulated_recompile_limit = 256
fail_on_recompile_limit_hit = False
fail_on_cache_limit_hit = False
skip_code_recursive_on_recompile_limit_hit = True
specialize_int = False
specialize_float = False
dynamic_shapes = True
use_lazy_graph_module = True
assume_static_by_default = True
automatic_dynamic_shapes = True
automatic_dynamic_local_pgo = True
force_parameter_static_shapes = True
force_nn_module_property_static_shapes = True
allow_ignore_mark_dynamic = False
guard_nn_modules = True
guard_nn_modules_using_dict_tags = True
inline_inbuilt_nn_modules = True
install_free_tensors = False
allow_unspec_int_on_nn_module = False
allow_rnn = False
capture_scalar_outputs = False
capture_dynamic_output_shape_ops = False
capture_autograd_function = True
capture_func_transforms = True
capture_sparse_compute = True
prefer_deferred_runtime_asserts_over_guards = False
optimize_ddp: Any = True
optimize_ddp_lazy_compile = False
do_not_emit_runtime_asserts = False
skip_nnmodule_hook_guards = True
skip_fsdp_guards = True
skip_fsdp_hooks = True
raise_on_ctx_manager_usage = True
raise_on_unsafe_aot_autograd = False
error_on_nested_fx_trace = True
error_on_nested_jit_trace = True
error_on_recompile = False
trace_numpy = True
numpy_default_float = "float64"
numpy_default_complex = "complex128"
numpy_default_int = "int64"
compiled_autograd = False
compiled_autograd_kwargs_override: dict[str, Any] = {}
cudagraph_backend_keep_input_mutation = False
base_dir = ""
repro_after: str | None = None
repro_level = 2
minimum_call_count = 1
enable_cpp_guard_manager = True
skip_tensor_guards_with_matching_dict_tags = True
enable_cpp_symbolic_shape_guards = False
wrap_top_frame = False
reorderable_logging_functions: set[Any] = set()
ignore_logger_methods: set[Any] = set()
ignore_logging_functions: set[Any] = set()
allowed_functions_module_string_ignorelist: set[str] = {"torch.distributions", "torch.testing", "torch._refs", "torch._prims", "torch._decomp"}
traceable_tensor_subclasses: set[Any] = set()
log_file_name: str | None = None
fake_tensor_cache_enabled = True
report_guard_failures = True
track_nodes_for_deduplication = False
use_graph_deduplication = False

_settings_module(__name__)
