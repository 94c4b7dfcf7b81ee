"""DeviceMesh over two processes."""

import os
import sys
import warnings

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

warnings.filterwarnings("ignore")
def work(r,n,folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[1], RANK=str(r), WORLD_SIZE=str(n), LOCAL_RANK=str(r))
    said=[]
    def t(name,f):
        try: said.append(f"{name}: {f()}")
        except Exception as e: said.append(f"{name}: {type(e).__name__}: {e}")
    m=init_device_mesh("cpu",(2,1),mesh_dim_names=("dp","tp"))
    t("repr",lambda: repr(m)); t("mesh",lambda: m.mesh.tolist()); t("shape",lambda:(m.shape,m.ndim,m.size(),m.size(0),m.size(1)))
    t("coord",lambda: tuple(m.get_coordinate())); t("rank",lambda:(m.get_rank(),m.get_local_rank("dp"),m.get_local_rank(1)))
    t("norank",lambda: m.get_local_rank()); t("nogroup",lambda:m.get_group())
    t("sub",lambda:(m["dp"].mesh.tolist(),m["dp"].mesh_dim_names,m["tp"].mesh.tolist(),m["tp"].size()))
    t("bad",lambda:m["x"]); t("group",lambda:dist.get_process_group_ranks(m["dp"].get_group())+dist.get_process_group_ranks(m.get_group("tp")))
    def red():
        x=torch.ones(2)*(r+1); dist.all_reduce(x,group=m["dp"].get_group()); dist.all_reduce(x,group=m["tp"].get_group()); return x.tolist()
    t("reduce",red)
    t("flat",lambda:(m._flatten("all").mesh.tolist(), m["all"].size()))
    t("eq",lambda:(m==m["dp","tp"], m==m["dp"]))
    t("one",lambda: repr(init_device_mesh("cpu",(2,))))
    t("names",lambda: init_device_mesh("cpu",(2,),mesh_dim_names=("a","b"))); t("dup",lambda: init_device_mesh("cpu",(2,1),mesh_dim_names=("a","a")))
    t("big",lambda: init_device_mesh("cpu",(4,)))
    t("from",lambda: (DeviceMesh.from_group(dist.group.WORLD,"cpu").mesh.tolist()))
    t("unnamed",lambda: init_device_mesh("cpu",(2,))["dp"])
    with open(f"{folder}/{r}","w") as f: f.write("\n".join(said)+"\n")
    dist.barrier(); dist.destroy_process_group()
if __name__=="__main__": mp.spawn(work,(2,sys.argv[2]),nprocs=2)
