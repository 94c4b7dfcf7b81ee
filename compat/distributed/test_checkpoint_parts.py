"""Parts of checkpoints that programs use by themselves: stagers, file systems, planners, files of torch.save. Both libraries print the same."""

from __future__ import annotations

import pytest
import torch
import torch.distributed.checkpoint

import jtorch
import jtorch.distributed.checkpoint
from compat.programs_of_text import run

_HEAD = """
import os, tempfile, warnings, concurrent.futures
from pathlib import Path
import torch.distributed.checkpoint as _
from torch.distributed import checkpoint as dcp
def said(name, f):
    try: print(name, f())
    except Exception as e: print(name, type(e).__name__, str(e)[:300])
folder = tempfile.TemporaryDirectory()
at = Path(folder.name)
state = lambda: {"a": torch.arange(6.).view(2, 3), "b": {"c": torch.ones(2), "d": [torch.zeros(1)]}}
"""

SNIPPETS = {
    "stagers": """
from torch.distributed.checkpoint.staging import AsyncStager, BlockingAsyncStager, DefaultStager, StagingOptions
off = StagingOptions(False, False, False, False)
print(off, StagingOptions())
said("no accelerator", lambda: DefaultStager(StagingOptions(use_non_blocking_copy=True)))
for stager in (DefaultStager(off), DefaultStager(StagingOptions(False, False, True, False)), BlockingAsyncStager()):
    x = state(); staged = stager.stage(x)
    later = isinstance(staged, concurrent.futures.Future)
    staged = staged.result() if later else staged
    x["a"].zero_(); x["b"]["c"].zero_()
    print(type(stager).__name__, later, staged["a"].tolist(), staged["b"]["c"].tolist(), stager.should_synchronize_after_execute, isinstance(stager, AsyncStager), stager.synchronize_staging(), stager.close())
class Mine(AsyncStager):
    def stage(self, state_dict): print("staged", sorted(state_dict)); return {k: torch.zeros(2, 3) for k in state_dict}
    def synchronize_staging(self): print("synchronized")
class Nothing(AsyncStager): pass
said("nothing", lambda: Nothing().stage({}))
for stager in (Mine(), DefaultStager(StagingOptions(False, False, True, False)), None):
    out = dcp.async_save({"a": torch.ones(2, 3)}, checkpoint_id=at / "x", async_stager=stager, no_dist=True)
    print(type(out).__name__)
    (out.upload_completion if hasattr(out, "upload_completion") else out).result()
    back = {"a": torch.ones(2, 3) * 5}; dcp.load(back, checkpoint_id=at / "x", no_dist=True); print(back)
""",
    "file systems": """
from torch.distributed.checkpoint.filesystem import FileSystem, FileSystemBase, SerializationFormat
print(list(SerializationFormat)); said("abstract", FileSystemBase)
fs = FileSystem()
fs.mkdir(at / "p" / "q"); p = fs.concat_path(str(at), "f")
with fs.create_stream(p, "wb") as f: f.write(b"abc")
fs.rename(str(p), at / "g"); print(type(p).__name__, fs.exists(p), fs.exists(at / "g"), sorted(os.path.basename(x) for x in fs.ls(at)), type(fs.init_path("x")).__name__)
fs.rm_file(str(at / "g")); print(fs.exists(at / "g"), [fs.validate_checkpoint_id(x) for x in (at, str(at / "n"), "s3://x", "/proc/nowhere/x")])
""",
    "planners": """
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list
from torch.distributed.checkpoint.default_planner import create_default_global_load_plan
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata as C, MetadataIndex, TensorProperties, TensorStorageMetadata
from torch.distributed.checkpoint.utils import find_state_dict_object, find_tensor_shard
S = torch.Size
saved = TensorStorageMetadata(TensorProperties(), S([4, 6]), [C(S([0, 0]), S([2, 6])), C(S([2, 0]), S([2, 3])), C(S([2, 3]), S([2, 3]))])
items = create_read_items_for_chunk_list("w", saved, [C(S([1, 1]), S([2, 4])), C(S([3, 5]), S([1, 1]))])
for i in sorted(items, key=lambda i: (i.dest_index.offset, i.storage_index.index)): print([tuple(map(int, x)) for x in (i.dest_offsets, i.storage_offsets, i.lengths)], i.storage_index, i.dest_index, i.type)
print(create_read_items_for_chunk_list("w", saved, []), create_default_global_load_plan([1, 2]))
for index in (MetadataIndex("a"), MetadataIndex("a", S([0, 0])), MetadataIndex("a", S([1, 0])), MetadataIndex("b"), MetadataIndex("b", S([0])), MetadataIndex("z")):
    said(index, lambda: find_state_dict_object({"a": torch.ones(2, 1), "b": 3}, index))
""",
    "files of torch.save": """
from torch.distributed.checkpoint.format_utils import BroadcastingTorchSaveReader, DynamicMetaLoadPlanner
torch.save(state(), at / "f.pt")
reader = BroadcastingTorchSaveReader(at / "f.pt")
print(reader.read_metadata().state_dict_metadata, reader.validate_checkpoint_id(at / "f.pt"), reader.validate_checkpoint_id(at), reader.prepare_local_plan(3), reader.prepare_global_plan([3]))
planner = DynamicMetaLoadPlanner(); planner.set_up_planner({"a": torch.ones(2, 3), "b": {"c": torch.ones(2)}})
print({k: (v.size, v.properties.dtype, [(c.offsets, c.sizes) for c in v.chunks]) for k, v in planner.metadata.state_dict_metadata.items()})
said("no tensor", lambda: DynamicMetaLoadPlanner().set_up_planner({"a": 3}))
said("no file", lambda: BroadcastingTorchSaveReader().set_up_storage_reader(None, False))
""",
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_prints_what_torch_prints(name: str) -> None:
    program = _HEAD + SNIPPETS[name]
    assert run(jtorch, program) == run(torch, program)


def test_files_of_torch_save_by_one_process() -> None:
    """torch's reader needs a process group even for one process; what comes out is what went in."""
    assert run(jtorch, _HEAD + SNIPPETS["files of torch.save"] + """
back = {"a": torch.zeros(2, 3), "b": {"c": torch.zeros(2), "d": [torch.ones(1)]}}
dcp.load(back, storage_reader=reader, planner=DynamicMetaLoadPlanner(), checkpoint_id=at / "f.pt", no_dist=True)
print(str(back) == str(state()))
""").endswith("True\n")  # fmt: skip
