"""What programs ask of accelerators, on a machine without one: the same answers, or exceptions of the same type."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch

from compat import bridge

# Calls by module; texts without blanks, so that blanks part them.
CALLS = {
    "cuda": """
        is_available() device_count() is_initialized() init() current_device() set_device(0) set_device(-1) set_device('cuda:0') device(0).__enter__()
        device(-1).__enter__() device('cuda:0').__enter__() device_of(torch.ones(1)).__enter__() get_device_name() get_device_name(0)
        get_device_capability() get_device_properties() get_device_properties(0) get_device_properties('cuda') synchronize() empty_cache()
        memory_allocated() max_memory_allocated() memory_reserved() max_memory_reserved() memory_cached() max_memory_cached() reset_peak_memory_stats()
        reset_max_memory_allocated() reset_max_memory_cached() reset_accumulated_memory_stats() memory_stats() memory_stats_as_nested_dict()
        memory_summary()[:40] memory_snapshot() mem_get_info() set_per_process_memory_fraction(0.5) get_per_process_memory_fraction()
        list_gpu_processes() host_memory_stats() is_bf16_supported() is_bf16_supported(False) is_tf32_supported() manual_seed(0) manual_seed_all(0)
        seed() seed_all() initial_seed() get_rng_state() set_rng_state(torch.zeros(16,dtype=torch.uint8)) get_rng_state_all() set_rng_state_all([])
        Stream() Event() Event().record() Event(enable_timing=True) current_stream() default_stream() stream(None).__enter__()
        StreamContext(None).__enter__() set_stream(None) current_blas_handle() is_current_stream_capturing() CUDAGraph() graph_pool_handle()
        get_arch_list() get_gencode_flags() can_device_access_peer(0,1) get_sync_debug_mode() set_sync_debug_mode(0) utilization() temperature()
        power_draw() clock_rate() memory_usage() ipc_collect() default_generators has_half has_magma cudart() caching_allocator_alloc(8) MemPool()
        nvtx.range_push("a") nvtx.range_pop() nvtx.mark("a") nvtx.range("a").__enter__() amp.GradScaler().is_enabled() FloatTensor([1.])
        OutOfMemoryError DeferredCudaCallError x:x,()) host_memory_stats_as_nested_dict() graph(None).__enter__()
    """,
    "accelerator": """
        is_available() current_accelerator() device_count() current_device_index() current_device_idx() current_stream() synchronize()
        set_device_index(0) set_device_idx(0) set_stream(None) device_index(0).__enter__() device_index(None).__enter__() empty_cache()
        memory_allocated() memory_reserved() max_memory_allocated() max_memory_reserved() memory_stats() reset_accumulated_memory_stats()
        reset_peak_memory_stats() get_memory_info() get_device_capability() memory.memory_allocated() current_accelerator(check_available=True)
    """,
    "mps": """
        is_available() device_count() manual_seed(0) synchronize() empty_cache() current_allocated_memory() seed() get_rng_state()
        driver_allocated_memory() recommended_max_memory() set_per_process_memory_fraction(.5)
    """,
    "xpu": """
        is_available() device_count() manual_seed(0) manual_seed_all(0) synchronize() empty_cache() memory_allocated() current_device()
        get_device_name() is_initialized() Stream() Event() get_rng_state() seed() get_device_properties() is_bf16_supported() current_stream()
        set_device(0) memory_stats() get_arch_list()
    """,
    "cpu": """
        is_available() device_count() synchronize() current_device() current_stream() Stream() stream(torch.cpu.Stream()).__enter__() set_device(0)
        is_initialized() StreamContext
    """,
    "backends": """
        cuda.is_built() cuda.matmul.allow_tf32 cuda.matmul.fp32_precision cuda.matmul.allow_fp16_reduced_precision_reduction cuda.matmul.nothing
        cuda.cufft_plan_cache.size cuda.cufft_plan_cache.max_size cuda.flash_sdp_enabled() cuda.mem_efficient_sdp_enabled() cuda.math_sdp_enabled()
        cuda.cudnn_sdp_enabled() cuda.fp16_bf16_reduction_math_sdp_allowed() cuda.is_flash_attention_available()
        cudnn.is_available() cudnn.version() cudnn.enabled cudnn.benchmark cudnn.deterministic cudnn.allow_tf32 cudnn.benchmark_limit
        cudnn.is_acceptable(torch.ones(1)) cudnn.conv.fp32_precision cudnn.rnn.fp32_precision mkldnn.enabled mkldnn.deterministic mkldnn.allow_tf32
        mkldnn.VERBOSE_ON mkldnn.conv.fp32_precision mkldnn.matmul.fp32_precision mkldnn.rnn.fp32_precision mkldnn.is_acl_available()
        mps.is_available() mps.is_built() opt_einsum.is_available() opt_einsum.enabled opt_einsum.strategy mha.get_fastpath_enabled()
        kleidiai.is_available() cusparselt.is_available() cusparselt.version() cusparselt.get_max_alg_id() miopen.immediate fp32_precision
         openmp.nothing cuda.nothing
    """,
}
CASES = [f"{space}.{call}" for space, calls in CALLS.items() for call in calls.split()]


def answer(library: Any, call: str) -> str:
    """What a call gives, as text, or the type of its exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = eval(f"torch.{call}", {"torch": library})
        except Exception as error:
            return type(error).__name__
    return re.sub(r" at 0x[0-9a-f]+", "", str(found)).replace("jtorch", "torch")


@pytest.mark.skipif(torch.cuda.is_available() or bridge.jtorch().cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("call", CASES)
def test_answers_as_torch(call: str) -> None:
    assert answer(bridge.jtorch(), call) == answer(torch, call)


def test_flags_are_kept_for_a_while() -> None:
    def seen(t: Any) -> list[Any]:
        b = t.backends.cudnn
        noted = []
        with b.flags(enabled=False, benchmark=True):
            noted += [b.enabled, b.benchmark]
        noted += [b.enabled, b.benchmark]
        with t.backends.mkldnn.flags(enabled=False):
            noted.append(t.backends.mkldnn.enabled)
        return [*noted, t.backends.mkldnn.enabled]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert seen(bridge.jtorch()) == seen(torch)


@pytest.mark.skipif(torch.cuda.is_available() or bridge.jtorch().cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cpu", "meta", "cuda", "cuda:0", 0, None, 1.5, [1]])
def test_cuda_of_a_tensor_and_a_module(device: Any) -> None:
    def outcome(t: Any, make: Any) -> tuple[str, str]:
        with pytest.raises((RuntimeError, AssertionError, TypeError)) as error:
            make(t).cuda(device)
        return error.type.__name__, str(error.value).partition(": JAX")[0]

    for make in (lambda t: t.ones(2), lambda t: t.nn.Linear(1, 1)):
        assert outcome(bridge.jtorch(), make) == outcome(torch, make)
