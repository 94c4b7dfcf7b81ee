"""Archives of code and objects."""

import io
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from torch.package import EmptyMatchError, OrderedImporter, PackageExporter, PackageImporter, PackagingError, is_from_package, sys_importer

folder = Path(tempfile.mkdtemp())
sys.path.insert(0, str(folder))
(folder / "packed_nets").mkdir()
(folder / "packed_nets" / "__init__.py").write_text("from .layers import Net\nfrom . import data\n__all__ = ['Net']\n")
(folder / "packed_nets" / "layers.py").write_text(
    "import math\nimport torch\nfrom packed_unused import helper\nfrom .data import SIZE\n\n\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.fc = torch.nn.Linear(SIZE, math.floor(2.5))\n\n    def forward(self, x):\n        return torch.relu(self.fc(x))\n"
)
(folder / "packed_nets" / "data.py").write_text("SIZE = 3\n")
(folder / "packed_unused.py").write_text("def helper():\n    return 1\n")
import packed_nets  # noqa: E402

torch.manual_seed(0)
net, x = packed_nets.Net(), torch.ones(1, 3)
file = io.BytesIO()
seen = []
with PackageExporter(file) as out:
    out.register_mock_hook(lambda e, name: seen.append(("mock", name)))
    out.register_intern_hook(lambda e, name: seen.append(("intern", name)))
    out.mock("packed_unused")
    out.intern("packed_nets.**")
    out.save_pickle("models", "net.pkl", net)
    out.save_pickle("models", "two.pkl", {"a": net.fc.weight, "b": net.fc.weight.detach()[0]})
    out.save_text("models", "note.txt", "hello")
    out.save_binary("models", "raw.bin", b"\x01\x02")
    out.save_source_string("extra", "import packed_nets\nVALUE = packed_nets.data.SIZE + 1\n")
    print(out.get_unique_id(), out.get_unique_id(), out.externed_modules(), out.interned_modules(), out.mocked_modules(), out.denied_modules())
    print(out.get_rdeps("packed_nets.data"), out.dependency_graph_string())
print(sorted(seen))
file.seek(0)
package = PackageImporter(file)
again = package.load_pickle("models", "net.pkl")
print(torch.equal(again(x), net(x)), type(again) is packed_nets.Net, is_from_package(again), is_from_package(net), type(again).__module__.partition(".")[2])
two = package.load_pickle("models", "two.pkl")
two["b"].fill_(7)
print(two["a"][0].tolist(), package.load_text("models", "note.txt"), package.load_binary("models", "raw.bin"), package.import_module("extra").VALUE, package.python_version() is not None)
print(package.file_structure(include="packed_nets/**", exclude="**/data.py"), package.file_structure().has_file("models/note.txt"))
print(package.import_module("packed_nets.layers").helper)
for wrong in (lambda: package.import_module("packed_nets.layers").helper(), lambda: package.import_module("json5"), lambda: package.load_text("extra", "x")):
    try:
        wrong()
    except Exception as error:
        print(type(error).__name__, str(error).replace(package.id(), "<id>").splitlines()[0][:60])
second = io.BytesIO()
with PackageExporter(second, importer=OrderedImporter(package, sys_importer)) as out:
    out.intern("packed_nets.**")
    out.extern("_mock")
    out.mock("packed_unused")
    out.save_pickle("models", "net.pkl", again)
second.seek(0)
print(torch.equal(PackageImporter(second).load_pickle("models", "net.pkl")(x), net(x)))


def fails(**patterns):
    try:
        with PackageExporter(io.BytesIO()) as out:
            for kind, names in patterns.items():
                getattr(out, kind)(names)
            out.save_pickle("models", "net.pkl", net)
    except (PackagingError, EmptyMatchError) as error:
        print(type(error).__name__, error)


fails()
fails(deny="packed_nets.**")
fails(mock="packed_nets.**")
try:
    with PackageExporter(io.BytesIO()) as out:
        out.intern("nothing", allow_empty=False)
except EmptyMatchError as error:
    print(error)
try:
    PackageImporter(io.BytesIO(file.getvalue()), module_allowed=lambda name: not name.startswith("math"))
except ImportError as error:
    print(str(error).partition("needs")[2])


def storages(things):
    written = io.BytesIO()
    torch.save(things, written)
    return sum("/data/" in name for name in zipfile.ZipFile(written).namelist())


# What shares memory with a parameter is one storage in a file.
p, t = torch.nn.Parameter(torch.ones(2, 3)), torch.ones(2)
print([storages(s) for s in ([p, p.detach()], [p, p.data[0]], [p.data, p.detach().view(6)], [torch.nn.Parameter(t), torch.nn.Parameter(t), t], [t, t.clone()])])
