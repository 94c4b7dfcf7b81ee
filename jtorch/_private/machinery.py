"""Names of PyTorch's own machinery that libraries import whether they use them or not: they can be imported, subclassed and asked for by ``isinstance``, and refuse
when they are called. One table, by what the machinery is; a module that is written as a file stands before its entry here.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from jtorch._errors import not_implemented

__all__ = ["MODULES", "found"]

_COMPILER = "XLA compiles: there is no such intermediate program"
_BYTECODE = "Python's bytecode is not captured"
_QUANTIZED = "quantised tensors are not carried; torch.ao.quantization.FakeQuantize simulates them"
_KERNELS = "XLA chooses its kernels itself"
_EXPORT = "TorchScript's exporter is not there"
_SYMBOLS = "sizes are numbers here, never symbols"
_JAGGED = "jagged tensors are not carried; use torch.nn.utils.rnn.pad_sequence"
_TESTS = "PyTorch's own tests need PyTorch's wheel"

_FUSED = "BNReLU2d BNReLU3d ConvReLU1d ConvReLU2d ConvReLU3d LinearReLU"
# Converted modules, which hold quantised tensors, by torch's modules.
CONVERTED = {
    "activation": "ELU Hardswish LeakyReLU MultiheadAttention PReLU ReLU6 Sigmoid Softmax", "batchnorm": "BatchNorm2d BatchNorm3d", "dropout": "Dropout",
    "conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d", "embedding_ops": "Embedding EmbeddingBag EmbeddingPackedParams", "linear": "Linear LinearPackedParams",
    "normalization": "GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d LayerNorm", "rnn": "LSTM", "functional_modules": "QFunctional", "utils": "DeQuantize Quantize",
}  # fmt: skip
# What to use instead or why not: {module: its names}. A name with a capital is a class, ``Class.name`` stands in it.
MODULES: dict[str, dict[str, str]] = {
    _COMPILER: {
        "torch._inductor.codegen": "", "torch._inductor.codegen.common": "CSEVariable Kernel OpOverrides", "torch._inductor.codegen.cpp_template": "CppTemplate",
        "torch._inductor.codegen.cpp_template_kernel": "CppTemplateKernel parse_expr_with_index_symbols wrap_with_tensorbox", "torch._inductor.codegen.triton": "TritonOverrides TritonScheduling",
        "torch._inductor.codegen.cpp": "CppScheduling", "torch._inductor.codegen.wrapper": "PythonWrapperCodegen",
        "torch._inductor.compile_fx": "compile_fx compile_fx_inner graph_returns_tuple make_graph_return_tuple",
        "torch._inductor.codecache": "CodeCacheFuture FxGraphCache FxGraphHashDetails PyCodeCache code_hash compiled_fx_graph_hash write",
        "torch._inductor.constant_folding": "ConstantFolder constant_fold", "torch._inductor.cpp_builder": "CppBuilder CppOptions CppTorchOptions get_cpp_compiler normalize_path_separator",
        "torch._inductor.cpu_vec_isa": "VecISA pick_vec_isa valid_vec_isa_list", "torch._inductor.custom_graph_pass": "CustomGraphPass get_hash_for_files",
        "torch._inductor.decomposition": "select_decomp_table", "torch._inductor.exc": "CppCompileError InductorError",
        "torch._inductor.freezing_utils": "enter_freezing is_frozen_param maybe_set_is_frozen_param record_has_frozen_params", "torch._inductor.fx_passes": "",
        "torch._inductor.fx_passes.freezing_patterns": "freezing_passes register_freezing_graph_pattern",
        "torch._inductor.fx_passes.mkldnn_fusion": (
            "_gelu_fusion_1 _gelu_fusion_2 _get_remaining_users _hardswish_fusion _hardtanh_fusion _leaky_relu_fusion _silu_fusion"
        ),
        "torch._inductor.fx_passes.post_grad": "view_to_reshape", "torch._inductor.fx_passes.quantization": "", "torch._inductor.fx_utils": "get_node_storage",
        "torch._inductor.graph": "GraphLowering",
        "torch._inductor.ir": (
            "Buffer ChoiceCaller ComputedBuffer CppTemplateBuffer ExternKernel ExternKernelAlloc FallbackKernel FixedLayout FlexibleLayout IRNode InputBuffer Layout "
            "MultiOutput MultiOutputLayout Pointwise Pointwise.create Reduction ShapeAsConstantBuffer StorageBox TensorBox TensorBox.create TemplateBuffer View get_fill_order"
        ),
        "torch._inductor.kernel": "", "torch._inductor.kernel.flex": "", "torch._inductor.kernel.flex.common": "construct_strides maybe_realize", "torch._inductor.kernel.mm": "tuned_mm",
        "torch._inductor.lowering": "add_layout_constraint expand fallback_handler lowerings make_fallback register_lowering to_dtype", "torch._inductor.metrics": "reset",
        "torch._inductor.mkldnn_lowerings": "register_onednn_fusion_ops",
        "torch._inductor.pattern_matcher": (
            "Arg CallFunction CallFunctionVarArgs CallMethod Ignored KeywordArg ListOf Match MultiOutputPattern PatternExpr PatternMatcherPass filter_nodes fwd_only gen_pattern "
            "gen_register_replacement get_arg_value init_once_fakemode joint_fwd_bwd register_graph_pattern register_lowering_pattern register_replacement stable_topological_sort"
        ),
        "torch._inductor.runtime": "", "torch._inductor.runtime.cache_dir_utils": "cache_dir", "torch._inductor.runtime.hints": "AutotuneHint DeviceProperties HeuristicType ReductionHint", "torch._inductor.runtime.benchmarking": "benchmarker",
        "torch._inductor.runtime.triton_helpers": "libdevice math", "torch._inductor.runtime.runtime_utils": "next_power_of_2",
        "torch._inductor.select_algorithm": "DataProcessorTemplateWrapper ExternKernelChoice TritonTemplate autotune_select_algorithm realize_inputs",
        "torch._inductor.scheduler": "BaseSchedulerNode Scheduler SchedulerNode",
        "torch._inductor.standalone_compile": "CompiledArtifact standalone_compile", "torch._inductor.test_case": "TestCase run_tests",
        "torch._inductor.utils": "do_bench_using_profiling fresh_cache fresh_inductor_cache get_fused_kernel_name parallel_num_threads run_and_get_code run_and_get_triton_code",
        "torch._inductor.virtualized": "OpsHandler OpsValue V ops ops.constant ops.maximum ops.minimum ops.to_dtype ops.truediv", "torch._functorch._aot_autograd": "",
        "torch._higher_order_ops": "", "torch._higher_order_ops.out_dtype": "out_dtype", "torch._higher_order_ops.triton_kernel_wrap": "TraceableTritonKernelWrapper",
        "torch._higher_order_ops.auto_functionalize": "auto_functionalized auto_functionalized_v2", "torch._higher_order_ops.effects": "with_effects",
        "torch._functorch._aot_autograd.functional_utils": "from_fun to_fun",
        "torch._functorch._aot_autograd.schemas": "AOTConfig GraphSignature", "torch._functorch.compile_utils": "fx_graph_cse strip_overloads",
        "torch._functorch.compilers": "aot_module draw_graph nop ts_compile", "torch._functorch.partitioners": "default_partition draw_graph min_cut_rematerialization_partition",
    },
    _BYTECODE: {
        "torch._dynamo.backends": "", "torch._dynamo.backends.common": "AotAutograd aot_autograd fake_tensor_unsupported", "torch._dynamo.backends.debugging": "ExplainOutput",
        "torch._dynamo.compiled_autograd": "_enable _disable AutogradCompilerInstance", "torch._dynamo.bytecode_transformation": "Instruction create_call_function create_instruction",
        "torch._dynamo.codegen": "PyCodegen", "torch._dynamo.convert_frame": "ConvertFrame compile_lock", "torch._dynamo.guards": "GuardBuilder CheckFunctionManager",
        "torch._dynamo.output_graph": "OutputGraph OutputGraph._get_stack_values_to_restore", "torch._dynamo.side_effects": "SideEffects", "torch._dynamo.symbolic_convert": "InstructionTranslator InstructionTranslatorBase",
        "torch._dynamo.source": "AttrSource ConstantSource GetItemSource GlobalSource LocalSource NegateSource Source TensorProperty TensorProperty.SIZE TensorProperty.STORAGE_OFFSET TensorProperty.STRIDE TensorPropertySource",
        "torch._dynamo.testing": "CompileCounter CompileCounterWithBackend EagerAndRecordGraphs normalize_gm rand_strided same",
        "torch._dynamo.variables": "ConstantVariable ConstantVariable.create TensorVariable UserDefinedObjectVariable VariableTracker", "torch._dynamo.variables.base": "MutableLocal VariableTracker",
        "torch._dynamo.variables.builder": "VariableBuilder wrap_fx_proxy", "torch._dynamo.variables.constant": "ConstantVariable",
        "torch._dynamo.variables.functions": "NestedUserFunctionVariable UserFunctionVariable UserMethodVariable", "torch._dynamo.variables.higher_order_ops": "TorchHigherOrderOperatorVariable TorchHigherOrderOperatorVariable.make make_attr speculate_subgraph unimplemented",
        "torch._dynamo.variables.lists": "ListVariable TupleVariable",
        "torch._dynamo.variables.tensor": "TensorVariable", "torch._dynamo.variables.torch": "TorchInGraphFunctionVariable",
        "torch._dynamo.variables.user_defined": "UserDefinedClassVariable UserDefinedObjectVariable",
    },
    _QUANTIZED: {
        "torch.ao.ns": "", "torch.ao.ns._numeric_suite": "compare_model_outputs compare_weights", "torch.ao.ns._numeric_suite_fx": "OutputLogger add_loggers extract_logger_info", "torch.ao.ns.fx": "",
        "torch.ao.ns.fx.utils": "compute_cosine_similarity compute_normalized_l2_error compute_sqnr",
        "torch.ao.pruning": "BaseScheduler BaseSparsifier FakeSparsity WeightNormSparsifier fqn_to_module get_arg_info_from_tensor_fqn module_to_fqn",
        **{f"{at}{end}": _FUSED for at in ("torch.ao.nn.intrinsic.quantized", "torch.nn.intrinsic.quantized") for end in ("", ".modules", ".modules.bn_relu", ".modules.conv_relu", ".modules.linear_relu")},
        **{f"{at}.{part}": names for at in ("torch.ao.nn.quantized.modules", "torch.nn.quantized.modules") for part, names in CONVERTED.items()},
        **{f"{at}.quantized.dynamic.modules.conv": CONVERTED["conv"] for at in ("torch.nn", "torch.ao.nn")}, "torch.nn.quantized.functional": "", "torch.ao.nn.quantized.functional": "", "torch.ao.nn.quantized.reference": "Conv1d Conv2d Linear",
        "torch.ao.quantization.backend_config": (
            "BackendConfig BackendConfig.from_dict BackendPatternConfig DTypeConfig DTypeWithConstraints ObservationType get_executorch_backend_config get_native_backend_config get_tensorrt_backend_config"
        ),
        "torch.ao.quantization.backend_config.utils": (
            "get_fused_module_classes get_fusion_pattern_to_fuse_handler_cls get_module_to_qat_module get_pattern_to_dtype_configs get_qat_module_classes get_root_module_to_quantized_reference_module"
        ),
        "torch.ao.quantization.fx": "", "torch.ao.quantization.fx._equalize": "EqualizationQConfig convert_eq_obs update_obs_for_equalization",
        "torch.ao.quantization.fx._decomposed": "_per_token_quant_qparam_dim_check quantize_per_channel_group quantized_decomposed_lib",
        "torch.ao.quantization.fx.convert": "convert", "torch.ao.quantization.fx.fuse": "fuse",
        "torch.ao.quantization.fx.custom_config": "ConvertCustomConfig ConvertCustomConfig.from_dict FuseCustomConfig PrepareCustomConfig StandaloneModuleConfigEntry",
        "torch.ao.quantization.fx.graph_module": "FusedGraphModule ObservedGraphModule ObservedStandaloneGraphModule _is_observed_module _is_observed_standalone_module",
        "torch.ao.quantization.fx.lower_to_fbgemm": "lower_to_fbgemm", "torch.ao.quantization.fx.prepare": "_insert_obs_or_fq _is_activation_post_process_node _save_state prepare",
        "torch.ao.quantization.fx.qconfig_mapping_utils": (
            "_compare_prepare_convert_qconfig_mappings _generate_node_name_to_qconfig _is_qconfig_supported_by_dtype_configs _update_qconfig_for_fusion _update_qconfig_for_qat"
        ),
        "torch.ao.quantization.fx.utils": "_get_module all_node_args_have_no_tensors assert_and_get_unique_device collect_producer_nodes create_getattr_from_value get_custom_module_class_keys get_new_attr_name_with_prefix graph_module_from_producer_nodes node_arg_is_weight",
        "torch.ao.quantization.pt2e": "", "torch.ao.quantization.pt2e.export_utils": "_move_exported_model_to_eval _move_exported_model_to_train model_is_exported",
        "torch.ao.quantization.pt2e.utils": "_fold_conv_bn_qat _fuse_conv_bn_", "torch.ao.quantization.quantize_pt2e": "convert_pt2e prepare_pt2e prepare_qat_pt2e",
        "torch.ao.quantization.quantizer": "EdgeOrNode QuantizationAnnotation QuantizationSpec Quantizer SharedQuantizationSpec",
        "torch.ao.quantization.quantizer.quantizer": "QuantizationAnnotation QuantizationSpec Quantizer SharedQuantizationSpec",
        "torch.ao.quantization.quantize_fx": "_convert_to_reference_decomposed_fx convert_fx convert_to_reference_fx fuse_fx prepare_fx prepare_qat_fx",
        "torch.ao.quantization.quantization_mappings": "get_default_static_quant_module_mappings no_observer_set",
    },
    _KERNELS: {
        "torch.sparse._triton_ops": (
            "bsr_dense_addmm bsr_dense_mm broadcast_batch_dims launch_kernel prepare_inputs ptr_stride_extractor sampled_addmm scatter_mm tile_to_blocksize"
        ),
        "torch.sparse._triton_ops_meta": "create_blocked_tensor dump get_meta minimize optimize_bsr_dense_addmm update",
        "torch.sparse._semi_structured_ops": "fallback_dispatcher semi_sparse_linear semi_sparse_mm", "torch.sparse._semi_structured_conversions": "sparse_semi_structured_from_dense_cutlass",
        "torch.backends._nnapi": "", "torch.backends._nnapi.prepare": "convert_model_to_nnapi", "torch.cuda._gpu_trace": "", "torch.cuda.sparse": "", "torch.cuda._utils": "_get_device_index",
        "torch._prims_common.wrappers": "_maybe_convert_to_dtype elementwise_type_promotion_wrapper out_wrapper", "torch._dispatch": "", "torch._dispatch.python": "enable_python_dispatcher",
        "torch.profiler._utils": "_init_for_cuda_graphs", "torch.nn.attention.experimental": "",
        "torch.nn.attention.experimental._scaled_dot_product_attention_quantized": "_scaled_dot_product_attention_quantized",
    },
    _EXPORT: {
        "torch.onnx._internal": "", "torch.onnx._internal.exporter": "ExportableModule", "torch.onnx._internal.jit_utils": "GraphContext", "torch.onnx._internal.registration": "custom_onnx_symbolic",
        "torch.onnx._internal.torchscript_exporter": "", "torch.onnx._internal.torchscript_exporter._globals": "GLOBALS", "torch.onnx.symbolic_registry": "get_registered_op register_op", "torch.onnx.symbolic_opset9": "", "torch.onnx.symbolic_opset11": "", "torch.onnx.utils": "_export export register_custom_op_symbolic unregister_custom_op_symbolic",
        "torch.utils.tensorboard._pytorch_graph": "GraphPy NodePyIO graph parse",
    },
    _SYMBOLS: {
        "torch.utils._sympy": "", "torch.utils._sympy.functions": "CeilDiv FloorDiv Mod ModularIndexing", "torch.utils._sympy.numbers": "IntInfinity int_oo", "torch.utils._sympy.symbol": "SymT",
        "torch.utils._sympy.value_ranges": "ValueRangeError ValueRanges bound_sympy", "torch.fx.experimental.sym_node": "SymNode",
        "torch._export": "", "torch._export.config": "patch", "torch._export.error": "InternalError", "torch._export.utils": "_disable_aten_to_metadata_assertions _is_cia_op",
        "torch.export._trace": "_export",
    },
    _JAGGED: {
        "torch.nested._internal": "", "torch.nested._internal.nested_tensor": "NestedTensor _tensor_symint_registry buffer_from_jagged jagged_from_list nested_view_from_values_offsets",
        "torch.nested._internal.ops": "extract_kwargs register_jagged_func", "torch.nested._internal.sdpa": "jagged_scaled_dot_product_attention",
    },
    _TESTS: {
        "torch.testing._internal": "", "torch.testing._internal.common_pruning": (
            "Conv2dActivation Conv2dBias Conv2dPadBias Conv2dPool Conv2dPoolFlatten Conv2dPoolFlattenFunctional LSTMLayerNormLinearModel LSTMLinearModel LinearActivation "
            "LinearActivationFunctional LinearBias SimpleConv2d SimpleLinear ImplementedSparsifier MockSparseLinear rows_are_subset"
        ),
        "torch.testing._internal.common_quantization": "NodeSpec QuantizationTestCase TestHelperModules skipIfNoONEDNN", "torch.testing._internal.common_distributed": "MultiProcessTestCase MultiThreadedTestCase skip_if_lt_x_gpu",
        "torch.testing._internal.distributed": "", "torch.testing._internal.distributed._tensor": "",
        "torch.testing._internal.distributed._tensor.common_dtensor": "DTensorTestBase NUM_DEVICES with_comms", "torch.testing._internal.distributed.fake_pg": "FakeStore",
        "torch.testing._internal.inductor_utils": "clone_preserve_strides_offset", "torch.testing._internal.two_tensor": "TwoTensor", "torch.testing._internal.logging_tensor": "LoggingTensor",
    },
}  # fmt: skip
# Modules that only show under a second name what stands elsewhere (a module of torch's): {module: (where, names, or * for all)}.
_AO, _BENCH = "torch.ao.quantization", "torch.utils.benchmark"
_ALL_QUANTIZED = " ".join(["FloatFunctional FXFloatFunctional", *CONVERTED.values()])
_MEMORY = "empty_cache get_memory_info max_memory_allocated max_memory_reserved memory_allocated memory_reserved memory_stats reset_accumulated_memory_stats reset_peak_memory_stats"
_PIPES = "torch.utils.data.datapipes.iter"
_MASKED = "MaskedTensor as_masked_tensor is_masked_tensor masked_tensor"
ELSEWHERE: dict[str, tuple[str, str]] = {
    **{f"{at}{end}": ("torch.ao.nn.intrinsic", "*") for at in ("torch.nn.intrinsic", "torch.ao.nn.intrinsic.modules") for end in ("", ".modules" if at.startswith("torch.nn") else ".fused")},
    **{f"torch.{at}": ("torch.ao.nn.intrinsic.qat", "*") for at in ("nn.intrinsic.qat", "ao.nn.intrinsic.qat.modules")}, **{f"torch.{at}": ("torch.ao.nn.qat", "*") for at in ("nn.qat", "ao.nn.qat.modules")},
    "torch.nn.quantized.dynamic": ("torch.ao.nn.quantized.dynamic", "*"),
    f"{_AO}.fuser_method_mappings": (_AO, "get_fuser_method"), "torch.quantization.stubs": (_AO, "DeQuantStub QuantStub QuantWrapper"),
    "torch.quantization.qconfig": (_AO, "QConfig default_qconfig get_default_qat_qconfig get_default_qconfig"), "torch.nn.quantized.modules": ("torch.ao.nn.quantized", _ALL_QUANTIZED),
    **{f"{at}.quantized.modules.functional_modules": ("torch.ao.nn.quantized", "FloatFunctional FXFloatFunctional") for at in ("torch.nn", "torch.ao.nn")},
    "torch.ao.nn.quantized.modules": ("torch.ao.nn.quantized", _ALL_QUANTIZED),
    "torch._inductor.decomposition": ("torch._decomp", "register_decomposition"), "torch._library": ("torch.library", ""), "torch.testing._internal.optests": ("torch.library", "opcheck"), "torch._weights_only_unpickler": ("torch.serialization", ""),
    "torch.nn.utils._per_sample_grad": ("torch.func", ""), "torch._library.infer_schema": ("torch.library", "infer_schema"),
    "torch._library.custom_ops": ("torch.library", "CustomOpDef custom_op"), "torch._library.utils": ("torch.library", ""), "torch._library.triton": ("torch.library", "triton_op wrap_triton"),
    "torch._decomp.decompositions": ("torch._decomp", "register_decomposition"),
    "torch.jit._async": ("torch.jit", "fork wait"), "torch.jit._freeze": ("torch.jit", "freeze optimize_for_inference run_frozen_optimizations"), "torch.jit._fuser": ("torch.jit", "optimized_execution set_fusion_strategy"),
    "torch.package.package_exporter": ("torch.package._exporter", "EmptyMatchError PackageExporter PackagingError PackagingErrorReason"),
    "torch.package.package_importer": ("torch.package", "PackageImporter"), "torch.package.file_structure_representation": ("torch.package", "Directory"),
    "torch.package.importer": ("torch.package", "Importer ObjMismatchError ObjNotFoundError OrderedImporter sys_importer"), "torch.package.glob_group": ("torch.package._patterns", "GlobGroup"),
    "torch.package.find_file_dependencies": ("torch.package._exporter", "find_files_source_depends_on"), "torch.package.analyze.is_from_package": ("torch.package", "is_from_package"),
    **{f"torch.distributed.optim.functional_{n.lower()}": ("torch.distributed.optim", f"_Functional{n}") for n in "Adadelta Adagrad Adam Adamax AdamW RMSprop Rprop SGD".split()},
    "torch.jit._monkeytype_config": ("torch.jit", ""), "torch.autograd.anomaly_mode": ("torch.autograd", "detect_anomaly set_detect_anomaly"),
    f"{_BENCH}.utils": (_BENCH, ""), f"{_BENCH}.utils.common": (_BENCH, "Measurement TaskSpec ordered_unique select_unit set_torch_threads trim_sigfig unit_to_english"), f"{_BENCH}.utils.timer": (_BENCH, "Timer timer Language"), f"{_BENCH}.utils.compare": (_BENCH, "Colorize Compare"),
    **{f"{_PIPES}.{kind.lower()}": (f"{_PIPES}.files", f"{kind}IterDataPipe") for kind in ("FileLister", "FileOpener", "StreamReader")},
    "torch.signal.windows.windows": ("torch.signal.windows", "*"), "torch.accelerator.memory": ("torch.accelerator", _MEMORY), "torch.masked.maskedtensor": ("torch.masked", _MASKED),
    "torch.masked.maskedtensor.core": ("torch.masked", "MaskedTensor is_masked_tensor"), "torch.masked.maskedtensor.creation": ("torch.masked", "as_masked_tensor masked_tensor"),
    **{f"torch.nn.intrinsic.{at}": ("torch.ao.nn.intrinsic", "*") for at in ("modules.fused",)},
    **{f"torch.nn.intrinsic.qat.modules{at}": ("torch.ao.nn.intrinsic.qat", "*") for at in ("", ".conv_fused", ".linear_fused", ".linear_relu")},
    **{f"torch.nn.qat.modules{at}": ("torch.ao.nn.qat", "*") for at in ("", ".conv", ".embedding_ops", ".linear")},
    **{f"torch.nn.qat.dynamic{at}": ("torch.ao.nn.qat", "Linear") for at in ("", ".modules", ".modules.linear")},
    **{f"{at}.quantized.dynamic.modules{part}": ("torch.ao.nn.quantized.dynamic", "*") for at in ("torch.nn", "torch.ao.nn") for part in ("", ".linear", ".rnn")},
}  # fmt: skip
_MODULES = {module: (names.split(), why) for why, modules in MODULES.items() for module, names in modules.items()}
_PACKAGES = {module.rpartition(".")[0] for module in (*_MODULES, *ELSEWHERE)}
_made: dict[str, ModuleType] = {}


def refusing_class(name: str, where: str, why: str) -> Any:
    """A class to be imported and subclassed, whose instances cannot be made."""

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        not_implemented(f"{where}.{name}, part of PyTorch's own machinery", why)

    return type(name, (), {"__new__": new, "__module__": where, "__doc__": f"``{where}.{name}``. {why}.", "__class_getitem__": classmethod(lambda cls, _: cls)})


def refusing_function(name: str, where: str, why: str) -> Any:
    """A function to be imported, which cannot be called."""

    def call(*args: Any, **kwargs: Any) -> Any:
        not_implemented(f"{where}.{name}, part of PyTorch's own machinery", why)

    call.__name__ = call.__qualname__ = name
    call.__module__, call.__doc__ = where, f"``{where}.{name}``. {why}."
    return call


def found(path: str) -> ModuleType | None:
    """The module of torch's machinery under this name, None if the table does not have it."""
    if path not in _MODULES and path not in ELSEWHERE or path in _made:
        return _made.get(path)
    names, why = _MODULES.get(path, ((), ""))
    module = _made[path] = ModuleType(path, f"``{path}``, as far as libraries name it. {why}.")
    where, shown = ELSEWHERE.get(path, ("", ""))
    for name in importlib.import_module(where).__all__ if shown == "*" else shown.split():
        setattr(module, name, getattr(importlib.import_module(where), name))
    if path in _PACKAGES:
        module.__path__ = []  # a package, or the import system asks for nothing below it
    for name in names:
        owner, _, part = name.rpartition(".")
        if owner:  # of a class or a namespace that stands before it
            setattr(getattr(module, owner), part, staticmethod(refusing_function(part, f"{path}.{owner}", why)))
            continue
        setattr(module, name, (refusing_class if name.lstrip("_")[:1].isupper() else refusing_function)(name, path, why))
    return module
