"""Hostile checkpoints: pickles made by a grammar over what ``torch.load(weights_only=True)`` lets a file name, and honest files with bytes changed.

``python -m compat.attack.files_fuzz --pickles 100000 --mutants 5000`` is the long run; ``test_files.py`` takes a small share. For each file: nothing
runs, is imported, opened or written (Python's audit hook says so); it takes at most ten seconds, and memory of at most twice the file's size
beside the little that Python's own objects take; and it loads, or ends in an error of a kind that tells the user something.
"""

from __future__ import annotations

import argparse
import collections
import io
import pickle
import random
import struct
import sys
import time
import tracemalloc
import warnings
import zipfile
from typing import Any

import numpy as np

import jtorch
from jtorch import _config
from jtorch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION, _allowed

CLEAR = (pickle.UnpicklingError, RuntimeError, EOFError, NotImplementedError, AssertionError)
"""What a user can do something with. (torch's own checks of persistent ids are assertions.) ValueError only about byte order and alignment."""
SLACK = 1 << 20  # of memory: what Python takes for the objects of even the smallest file
SECONDS = 10.0

_QUIET = ("object.__getattr__", "object.__setattr__", "sys._getframe", "gc.", "cpython.", "array.", "builtins.id", "marshal.", "pickle.find_class", "code.__new__")


class Watch:
    """What Python's audit hook saw while ``on``. Hooks cannot be taken away again, so there is one for the process."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: Any) -> None:
        if self.on and not event.startswith(_QUIET):
            self.seen.append(f"{event} {str(args)[:200]}")


_watch: list[Watch] = []


def watch() -> Watch:
    """The process's watch."""
    if not _watch:
        _watch.append(Watch())
    return _watch[0]


# --- pickles by a grammar


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def _number(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return pickle.BININT + struct.pack("<i", value)
    data = pickle.encode_long(value)[:255]
    return pickle.LONG1 + bytes([len(data)]) + data


def _global(path: str) -> bytes:
    module, _, name = path.rpartition(".")
    return pickle.GLOBAL + module.encode() + b"\n" + name.encode() + b"\n"


FOREIGN = (
    "os.system", "builtins.eval", "builtins.exec", "builtins.getattr", "builtins.open", "builtins.__import__", "posix.system", "sys.exit", "torch.save", "torch.load",
    "torch.hub.load", "torch.nn.modules.linear.Linear", "numpy.load", "functools.partial", "operator.attrgetter", "torch.jit.load", "codecs.encode", "torch.ops.load_library",
)  # fmt: skip
_NUMBERS = (0, 1, 2, 3, 4, 8, 16, 64, -1, -2, 7, 255, 1 << 16, 1 << 31, (1 << 31) - 1, 1 << 40, (1 << 62) + 1, 1 << 63, 1 << 200, -(1 << 63))
_WORDS = ("storage", "module", "cpu", "cuda:0", "meta", "0", "1", "latin1", "utf-8", "zlib_codec", "idna", "rot13", "torch.strided", "torch.sparse_coo", "save", "__class__",
          "__dict__", "__reduce__", "_s", "data", "grad", "requires_grad", "_backward_hooks", "keys", "items", "note", "\ud800", "", "a" * 300)  # fmt: skip
_KINDS = [f"torch.{name}" for name in ("FloatStorage", "LongStorage", "ByteStorage", "BoolStorage", "ComplexFloatStorage", "BFloat16Storage", "QInt8Storage")]


class Grammar:
    """One random pickle: mostly of the forms that torch.save writes, with wrong parts here and there; deep, shared and huge ones too."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.records: dict[str, bytes] = {}
        self._memo = 0

    def pickle(self) -> bytes:
        """The bytes of the whole pickle."""
        out = pickle.PROTO + b"\x02" + self.value(self.rng.randint(1, 5)) + pickle.STOP
        if self.rng.random() < 0.15:  # and a few bytes that no grammar made
            at = self.rng.randrange(len(out))
            out = out[:at] + bytes([self.rng.randrange(256)]) + out[at + self.rng.randint(0, 2) :]
        return out

    def _wrong(self) -> bool:
        return self.rng.random() < 0.12

    def int(self) -> bytes:
        """A number, mostly a small one."""
        return self.value(0) if self._wrong() else _number(self.rng.choice(_NUMBERS[:7] if self.rng.random() < 0.8 else _NUMBERS))

    def ints(self) -> bytes:
        """A tuple of a few."""
        if self._wrong():
            return self.value(1)
        return pickle.MARK + b"".join(self.int() for _ in range(self.rng.randint(0, 3))) + pickle.TUPLE

    def flag(self) -> bytes:
        """True or False."""
        return self.value(0) if self._wrong() else self.rng.choice((pickle.NEWTRUE, pickle.NEWFALSE))

    def tuple(self, *parts: bytes) -> bytes:
        """A tuple; sometimes one part more or less, or none at all."""
        given = list(parts)
        if self._wrong():
            self.rng.choice((lambda: given.append(self.value(0)), lambda: given and given.pop(), given.clear))()
        return pickle.MARK + b"".join(given) + pickle.TUPLE

    def call(self, path: str, *args: bytes) -> bytes:
        """A call of a name."""
        name = path if not self._wrong() else self.rng.choice(self.names())
        out = _global(name) + self.tuple(*args) + self.rng.choice((pickle.REDUCE,) * 9 + (pickle.NEWOBJ,))
        return out + self.attributes() + pickle.BUILD if self.rng.random() < 0.1 else out

    def names(self) -> tuple[str, ...]:
        """Names to choose from."""
        return FOREIGN if self.rng.random() < 0.05 else ALLOWED

    def storage(self) -> bytes:
        """A storage by its persistent id, with a record of the right size or another."""
        if self._wrong():
            return self.value(1)
        key, count, kind = str(self.rng.randrange(3)), self.rng.choice((0, 1, 4, 8, 12, 16)), self.rng.choice(_KINDS)
        width = jtorch.serialization._storage.STORAGE_TYPES[kind.removeprefix("torch.")].dtype.itemsize
        if not self._wrong():
            self.records.setdefault(key, bytes(self.rng.randrange(256) for _ in range(count * width)))
        number = _number(count) if not self._wrong() else self.int()
        pid = self.tuple(_text("storage" if not self._wrong() else self.rng.choice(_WORDS)), _global(kind), _text(key), _text("cpu"), number)
        return pid + pickle.BINPERSID

    def hooks(self) -> bytes:
        """An empty OrderedDict, as a rule."""
        return self.value(1) if self._wrong() else _global("collections.OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE

    def attributes(self) -> bytes:
        """A dictionary of words."""
        if self._wrong():
            return self.value(1)
        return pickle.EMPTY_DICT + pickle.MARK + b"".join(_text(self.rng.choice(_WORDS)) + self.value(0) for _ in range(self.rng.randint(0, 2))) + pickle.SETITEMS

    def place(self) -> tuple[bytes, ...]:
        """A tensor's storage, offset, sizes and strides."""
        return self.storage(), self.int(), self.ints(), self.ints()

    def tensor(self) -> bytes:
        """A tensor, by one of the ways that torch has had."""
        forms: dict[str, Any] = {
            "torch._utils._rebuild_tensor": lambda: self.place(),
            "torch._utils._rebuild_tensor_v2": lambda: (*self.place(), self.flag(), self.hooks(), *((self.attributes(),) if self.rng.random() < 0.2 else ())),
            "torch._utils._rebuild_tensor_v3": lambda: (*self.place(), self.flag(), self.hooks(), _global(self.rng.choice(("torch.float32", "torch.uint16", "torch.bits8", "torch.int4")))),
            "torch._utils._rebuild_parameter": lambda: (self.tensor(), self.flag(), self.hooks()),
            "torch._utils._rebuild_parameter_with_state": lambda: (self.tensor(), self.flag(), self.hooks(), self.attributes()),
            "torch._utils._rebuild_sparse_tensor": lambda: (self.layout(), self.tuple(self.tensor(), self.tensor(), self.ints(), *((self.ints(),) if self.rng.random() < 0.3 else ()))),
            "torch._utils._rebuild_meta_tensor_no_storage": lambda: (_global("torch.float32"), self.ints(), self.ints(), self.flag()),
            "torch._utils._rebuild_device_tensor_from_cpu_tensor": lambda: (self.tensor(), _global("torch.complex128"), _text("cpu"), self.flag()),
            "torch._utils._rebuild_device_tensor_from_numpy": lambda: (self.tensor(), _global("torch.complex128"), _text("cpu"), self.flag()),
            "torch._tensor._rebuild_from_type_v2": lambda: self.from_type(),
            "torch.nn.parameter.Parameter": lambda: (self.tensor(), self.flag()),
            "torch.FloatTensor": lambda: (),
        }  # fmt: skip
        weights = [1, 8, 2, 2, 1, 2, 1, 1, 1, 2, 1, 1]
        path = self.rng.choices(list(forms), weights)[0]
        return self.call(path, *forms[path]())

    def from_type(self) -> tuple[bytes, ...]:
        """A function, a class, arguments and attributes; the function sometimes one that was made by a call."""
        function = _global("torch._utils._rebuild_tensor_v2") if not self._wrong() else self.rng.choice((self.layout, lambda: _global(self.rng.choice(self.names()))))()
        kind = _global("torch.Tensor") if not self._wrong() else _global(self.rng.choice(self.names()))
        return function, kind, self.tuple(*self.place(), self.flag(), self.hooks()), self.attributes()

    def layout(self) -> bytes:
        """A layout by its name."""
        return self.call("torch.serialization._get_layout", _text(self.rng.choice(("torch.sparse_coo", "torch.sparse_csr", "torch.strided") if not self._wrong() else _WORDS)))

    def deep(self) -> bytes:
        """Things that are small in the file and large or slow when they are walked without care."""
        count = self.rng.choice((10, 40, 300, 3000))
        nested = pickle.EMPTY_TUPLE + (pickle.BINPUT + b"\x01" + pickle.BINGET + b"\x01" + pickle.TUPLE2 if self.rng.random() < 0.5 else pickle.TUPLE1) * count
        return self.rng.choice((
            nested,
            pickle.EMPTY_DICT + nested + pickle.NONE + pickle.SETITEM,
            self.call("builtins.set", pickle.EMPTY_LIST + nested + pickle.APPEND),
            nested + pickle.EMPTY_TUPLE + pickle.REDUCE,
            _global("collections.OrderedDict") + pickle.MARK + nested + pickle.TUPLE + pickle.REDUCE,
            pickle.BINUNICODE + struct.pack("<I", 0xFFFFFFF0) + b"short",
            pickle.NONE + pickle.LONG_BINPUT + struct.pack("<I", 0xFFFFFFF0),
            pickle.LONG_BINGET + struct.pack("<I", 12345),
            self.call("builtins.bytearray", _number(1 << 40)),
            pickle.EMPTY_DICT + pickle.MARK + b"".join(_number(k * ((1 << 61) - 1)) + pickle.NONE for k in range(count)) + pickle.SETITEMS,
        ))  # fmt: skip

    def value(self, depth: int) -> bytes:
        """Anything."""
        rng = self.rng
        if depth <= 0:
            return rng.choice((
                lambda: pickle.NONE, lambda: self.rng.choice((pickle.NEWTRUE, pickle.NEWFALSE)), lambda: _number(rng.choice(_NUMBERS)), lambda: _text(rng.choice(_WORDS)),
                lambda: pickle.BINFLOAT + struct.pack(">d", rng.choice((0.0, 1.5, float("nan"), float("inf")))), lambda: pickle.EMPTY_LIST, lambda: pickle.EMPTY_DICT,
                lambda: pickle.EMPTY_SET, lambda: pickle.EMPTY_TUPLE, lambda: _global(rng.choice(self.names())),
            ))()  # fmt: skip
        shape = rng.random()
        if shape < 0.5:
            return self.tensor()
        if shape < 0.55:
            return self.deep()
        if shape < 0.65:
            return pickle.EMPTY_LIST + pickle.MARK + b"".join(self.value(depth - 1) for _ in range(rng.randint(0, 3))) + pickle.APPENDS
        if shape < 0.78:
            return pickle.EMPTY_DICT + pickle.MARK + b"".join(self.value(0) + self.value(depth - 1) for _ in range(rng.randint(0, 3))) + pickle.SETITEMS
        if shape < 0.83:
            self._memo = (self._memo + 1) % 256
            at = bytes([self._memo])
            return self.value(depth - 1) + pickle.BINPUT + at + pickle.BINGET + at + pickle.TUPLE2
        return self.call(rng.choice(self.names()), *(self.value(depth - 1) for _ in range(rng.randint(0, 4))))


ALLOWED = tuple(sorted(_allowed.NAMES))


def in_archive(body: bytes, records: dict[str, bytes]) -> bytes:
    """The pickle as a file of today's format."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in (("data.pkl", body), ("byteorder", b"little"), *((f"data/{key}", data) for key, data in records.items()), ("version", b"3\n")):
            archive.writestr(f"archive/{name}", data)
    return stream.getvalue()


def in_stream(body: bytes, records: dict[str, bytes]) -> bytes:
    """The pickle as a file of the format before 1.6."""
    head = b"".join(pickle.dumps(part, 2) for part in (MAGIC_NUMBER, PROTOCOL_VERSION, {"little_endian": True}))
    return head + body + pickle.dumps(sorted(records), 2) + b"".join(struct.pack("<q", len(records[key]) // 4) + records[key] for key in sorted(records))


# --- honest files with bytes changed


def honest() -> list[bytes]:
    """Files of several kinds of content in both formats."""
    torch = jtorch
    torch.cuda.is_available()  # JAX looks for its devices once
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    contents = [
        {"model": model.state_dict(), "epoch": 3, "note": "x" * 40, "raw": b"abc"},
        [torch.arange(24.0).view(4, 6).t(), torch.ones(3, dtype=torch.bool), torch.ones(2, dtype=torch.uint16)],
        [torch.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 2)), torch.eye(3).to_sparse_csr()],
        torch.nn.Parameter(torch.ones(4, 4)),
    ]
    files = []
    for content in contents:
        for new in (True, False):
            if not new and content is contents[1]:
                content = content[:2]  # torch cannot read the third in this format
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=new)
            files.append(stream.getvalue())
    return files


def mutant(rng: random.Random, file: bytes) -> bytes:
    """The file cut, with bytes changed, moved, doubled, or a number replaced."""
    data = bytearray(file)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at, length = rng.randrange(len(data) or 1), rng.choice((1, 1, 2, 4, 8, 64))
        kind = rng.random()
        if kind < 0.4:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind < 0.55:
            data[at : at + 1] = bytes([(data[at] ^ (1 << rng.randrange(8))) if at < len(data) else 0])
        elif kind < 0.65:
            del data[at : at + length]
        elif kind < 0.75:
            data[at:at] = data[at : at + length]
        elif kind < 0.85:
            data[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(data))))
        elif kind < 0.92:
            other = rng.randrange(len(data) or 1)
            data[at : at + length] = data[other : other + length]
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


# --- running them


def tensors_in(obj: Any) -> list[Any]:
    """All tensors of what was loaded, each object looked at once."""
    found, todo, seen = [], [obj], set()
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            todo.extend(item.values())
            todo.extend(item.keys())
        elif isinstance(item, (list, tuple, set)):
            todo.extend(item)
        elif isinstance(item, jtorch.Tensor):
            found.append(item)
    return found


class Report:
    """What came of the files."""

    def __init__(self) -> None:
        self.ends: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []
        self.slowest = 0.0
        self.most = 0.0

    def fault(self, name: str, text: str) -> None:
        """Something that must not be."""
        self.faults.append(f"{name}: {text}")

    def __str__(self) -> str:
        ends = ", ".join(f"{name} {count}" for name, count in self.ends.most_common())
        return f"{sum(self.ends.values())} files: {ends}; slowest {self.slowest * 1000:.0f} ms, most memory {self.most:.2f} x size + {SLACK >> 20} MB; {len(self.faults)} faults"


def attack(name: str, file: bytes, report: Report, look: bool = True) -> Any:
    """Load one file and note what came of it; what was loaded is returned."""
    eye, stream, loaded = watch(), io.BytesIO(file), None
    eye.seen.clear()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    start = time.thread_time()  # what other programs take of the machine is not the file's doing
    eye.on = True
    try:
        loaded = jtorch.load(stream)
        end = "loaded"
    except BaseException as error:  # noqa: BLE001  (SystemExit would be a fault as well)
        end = type(error).__name__
        if not isinstance(error, CLEAR) and not (type(error) is ValueError and ("endianness" in str(error) or "int()" in str(error))):
            report.fault(name, f"{end}: {str(error)[:200]}")
    finally:
        eye.on = False
    seconds = time.thread_time() - start
    _, peak = tracemalloc.get_traced_memory()
    report.ends[end] += 1
    report.slowest = max(report.slowest, seconds)
    over = max(0.0, peak - before - SLACK) / len(file or b"x")
    report.most = max(report.most, over)
    if eye.seen:
        report.fault(name, f"did {eye.seen[:3]}")
    if seconds > SECONDS:
        report.fault(name, f"took {seconds:.1f} s")
    if over > 2:
        report.fault(name, f"took {peak - before} bytes for a file of {len(file)}")
    if look:
        for tensor in tensors_in(loaded):
            if tensor.layout is jtorch.strided and not tensor.is_meta and tensor.numel() < 1 << 16:
                tensor.numpy(force=True) if tensor.dtype is not jtorch.bfloat16 else tensor.tolist()
    return loaded


def run(pickles: int, mutants: int, seed: int, report: Report, keep: str | None = None) -> None:
    """Attack with so many files of each kind."""
    kept, _config.CACHE_DIR = _config.CACHE_DIR, "0"  # another thread keeps the programs of the file before
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about protocols
        warm = Report()
        bases = honest()
        for at, file in enumerate(bases):  # what is imported at first use is not the file's doing
            attack(f"honest {at}", file, warm)
        for at in range(50):
            grammar = Grammar(random.Random(f"warm {at}"))
            attack(f"warm {at}", in_archive(grammar.pickle(), grammar.records), warm)
        for at in range(pickles):
            name = f"pickle {seed}.{at}"
            grammar = Grammar(random.Random(name))
            body = grammar.pickle()
            file = (in_archive if grammar.rng.random() < 0.7 else in_stream)(body, grammar.records)
            _one(name, file, report, keep)
        for at in range(mutants):
            name = f"mutant {seed}.{at}"
            rng = random.Random(name)
            _one(name, mutant(rng, rng.choice(bases)), report, keep)
    tracemalloc.stop()
    _config.CACHE_DIR = kept


def _one(name: str, file: bytes, report: Report, keep: str | None) -> None:
    count = len(report.faults)
    attack(name, file, report)
    if keep and len(report.faults) > count:
        np.frombuffer(file, np.uint8).tofile(f"{keep}/{name.replace(' ', '-')}.pt")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pickles", type=int, default=100_000)
    parser.add_argument("--mutants", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", help="a folder for files that did something")
    chosen = parser.parse_args()
    report = Report()
    run(chosen.pickles, chosen.mutants, chosen.seed, report, chosen.keep)
    print(report)
    for text in report.faults[:50]:
        print(text)
    return bool(report.faults)


if __name__ == "__main__":
    sys.exit(main())
