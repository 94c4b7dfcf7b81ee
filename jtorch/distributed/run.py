"""``torchrun``: ``python -m torch.distributed.run [options] script.py [args]``. Source: https://docs.pytorch.org/docs/stable/elastic/run.html

``python -m jtorch torchrun ...`` is the same. The processes run under jtorch.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import uuid
from collections.abc import Sequence

from jtorch._errors import not_implemented

from ._agent import devices_of_this_machine, free_port, run_workers

__all__ = ["determine_local_world_size", "get_args_parser", "get_rdzv_endpoint", "get_use_env", "main", "parse_args", "parse_min_max_nnodes", "run", "run_script_path"]


def get_args_parser() -> argparse.ArgumentParser:
    """torchrun's options."""
    parser = argparse.ArgumentParser(prog="torchrun", description="Start one process a rank, watch them, start them again if one fails.")

    def add(*names: str, **options: object) -> None:
        spelled = [s for n in names for s in dict.fromkeys((n, n[:2] + n[2:].replace("-", "_")))]
        parser.add_argument(*spelled, **options)  # type: ignore[arg-type]

    add("--nnodes", default="1:1", help="number of machines, or a range MIN:MAX")
    add("--nproc-per-node", default="1", help="processes a machine: a number, auto, cpu or gpu")
    add("--rdzv-backend", default="static", help="static or c10d")
    add("--rdzv-endpoint", default="", help="HOST[:PORT] of the first machine")
    add("--rdzv-id", default="none", help="a name for this run")
    add("--rdzv-conf", default="", help="more for the rendezvous (not used)")
    add("--standalone", action="store_true", help="one machine, on any port that is free")
    add("--max-restarts", type=int, default=0)
    add("--monitor-interval", type=float, default=0.1)
    add("--start-method", default="spawn", choices=["spawn", "fork", "forkserver"])
    add("--event-log-handler", default="null")
    add("--role", default="default")
    parser.add_argument("-m", "--module", action="store_true", help="the script is a module")
    add("--no-python", action="store_true", help="the script is a program")
    add("--run-path", action="store_true", help="run the script by runpy (as it is anyway)")
    add("--log-dir", default=None)
    parser.add_argument("-r", "--redirects", default="0", help="3: output into files below --log-dir")
    parser.add_argument("-t", "--tee", default="0")
    add("--local-ranks-filter", default="")
    add("--node-rank", type=int, default=int(os.environ.get("PET_NODE_RANK", "0")))
    add("--master-addr", default="127.0.0.1")
    add("--master-port", type=int, default=29500)
    add("--local-addr", default=None)
    add("--logs-specs", default=None)
    add("--numa-binding", default=None)
    add("--signals-to-handle", default="SIGTERM,SIGINT,SIGHUP,SIGQUIT")
    add("--use-env", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("training_script")
    parser.add_argument("training_script_args", nargs=argparse.REMAINDER)
    return parser


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """torchrun's options from a command line."""
    return get_args_parser().parse_args(args)


def parse_min_max_nnodes(nnodes: str) -> tuple[int, int]:
    """The texts "2" or "1:4" as (least, most). RuntimeError for another text."""
    found = nnodes.split(":")
    if len(found) > 2:
        raise RuntimeError(f'nnodes={nnodes} is not in "MIN:MAX" format')
    return int(found[0]), int(found[-1])


def determine_local_world_size(nproc_per_node: str) -> int:
    """A number, or how many processes "cpu", "gpu" or "auto" means on this machine. ValueError for another text, and for "gpu" where there is none."""
    try:
        return int(nproc_per_node)
    except ValueError as error:
        if nproc_per_node not in ("cpu", "gpu", "auto"):
            raise ValueError("Xpu is not available." if nproc_per_node == "xpu" else f"Unsupported nproc_per_node value: {nproc_per_node}") from error
    return devices_of_this_machine(nproc_per_node)


def get_rdzv_endpoint(args: argparse.Namespace) -> str:
    """Where the machines meet."""
    if args.rdzv_backend == "static" and not args.rdzv_endpoint:
        return f"{args.master_addr}:{args.master_port}"
    return args.rdzv_endpoint  # type: ignore[no-any-return]


def get_use_env(args: argparse.Namespace) -> bool:
    """Whether processes learn their numbers from their environment alone."""
    return getattr(args, "use_env", True)


def run_script_path(training_script: str, *training_script_args: str) -> None:
    """Run a script in this process, as ``python script.py args`` does."""
    sys.argv = [training_script, *training_script_args]
    runpy.run_path(training_script, run_name="__main__")


def _nodes(text: str) -> int:
    least, most = parse_min_max_nnodes(text)
    if most != least:
        not_implemented("torchrun with a range of machines", "machines that come and go: give one number to --nnodes")
    return least


def run(args: argparse.Namespace) -> None:
    """Start what these options say, and wait for it. ChildFailedError if it fails."""
    count = determine_local_world_size(args.nproc_per_node)
    nodes = _nodes(args.nnodes)
    host, port, run_id = args.master_addr, args.master_port, args.rdzv_id
    if args.rdzv_endpoint:
        host, _, given = args.rdzv_endpoint.rpartition(":") if ":" in args.rdzv_endpoint else (args.rdzv_endpoint, "", "")
        port = int(given) if given else 29400
        if nodes > 1 and args.rdzv_backend != "static" and "PET_NODE_RANK" not in os.environ and not any(a.startswith(("--node-rank", "--node_rank")) for a in sys.argv):
            not_implemented("torchrun's rendezvous without --node-rank", "give each machine its number with --node-rank")
    if args.standalone or (nodes == 1 and not args.rdzv_endpoint and port == 29500 and not _is_free(port)):
        host, port, run_id = "localhost", free_port(), str(uuid.uuid4()) if args.standalone else run_id
    env = {}
    if count > 1 and "OMP_NUM_THREADS" not in os.environ:
        env["OMP_NUM_THREADS"] = "1"
    if args.no_python:
        if args.module:
            raise ValueError("Don't use both the '--no-python' flag and the '--module' flag at the same time.")
        command = [args.training_script]
    else:
        command = [sys.executable, "-u", "-m", "jtorch", *(["-m"] if args.module else []), args.training_script]
    run_workers(
        [*command, *args.training_script_args], args.training_script, count=count, nodes=nodes, node=args.node_rank, host=host, port=port, run_id=run_id, role=args.role,
        restarts=args.max_restarts, interval=args.monitor_interval, logs=args.log_dir if args.redirects != "0" else None, env=env,
    )  # fmt: skip


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("", port))
        except OSError:
            return False
    return True


def main(args: Sequence[str] | None = None) -> None:
    """``torchrun``."""
    run(parse_args(args))


if __name__ == "__main__":
    main()
