"""Modules of torch below its packages: their names are there under the same paths and do the same. Graphs in archives of torch.package are read by the other library."""

from __future__ import annotations

from pathlib import Path

from compat.run_both import run_text

PROGRAM = """
import io, pickle, sys, warnings
warnings.simplefilter("ignore")
import torch, torch.package.file_structure_representation, torch.package.glob_group, torch.package.importer
from torch.package.package_exporter import PackagingErrorReason, PackageExporter, PackagingError
from torch.package.analyze import find_first_use_of_broken_modules, trace_dependencies
from torch.package.analyze.is_from_package import is_from_package
from torch.package.find_file_dependencies import find_files_source_depends_on
from torch.jit.frontend import get_default_args, get_default_args_for_class, NotSupportedError, FrontendError
import torch.distributed.optim.functional_sgd, torch.distributed.checkpoint.resharding
from torch.export.unflatten import UnflattenedModule
from torch.distributed.rendezvous import rendezvous
import torch.distributed as dist, torch.distributed.optim as optimizers
print(type(torch.export.unflatten).__name__, dist.rendezvous is rendezvous, dist.breakpoint.__module__, optimizers.PostLocalSGDOptimizer, UnflattenedModule)  # a function, not the module of its name
from torch.distributed.fsdp import DataParallelMeshDims
from torch.multiprocessing.reductions import init_reductions
for given in (("a",), (("a", "b"), "c"), (None, "c"), ()):
    try: dims = DataParallelMeshDims(*given); print(dims, dims.shard_names, dims.replicate_names)
    except ValueError as error: print(error)
print(list(PackagingErrorReason), init_reductions())
try:
    with PackageExporter(io.BytesIO()) as e:
        e.deny("numpy.**")
        e.save_source_string("m", "import numpy.linalg\\nimport nobody_has\\n")
except PackagingError as error:
    print(error, find_first_use_of_broken_modules(error), {k: v["error"] for k, v in error.dependency_graph.nodes.items() if "error" in v})
try: find_first_use_of_broken_modules(ValueError())
except AssertionError as error: print(error)
print(sorted(find_files_source_depends_on("import a.b, c\\nfrom .d import e\\nfrom f import *\\n__import__('g.h')\\n__import__('i.j', {}, {}, ['k', '*'])", "pkg.x"), key=str))
def f(x): return g(x) + pickle.dumps(x)
def g(x): return b""
class K:
    def m(self, a=1): return f(1)
    def n(self, a, *, b="x"): pass
print(sorted(trace_dependencies(f, [(1,), (2,)])), sorted(trace_dependencies(K().m, [()])), is_from_package(K))
print(get_default_args(K.n), get_default_args(None), get_default_args_for_class(K), issubclass(NotSupportedError, FrontendError))
class Net(torch.nn.Module):
    def __init__(self): super().__init__(); self.l = torch.nn.Linear(2, 2)
    def forward(self, x): return self.l(x).relu() + 1
from torch.multiprocessing import get_context
from torch.multiprocessing.queue import Queue, SimpleQueue
for kind in (Queue, SimpleQueue):
    q = kind(ctx=get_context("fork")); q.put(torch.arange(3)); print(q.get().tolist(), type(q._reader).__name__)
torch.manual_seed(0)
with PackageExporter(FOLDER + ("/j" if "jtorch" in sys.modules else "/t")) as e:
    e.extern("torch.**"); e.save_pickle("a", "b.pkl", torch.fx.symbolic_trace(Net()))
"""
READ = """
from torch.package.package_importer import PackageImporter
import torch
for name in "jt":
    net = PackageImporter(FOLDER + "/" + name).load_pickle("a", "b.pkl")
    print(type(net).__name__, net(torch.ones(1, 2)), net.code)
"""
POOL = """
from torch.multiprocessing import get_context
from torch.multiprocessing.pool import Pool
with Pool(1, context=get_context("fork")) as p: print(p.map(torch.neg, [torch.ones(2), torch.zeros(1)]))
"""


def _printed(library: str, program: str) -> str:
    done = run_text(library, program)
    assert not done.error, done.error
    return done.text.replace("jtorch", "torch")


def test_names_below_packages(tmp_path: Path) -> None:
    where = f"FOLDER = {str(tmp_path)!r}\n"
    theirs = _printed("torch", where + PROGRAM)
    ours = _printed("jtorch", where + PROGRAM + READ + POOL)  # torch's own pool makes its queues without a context, and does not start under this Python
    assert ours == theirs + _printed("torch", where + READ) + "[tensor([-1., -1.]), tensor([-0.])]\n"
