"""Every collective over every type that gloo takes, in two processes; meshes; what is refused, in torch's words."""

import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from compat.distributed.ranks import start

FULL = len(sys.argv) > 3 and sys.argv[3] == "full"
MOVED = "bool int8 int64 float16 bfloat16 float32 float64 complex64 complex128 uint8 int16 int32".split() if FULL else ["float32", "bool", "int16"]
TYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128 uint16 float8_e4m3fn".split()
OPS = "SUM AVG PRODUCT MIN MAX BAND BOR BXOR".split()


if not FULL:
    TYPES = "bool int64 bfloat16 float32 complex64 int16".split()


def reductions(r, n, said):
    numbers = torch.tensor([3.0, 0.0, 1.5, 7.0, 2.0] if r == 0 else [5.0, 0.0, 2.0, 1.0, 0.0])
    for name in TYPES:
        for op in OPS:
            x = numbers.to(getattr(torch, name))

            def reduce_all(x=x, op=op):
                dist.all_reduce(x, op=getattr(dist.ReduceOp, op))
                return x if x.dtype is not torch.float8_e4m3fn else x.float()

            said.attempt(f"all_reduce {op} {name}", reduce_all)


def movements(r, n, said):
    for name in MOVED:
        x = (torch.arange(4) + 2 * r).to(getattr(torch, name))

        def made(like=x, size=None):
            return torch.zeros(size or like.shape, dtype=like.dtype)

        def broadcast(x=x):
            y = x.clone()
            dist.broadcast(y, 1)
            return y

        def reduce(x=x):
            y = x.clone()
            dist.reduce(y, 1)
            return y if r == 1 else "-"

        def gather_all(x=x, made=made):
            out = [made() for _ in range(n)]
            dist.all_gather(out, x)
            return out

        def gather_into(x=x, made=made):
            out = made(size=(8,))
            dist.all_gather_into_tensor(out, x)
            return out

        def gather(x=x, made=made):
            out = [made() for _ in range(n)] if r == 1 else None
            dist.gather(x, out, dst=1)
            return out

        def scatter(x=x, made=made):
            out = made()
            dist.scatter(out, [x, x.flip(0)] if r == 0 else None, src=0)
            return out

        def reduce_scatter(x=x, made=made):
            out = made()
            dist.reduce_scatter(out, [x, x.flip(0)])
            return out

        def reduce_scatter_one(x=x, made=made):
            out = made(size=(2,))
            dist.reduce_scatter_tensor(out, x)
            return out

        def exchange(x=x, made=made):
            out = made()
            dist.all_to_all_single(out, x)
            return out

        def exchange_uneven(x=x, made=made):
            out = made(size=(2 if r == 0 else 6,))
            dist.all_to_all_single(out, x, [1, 1] if r == 0 else [3, 3], [1, 3])
            return out

        def send(x=x, made=made):
            if r == 0:
                dist.send(x, 1)
                return "sent"
            out = made()
            return dist.recv(out, 0), out

        for run in (broadcast, reduce, gather_all, gather_into, gather, scatter, reduce_scatter, reduce_scatter_one, exchange, exchange_uneven, send):
            if run is not gather or not x.is_complex():  # which torch's gloo has no gather for
                said.attempt(f"{run.__name__} {name}", run)
    y = torch.tensor([float("nan"), -0.0, float("inf")]) if r == 1 else torch.zeros(3)
    dist.broadcast(y, 1)
    said.append(f"bits {y.view(torch.int32).tolist()}")
    z = torch.tensor(r + 1.0)
    dist.all_reduce(z)
    empty = torch.zeros(0, 3)
    dist.all_reduce(empty)
    strided = (torch.arange(6.0).reshape(2, 3) * (r + 1)).t()
    dist.all_reduce(strided)
    part = torch.zeros(4)
    dist.all_reduce(part[1:3].add_(1))
    said.append(f"shapes {z} {empty.shape} {strided.tolist()} {strided.stride()} {part.tolist()}")


def works(r, n, said):
    x = torch.ones(2) * (r + 1)
    work = dist.all_reduce(x, async_op=True)
    said.append(f"async {work.wait()} {work.is_completed()} {x.tolist()}")
    again = dist.all_reduce(torch.ones(2), async_op=True).get_future().then(lambda f: f.value()[0] / 2).wait()
    said.append(f"then {again.tolist()}")
    other = 1 - r
    out = torch.zeros(3)
    first, second = dist.isend(torch.full((3,), float(r)), other), dist.irecv(out, other)
    if r == 0:
        first.wait(), second.wait()
    else:
        second.wait(), first.wait()
    said.append(f"ring {out.tolist()}")
    a, b = torch.zeros(2), torch.zeros(2)
    if r == 0:  # tags choose
        requests = [dist.isend(torch.tensor([1.0, 1.0]), 1, tag=1), dist.isend(torch.tensor([2.0, 2.0]), 1, tag=2)]
    else:
        requests = [dist.irecv(a, 0, tag=2), dist.irecv(b, 0, tag=1)]
    for q in requests:
        q.wait()
    said.append(f"tags {a.tolist()} {b.tolist()}")
    out = torch.zeros(2)
    ops = [dist.P2POp(dist.irecv, out, other), dist.P2POp(dist.isend, torch.tensor([r, r + 1.0]), other)]
    for q in dist.batch_isend_irecv(ops if r else ops[::-1]):
        q.wait()
    said.append(f"batch {out.tolist()}")
    if r == 0:
        out = torch.zeros(2)
        said.append(f"from any {dist.recv(out)} {out.tolist()}")
    else:
        dist.send(torch.tensor([5.0, 6.0]), 0)
    late = torch.ones(2)  # an async collective before a send that the other receives first
    if r == 0:
        work = dist.all_reduce(late, async_op=True)
        dist.send(torch.ones(1), 1)
        work.wait()
    else:
        dist.recv(torch.zeros(1), 0)
        dist.all_reduce(late)
    said.append(f"crossed {late.tolist()}")


def methods(r, n, said):
    """A group's own methods, and functions that programs seldom call."""
    pg = dist.group.WORLD
    ones = lambda *k: torch.ones(2) * (r + 1 + sum(k))  # noqa: E731

    def into(x, run):
        run(x)
        return x

    for name, run in {
        "all_to_all": lambda: into([torch.zeros(2), torch.zeros(2)], lambda o: dist.all_to_all(o, [ones(), ones(3)])),
        "all_to_all sizes": lambda: dist.all_to_all([torch.zeros(1 + r), torch.zeros(1 + r)], [torch.zeros(1), torch.zeros(2)]),
        "all_to_all too few": lambda: dist.all_to_all([torch.zeros(2)], [torch.zeros(2), torch.zeros(2)]),
        "coalesced": lambda: into([[torch.zeros(2), torch.zeros(1, 2)] for _ in range(n)], lambda o: dist.all_gather_coalesced(o, [ones(), ones(5)[None]])),
        "allreduce": lambda: into(ones(), lambda x: pg.allreduce([x]).wait()), "allreduce one": lambda: into(ones(), lambda x: pg.allreduce(x, op=dist.ReduceOp.MAX).wait()),
        "allreduce options": lambda: into(ones(), lambda x: pg.allreduce([x], dist.AllreduceOptions()).wait()), "broadcast": lambda: into(ones(), lambda x: pg.broadcast(x, 1).wait()),
        "allgather": lambda: into([[torch.zeros(2), torch.zeros(2)]], lambda o: pg.allgather(o, [ones()]).wait()), "gather base": lambda: into(torch.zeros(4), lambda o: pg._allgather_base(o, ones()).wait()),
        "reduce_scatter": lambda: into(torch.zeros(2), lambda o: pg.reduce_scatter(o, [ones(), ones(2)]).wait()), "alltoall_base": lambda: into(torch.zeros(2), lambda o: pg.alltoall_base(o, ones(), [], []).wait()),
        "barrier": lambda: pg.barrier().wait(), "premultiplied": lambda: dist.all_reduce(ones(), op=dist._make_nccl_premul_sum(2.0)), "no such": lambda: dist.new_group([0, 1], backend="nope"),
        "config": lambda: dist.get_backend_config(pg), "level": lambda: dist.get_debug_level(), "complex": lambda: dist.supports_complex(dist.ReduceOp.MAX),
        "backends": lambda: [repr(dist.BackendConfig(dist.Backend(x))) for x in ("gloo", "cpu:gloo,cuda:nccl", "nccl")], "backend": lambda: dist.BackendConfig(dist.Backend("cpu:gloo,cpu:nccl")),
    }.items():  # fmt: skip
        said.attempt(name, run)
    if r == 0:
        pg.send([ones()], 1, 3).wait()
    else:
        said.attempt("recv", lambda: into(torch.zeros(2), lambda o: pg.recv([o], 0, 3).wait()))


def objects(r, n, said):
    found = [None] * n
    dist.all_gather_object(found, {"rank": r, "t": torch.tensor([r])})
    said.append(f"objects {found}")
    told = ["a", 1, None] if r == 0 else [None] * 3
    dist.broadcast_object_list(told, 0)
    said.append(f"told {told}")
    got = [None]
    dist.scatter_object_list(got, [{"x": 1}, "two"] if r == 0 else None, 0)
    gathered = [None] * n if r == 1 else None
    dist.gather_object(("from", r), gathered, dst=1)
    said.append(f"scattered {got} {gathered}")
    mail = ["x", {"y": 2}] if r == 0 else [None, None]
    if r == 0:
        dist.send_object_list(mail, 1)
    else:
        dist.recv_object_list(mail, 0)
    said.append(f"mail {mail}")


def sparse(r, n, said):
    x = torch.sparse_coo_tensor([[0, 2, 2][: r + 2]], [1.0, 2.0, 3.0][: r + 2], (4,))  # two places and three
    dist.all_reduce(x)
    said.append(f"sparse {x.is_coalesced()} {x.indices().tolist()} {x.values().tolist()}")
    rows = torch.sparse_coo_tensor([[]] if r else [[1]], torch.ones(1 - r, 2), (3, 2))
    work = dist.all_reduce(rows, async_op=True)
    work.wait()
    said.append(f"sparse rows {rows.to_dense().tolist()}")
    said.attempt("sparse maximum", lambda: dist.all_reduce(x, dist.ReduceOp.MAX), 0)


def groups(r, n, said):
    one = dist.new_group([1])
    said.append(f"group {one == dist.GroupMember.NON_GROUP_MEMBER} {dist.get_rank(one)} {dist.get_world_size(one)}")
    x = torch.ones(2)
    if r == 1:
        dist.all_reduce(x, group=one)
        dist.broadcast(x, 1, group=one)
        said.append(f"alone {x.tolist()} {dist.get_process_group_ranks(one)} {dist.get_global_rank(one, 0)} {dist.get_group_rank(one, 1)}")
    if r == 0:  # nobody else is asked, and the names of later groups are the same everywhere
        dist.new_group([0], use_local_synchronization=True)
    both = dist.new_group([1, 0])
    dist.all_reduce(x, group=both)
    mine, every = dist.new_subgroups(1)
    said.append(f"both {x.tolist()} {dist.get_process_group_ranks(both)} {dist.get_world_size(mine)} {len(every)}")
    said.append(f"world {dist.get_backend()} {dist.is_initialized()} {dist.get_process_group_ranks(dist.group.WORLD)} {dist.ReduceOp.SUM!r} {dist.ReduceOp.MAX}")


def refusals(r, n, said):
    ones, twos = torch.ones(2), torch.ones(2, dtype=torch.float64)
    for name, run in {
        "a list": lambda: dist.all_reduce([ones]),
        "types": lambda: dist.all_gather([ones, ones], twos),
        "no such rank": lambda: dist.broadcast(ones, 7),
        "too few": lambda: dist.all_gather([ones], ones),
        "shapes": lambda: dist.all_gather([torch.ones(3), ones], ones),
        "into": lambda: dist.all_gather_into_tensor(torch.ones(3), ones),
        "scatter": lambda: dist.scatter(ones, None, src=r),
        "gather": lambda: dist.gather(ones, None, dst=r),
        "gather elsewhere": lambda: dist.gather(ones, [ones] * 2, dst=1 - r),
        "twice": lambda: dist.new_group([0, 0]),
        "out of range": lambda: dist.new_group([0, 5]),
        "split": lambda: dist.split_group(split_ranks=[[0], [1]]),
        "split into nothing": lambda: dist.split_group(),
        "to itself": lambda: dist.send(ones, r),
        "again": lambda: dist.init_process_group("gloo", rank=r, world_size=n),
        "no list": lambda: dist.all_gather(ones, ones),
        "p2p": lambda: dist.P2POp(dist.send, ones, 1 - r), "no peer": lambda: dist.P2POp(dist.isend, ones), "shown": lambda: [dist.P2POp(op, ones, 1 - r) for op in (dist.isend, dist.irecv)],
        "no list of operations": lambda: dist.batch_isend_irecv([]), "no operations": lambda: dist.batch_isend_irecv((1,)),
        "no source": lambda: dist.broadcast(ones), "two sources": lambda: dist.broadcast(ones, 0, group_src=1), "overlapping": lambda: dist.new_subgroups_by_enumeration([[0], [0]]),
    }.items():
        said.attempt(name, run)
    dist.barrier()
    dist.monitored_barrier()
    dist.destroy_process_group()
    said.attempt("after", lambda: dist.all_reduce(ones))
    said.attempt("destroyed", lambda: dist.destroy_process_group())
    said.attempt("state", lambda: (dist.is_initialized(), dist.is_available(), dist.is_gloo_available(), dist.is_torchelastic_launched()))


def operators(r, n, said):
    """Collectives as torch.ops has them."""
    c, name, y = torch.ops._c10d_functional, dist.group.WORLD.group_name, torch.arange(4.0) + r

    def of(fn):
        found = fn()
        return [c.wait_tensor(z).tolist() for z in (found if isinstance(found, (list, tuple)) else [found])]

    def kept(fn):
        z = y.clone()
        found = fn(z)
        c.wait_tensor(found[0] if isinstance(found, (list, tuple)) else found)
        return z.tolist()

    for what, run in {
        "all_reduce": lambda: [of(lambda: c.all_reduce(y, op, name)) for op in ("sum", "avg", "max", "product")], "default": lambda: of(lambda: c.all_reduce.default(y, "min", name)),
        "several": lambda: of(lambda: c.all_reduce_coalesced([y, y * 2], "sum", name)), "in place": lambda: kept(lambda z: c.all_reduce_(z, "sum", name)),
        "several in place": lambda: kept(lambda z: c.all_reduce_coalesced_([z], "sum", name)), "gathered": lambda: of(lambda: c.all_gather_into_tensor(y, n, name)),
        "gathered into": lambda: of(lambda: c.all_gather_into_tensor_out(y, n, name, out=torch.empty(4 * n))), "several gathered": lambda: of(lambda: c.all_gather_into_tensor_coalesced([y, y * 2], n, name)),
        "scattered": lambda: [of(lambda: c.reduce_scatter_tensor(y, op, n, name)) for op in ("sum", "avg")], "several scattered": lambda: of(lambda: c.reduce_scatter_tensor_coalesced([y, y * 2], "sum", n, name)),
        "exchanged": lambda: of(lambda: c.all_to_all_single(y, [2] * n, [2] * n, name)), "broadcast": lambda: of(lambda: c.broadcast(y, 1, name)), "broadcast in place": lambda: kept(lambda z: c.broadcast_(z, 1, name)),
        "no such reduction": lambda: c.all_reduce(y, "nope", name), "no such group": lambda: c.all_reduce(y, "sum", "nope"), "shown": lambda: (str(c.all_reduce), str(c.all_reduce.default)),
    }.items():
        said.attempt(what, run)


def meshes(r, n, said):
    m = init_device_mesh("cpu", (2, 1), mesh_dim_names=("dp", "tp"))

    def reduced():
        x = torch.ones(2) * (r + 1)
        dist.all_reduce(x, group=m["dp"].get_group())
        dist.all_reduce(x, group=m["tp"].get_group())
        return x

    for name, fn in {
        "repr": lambda: repr(m), "mesh": lambda: m.mesh, "shape": lambda: (m.shape, m.ndim, m.size(), m.size(0), m.size(1)), "coordinate": lambda: tuple(m.get_coordinate()),
        "rank": lambda: (m.get_rank(), m.get_local_rank("dp"), m.get_local_rank(1)), "no rank": lambda: m.get_local_rank(), "no group": lambda: m.get_group(),
        "part": lambda: (m["dp"].mesh.tolist(), m["dp"].mesh_dim_names, m["tp"].mesh.tolist(), m["tp"].size()), "no such": lambda: m["x"],
        "groups": lambda: dist.get_process_group_ranks(m["dp"].get_group()) + dist.get_process_group_ranks(m.get_group("tp")), "reduce": reduced,
        "flat": lambda: (m._flatten("all").mesh.tolist(), m["all"].size()), "equal": lambda: (m == m["dp", "tp"], m == m["dp"]), "one": lambda: repr(init_device_mesh("cpu", (2,))),
        "names": lambda: init_device_mesh("cpu", (2,), mesh_dim_names=("a", "b")), "twice": lambda: init_device_mesh("cpu", (2, 1), mesh_dim_names=("a", "a")),
        "too big": lambda: init_device_mesh("cpu", (4,)), "of a group": lambda: DeviceMesh.from_group(dist.group.WORLD, "cpu").mesh, "unnamed": lambda: init_device_mesh("cpu", (2,))["dp"],
    }.items():  # fmt: skip
        said.attempt(name, fn)


PARTS = (reductions, movements, works, methods, objects, sparse, groups, meshes, operators, refusals)

if __name__ == "__main__":
    start(*PARTS)
