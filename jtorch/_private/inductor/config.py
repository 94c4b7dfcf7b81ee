"""``torch._inductor.config``: XLA chooses for itself, so these are kept and change nothing. The defaults are torch's."""

from __future__ import annotations

from typing import Any

from jtorch._private.settings import Section as _Section
from jtorch._private.settings import settings_module as _settings_module

debug = False
disable_progress = True
verbose_progress = False
fx_graph_cache = True
fx_graph_remote_cache: bool | None = None
autotune_local_cache = True
autotune_remote_cache: bool | None = None
force_disable_caches = False
cpp_wrapper = False
dce = False
static_weight_shapes = True
size_asserts = True
nan_asserts = False
pick_loop_orders = True
inplace_buffers = True
allow_buffer_reuse = True
memory_planning = False
benchmark_harness = True
epilogue_fusion = True
epilogue_fusion_first = False
pattern_matcher = True
b2b_gemm_pass = False
post_grad_custom_pre_pass: Any = None
post_grad_custom_post_pass: Any = None
joint_custom_pre_pass: Any = None
joint_custom_post_pass: Any = None
pre_grad_custom_pass: Any = None
split_cat_fx_passes = True
batch_fusion = True
group_fusion = False
reorder_for_locality = True
dynamic_scale_rblock = True
force_fuse_int_mm_with_mul = False
use_mixed_mm = True
mixed_mm_choice = "heuristic"
fallback_by_default = False
max_autotune = False
max_autotune_pointwise = False
max_autotune_gemm = False
max_autotune_gemm_backends = "ATEN,TRITON,CPP"
max_autotune_conv_backends = "ATEN,TRITON"
max_autotune_gemm_search_space = "DEFAULT"
autotune_in_subproc = False
coordinate_descent_tuning = False
coordinate_descent_check_all_directions = False
coordinate_descent_search_radius = 1
layout_optimization = True
force_layout_optimization = False
keep_output_stride = True
warn_mix_layout = False
realize_reads_threshold = 4
realize_opcount_threshold = 30
realize_acc_reads_threshold = 8
fallback_random = False
implicit_fallbacks = True
assume_unaligned_fallback_output = False
aggressive_fusion = False
max_fusion_size = 64
unroll_reductions_threshold = 8
comment_origin = False
conv_1x1_as_mm = False
split_reductions = True
benchmark_kernel = False
constant_and_index_propagation = True
always_keep_tensor_constants = False
assert_indirect_indexing = True
compute_all_bounds = False
combo_kernels = False
joint_graph_constant_folding = True
compile_threads = 1
kernel_name_max_ops = 10
shape_padding = True
permute_fusion = False
freezing = False
freezing_discard_parameters = False
emulate_precision_casts = False
triton_disable_device_detection = False
worker_suppress_logging = True
unsafe_ignore_unsupported_triton_autotune_args = False


class cpp(_Section):  # noqa: N801
    """C++ kernels."""

    threads = -1
    simdlen: int | None = None
    min_chunk_size = 512
    cxx: tuple[Any, ...] = (None, "g++")
    enable_kernel_profile = False
    weight_prepack = True
    dynamic_threads = False
    enable_tiling_heuristics = True
    enable_concat_linear = False
    fallback_scatter_reduce_sum = True
    max_horizontal_fusion_size = 16
    enable_floating_point_contract_flag = "off"


class eager_numerics(_Section):  # noqa: N801
    """Whether kernels round as the single operators do. XLA's do."""

    division_rounding = False
    disable_ftz = False
    use_pytorch_libdevice = False


class triton(_Section):  # noqa: N801
    """Kernels of Triton."""

    cudagraphs = False
    cudagraph_trees = True
    cudagraph_skip_dynamic_graphs = False
    slow_path_cudagraph_asserts = True
    cudagraph_dynamic_shape_warn_limit = 50
    force_cudagraph_sync = False
    force_cudagraphs_warmup = False
    fast_path_cudagraph_asserts = False
    debug_sync_graph = False
    debug_sync_kernel = False
    dense_indexing = False
    autotune_pointwise = True
    autotune_cublasLt = True
    multi_kernel = 0
    divisible_by_16 = True
    persistent_reductions = True
    cooperative_reductions = False
    spill_threshold = 16
    unique_kernel_names = True
    unique_user_kernel_names = False
    descriptive_names = "original_aten"
    store_cubin = False
    use_block_ptr = False
    codegen_upcast_to_fp32 = True


class trace(_Section):  # noqa: N801
    """What is written down while compiling."""

    enabled = False
    debug_dir: str | None = None
    debug_log = False
    info_log = False
    fx_graph = True
    fx_graph_transformed = True
    ir_pre_fusion = True
    ir_post_fusion = True
    output_code = True
    graph_diagram = False
    draw_orig_fx_graph = False
    compile_profile = False
    upload_tar: Any = None
    log_autotuning_results = False


class aot_inductor(_Section):  # noqa: N801
    """Packages with a shared library."""

    output_path = ""
    debug_compile = False
    package = False
    package_cpp_only = False
    metadata: dict[str, str] = {}


_settings_module(__name__)
