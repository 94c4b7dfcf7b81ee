"""What torchrun is made of, in one process that starts others: logs, failures, timers, rendezvous, launchers."""

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import asdict

import torch
import torch.distributed as dist
from torch.distributed import argparse_util, collective_utils, constants, launcher, rendezvous, run
from torch.distributed.elastic import events, metrics, timer
from torch.distributed.elastic.agent import server
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std, errors, redirects, start_processes, tail_log, to_map
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler
from torch.distributed.elastic.rendezvous.utils import _parse_rendezvous_config, parse_rendezvous_endpoint
from torch.distributed.elastic.utils import api, data, distributed, process_state, store

from compat.distributed.ranks import Said


def worker(x):
    print("from", os.environ["RANK"], os.environ["WORLD_SIZE"], os.environ["ROLE_NAME"], os.environ["TORCHELASTIC_RESTART_COUNT"])
    return x * 2 + int(os.environ["RANK"])


def failing(x):
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] != x:
        raise ValueError("not yet")
    time.sleep(0 if os.environ["TORCHELASTIC_RESTART_COUNT"] == x else 20)
    return os.environ["TORCHELASTIC_RESTART_COUNT"]


def config(**more):
    return launcher.LaunchConfig(1, 1, 2, run_id="r", rdzv_backend="static", rdzv_endpoint=f"localhost:{distributed.get_free_port()}", rdzv_configs={"rank": 0, "timeout": 60}, monitor_interval=0.05, **more)


def launched(said, folder):
    specs = DefaultLogsSpecs(folder + "/a", redirects=Std.ALL)
    said.append(launcher.elastic_launch(config(logs_specs=specs, role="t"), worker)(3))
    for i in range(2):
        [path] = [os.path.join(top, "stdout.log") for top, _, names in os.walk(folder + "/a") if "stdout.log" in names and top.endswith(f"{os.sep}{i}")]
        said.append((re.sub("r_[^/]*", "r_", path.removeprefix(folder)), open(path).read()))
    said.append(launcher.elastic_launch(config(max_restarts=1, logs_specs=DefaultLogsSpecs(folder + "/b", redirects=Std.ALL)), failing)("1"))
    try:
        launcher.elastic_launch(config(max_restarts=0, logs_specs=DefaultLogsSpecs(folder + "/c", redirects=Std.ALL)), failing)("never")
    except errors.ChildFailedError as error:
        rank, failure = error.get_first_failure()
        said.append((error.name, rank, failure.local_rank, failure.exitcode, failure.message["message"], os.path.basename(failure.error_file)))
        text = re.sub(r"(time|host|error_file) *: .*|pid: \d+|File .*|=+|-+", "", str(error))
        said.append([line.strip() for line in text.splitlines() if line.strip() and not line.startswith("    ")][:12])
    said.attempt("shutdown", lambda: config(shutdown_timeout=-1))


def processes(said, folder):
    specs = DefaultLogsSpecs(folder + "/d", redirects={0: Std.OUT, 1: Std.ALL})
    context = start_processes("n", sys.executable, {i: ("-c", "import sys, os; print('out', os.environ['N']); sys.exit(3 * int(os.environ['N']))") for i in range(2)}, {0: {"N": "0"}, 1: {"N": "1"}}, specs)
    found = context.wait(period=0.05)
    said.append([(i, f.local_rank, f.exitcode, f.error_file, f.message, f.signal_name()) for i, f in found.failures.items() if i == 1])
    said.append(({i: os.path.basename(p) for i, p in found.stdouts.items()}, {i: os.path.basename(p) for i, p in found.stderrs.items()}, found.is_failed(), list(context.pids())))
    said.append([re.sub("d/.*attempt", "attempt", x.removeprefix(folder)) for x in context.error_files.values()])
    said.attempt("numbers", lambda: start_processes("n", "true", {1: ()}, {1: {}}, specs))
    said.append([errors.ProcessFailure(0, 1, code, "").message for code in (1, -signal.SIGKILL)] + [errors.ProcessFailure(0, 1, -9, "").signal_name()])
    for text in ("0", "3", "0:3,1:0", "4", "1:2,"):
        said.attempt(text, lambda text=text: Std.from_str(text))
    said.append((to_map(Std.OUT, 2), to_map({1: Std.ERR}, 2), DefaultLogsSpecs("/dev/null") == DefaultLogsSpecs("/dev/null"), str(DefaultLogsSpecs("/dev/null"))))
    said.append(asdict(DefaultLogsSpecs("/dev/null", Std.ALL).reify({0: {}})))
    shown = DefaultLogsSpecs(folder + "/e", Std.OUT, {0: Std.ERR, 1: Std.ALL}, {1}).reify({0: {}, 1: {}})
    said.append({k: {i: os.path.basename(p) for i, p in v.items()} if isinstance(v, dict) else os.path.basename(v) for k, v in asdict(shown).items()})
    said.attempt("a file", lambda: DefaultLogsSpecs(__file__))
    with redirects.redirect("stdout", folder + "/f"):
        print("python")
        os.system("echo a child")
    said.append(open(folder + "/f").read())
    said.attempt("stdin", lambda: redirects.redirect("stdin", folder + "/f").__enter__(), 30)
    with open(folder + "/g", "w") as out:
        tail = tail_log.TailLog("x", {0: folder + "/f", 1: folder + "/none"}, out, {1: "p"}, interval_sec=0.01).start()
        tail.stop()
    said.append((open(folder + "/g").read(), tail.stopped()))


def recorded(said, folder):
    os.environ["TORCHELASTIC_ERROR_FILE"] = folder + "/error.json"

    @errors.record
    def raises(x):
        raise x

    for x in (ValueError("v"), SystemExit(0), SystemExit(2)):
        try:
            said.append(raises(x))
        except BaseException as error:  # noqa: BLE001
            said.append(type(error).__name__)
    told = json.load(open(folder + "/error.json"))
    said.append((told["message"]["message"], sorted(told["message"]["extraInfo"]), "raise x" in told["message"]["extraInfo"]["py_callstack"]))
    failure = errors.ProcessFailure(1, 5, 1, folder + "/error.json")
    said.append((failure.message["message"], failure.timestamp == int(told["message"]["extraInfo"]["timestamp"]), failure.timestamp_isoformat()[4], os.path.basename(failure.error_file)))
    os.environ["TORCHELASTIC_ERROR_FILE"] = folder + "/parent.json"
    try:
        raises(errors.ChildFailedError("n", {3: failure}))
    except errors.ChildFailedError:
        said.append(json.load(open(folder + "/parent.json"))["message"]["errorCode"])
    said.attempt("no failures", lambda: errors.ChildFailedError("n", {}))
    del os.environ["TORCHELASTIC_ERROR_FILE"]


class Mine(RendezvousHandler):
    def get_backend(self):
        return "mine"

    next_rendezvous = is_closed = set_closed = num_nodes_waiting = get_run_id = shutdown = lambda self: None


def met(said, folder):
    for text in ("h", "h:3", " h:3 ", "[::1]", "[::1]:5", "", None, "h:x", "h:70000", "a b:1", "::1:5"):
        said.attempt(f"{text}", lambda text=text: parse_rendezvous_endpoint(text, 7))
    for text in ("", "a=1, b = 2", "a", "=1", "a=b=c"):
        said.attempt(f"{text}", lambda text=text: _parse_rendezvous_config(text))
    for given in (("", "e", "r", 1, 1), ("b", "e", "r", 0, 1), ("b", "e", "r", 2, 1)):
        said.attempt("refused", lambda given=given: RendezvousParameters(*given))
    p = RendezvousParameters("b", "e", "r", 1, 2, a="yes", b=0, c="x", d="3", e=2)
    for key in "abcde":
        said.attempt(key, lambda key=key: p.get_as_bool(key))
        said.attempt(key, lambda key=key: p.get_as_int(key))
    said.append((p.get("z", 1), p.get_as_bool("z"), p.get_as_int("z", 4)))
    rendezvous_handler_registry.register("mine", lambda p: Mine())
    rendezvous_handler_registry.register("other", lambda p: Mine())
    for name in ("mine", "other", "nobody"):
        said.attempt(name, lambda name=name: type(get_rendezvous_handler(RendezvousParameters(name, "", "r", 1, 1))).__name__)
    said.attempt("no name", lambda: rendezvous_handler_registry.register("", 3))
    said.attempt("taken", lambda: rendezvous_handler_registry.register("static", 3) if not re.match("x", "y") else None, 40)
    for more in ({}, {"rank": 0}):
        said.attempt("static", lambda more=more: get_rendezvous_handler(RendezvousParameters("static", "h" if more else "", "r", 1, 1, **more)))
    handler = get_rendezvous_handler(RendezvousParameters("static", f"localhost:{distributed.get_free_port()}", "r", 1, 1, rank=0, timeout=30))
    info = handler.next_rendezvous()
    info.store.set("k", "v")
    said.append((handler.get_backend(), handler.use_agent_store, handler.is_closed(), handler.num_nodes_waiting(), handler.get_run_id(), info.rank, info.world_size, info.store.get("k"), handler.shutdown()))
    built = RendezvousStoreInfo.build(0, info.store, "here", 5)
    said.append((built, RendezvousInfo(info.store, 1, 2, built).bootstrap_store_info))
    said.append(store.synchronize(info.store, b"x", 0, 1, "p") + [store.barrier(info.store, 1, "q")])
    said.attempt("alone", lambda: store.barrier(info.store, 2, "s", 0.2, 0, trace_timeout=0.1), 150)
    said.attempt("who", lambda: store.barrier(info.store, 2, "t", rank_tracing_decoder=str))
    with store.store_timeout(info.store, 3):
        said.append(info.store.timeout)
    kept = distributed.create_c10d_store(True, "localhost", -1, 1)
    said.append((type(kept).__name__, kept.num_keys() > 0))
    said.attempt("a port", lambda: distributed.create_c10d_store(True, "localhost", -1, 2))
    for url in (3, "x://", "tcp://localhost", "tcp://localhost:1", "file://", "file:///x?rank=0", "env://?rank=0&world_size=1", "tcp://h:70000?rank=0&world_size=1"):
        said.attempt(str(url), lambda url=url: next(rendezvous(url)))
    said.attempt("twice", lambda: next(rendezvous("tcp://localhost:1?rank=0", rank=0)))
    said.attempt("no number", lambda: rendezvous("env://", rank="0"))
    dist.register_rendezvous_handler("here", lambda url, **kw: iter([(url, kw)]))
    said.append(next(rendezvous("here://a", rank=1, world_size=2, b=3)))
    said.attempt("again", lambda: dist.register_rendezvous_handler("here", 3))
    said.append((constants.default_pg_timeout, dist.distributed_c10d.default_pg_timeout))


def told(said, folder):
    event = events.Event("e", events.EventSource.WORKER, metadata={"a": 1})
    said += [str(event), events.Event.deserialize(str(event)) == event, events.Event.deserialize(event) is event, str(events.EventSource.AGENT), event]
    rdzv = events.RdzvEvent("n", "r", "m", "h", 1, events.NodeState.INIT)
    said += [str(rdzv), events.RdzvEvent.deserialize(str(rdzv)) == rdzv, type(events.get_logging_handler()).__name__]
    events.record(event)
    events.record_rdzv_event(rdzv)
    events.construct_and_record_rdzv_event("r", "m", events.NodeState.FAILED)
    said.attempt("nowhere", lambda: events.get_logging_handler("x"))

    class Kept(metrics.MetricHandler):
        def emit(self, metric_data):
            said.append((metric_data.group_name, metric_data.name, metric_data.value if "duration" not in metric_data.name else None))

    metrics.configure(Kept(), "g")
    metrics.put_metric("a", 3, "g")

    @metrics.prof(group="g")
    def fine(x):
        return 1 / x

    said.append(fine(1))
    said.attempt("fails", lambda: fine(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics.profile("g")(fine)(2)
        metrics.publish_metric("g", "b", 1)
    said.append((metrics.getStream("other").handler.__class__.__name__, metrics.MetricsConfig().params, metrics.initialize_metrics()))
    said.attempt("abstract", metrics.MetricHandler)
    queue = torch.multiprocessing.get_context("spawn").Queue()
    client, server = timer.LocalTimerClient(queue), timer.LocalTimerServer(queue, max_interval=5)
    said.attempt("no client", lambda: timer.expires(1).__enter__())
    timer.configure(client)
    with timer.expires(1, "s"):
        pass
    with timer.expires(-5):
        server._reap_worker = lambda worker: said.append(("reaped", worker == os.getpid())) or True
        for _ in range(3):
            server._run_watchdog()
    server._run_watchdog()
    said += [server._timers, timer.TimerRequest(1, "a", 2.0) == timer.TimerRequest(1, "a", 2.0), timer.TimerRequest(1, "a", 2.0) == 3]
    queue.close()


def small(said, folder):
    said.append((api.macros.substitute(["-r${local_rank}", 3, "$x"], "5"), process_state.is_uninterruptible_state("D+"), process_state.read_proc_state(1 << 30), process_state.read_proc_state(os.getpid())))
    said.attempt("no variable", lambda: api.get_env_variable_or_raise("NOBODY_SET_THIS"))
    said.append(list(data.CyclingIterator(3, lambda epoch: iter([epoch, 7]), 1)))
    sampler = data.ElasticDistributedSampler(range(10), 2, 1, 3)
    said.append((list(sampler), len(sampler), [sampler.set_epoch(1), list(sampler)][1]))
    said.attempt("behind", lambda: data.ElasticDistributedSampler(range(3), 2, 1, 3))
    said.attempt("no size", lambda: data.ElasticDistributedSampler(iter([]), 2, 1))
    os.environ.update(PET_A="env", PET_B="1", PET_C="0")
    parser = argparse.ArgumentParser()
    for name, action in (("--a", argparse_util.env), ("--b", argparse_util.check_env), ("--c", argparse_util.check_env), ("--d", argparse_util.env)):
        parser.add_argument(name, action=action)
    said += [parser.parse_args([]), parser.parse_args(["--a", "x", "--c", "--d", "y"])]
    for text in ("3", "1:4", "1:2:3"):
        said.attempt(text, lambda text=text: run.parse_min_max_nnodes(text))
    for text in ("3", "gpu", "xpu", "many"):
        said.attempt(text, lambda text=text: run.determine_local_world_size(text))
    args = argparse.Namespace(rdzv_backend="static", rdzv_endpoint="", master_addr="h", master_port=3)
    said += [run.get_rdzv_endpoint(args), run.get_use_env(args)]
    for made in (3, lambda: 4, lambda: 1 / 0):
        said.attempt("broadcast", lambda made=made: collective_utils.broadcast(made, stage_name="s"))
        said.attempt("all_gather", lambda made=made: collective_utils.all_gather(made))
    said.attempt("no success", lambda: collective_utils.broadcast(None, success=False))
    said.attempt("both", lambda: collective_utils.broadcast(3, success=False))


def watched(said, folder):
    handler = get_rendezvous_handler(RendezvousParameters("static", f"localhost:{distributed.get_free_port()}", "r", 1, 1, rank=0, timeout=60))
    spec = server.WorkerSpec("t", 1, handler, entrypoint=worker, args=(4,), master_addr="localhost", master_port=int(handler.master_port), monitor_interval=0.05)
    agent = server.local_elastic_agent.LocalElasticAgent(spec, DefaultLogsSpecs(folder + "/w", redirects=Std.ALL))
    group = agent.get_worker_group()
    said += [group.state, spec.get_entrypoint_name()]
    result = agent.run()
    said += [result, result.is_failed(), agent.get_worker_group().state]


def specified(said, folder):
    spec = server.WorkerSpec("t", 2, None, entrypoint="/bin/true")
    said += [spec.get_entrypoint_name(), server.WorkerGroup(spec).workers, str(server.WorkerState.INIT), server.WorkerState.is_running(server.WorkerState.HEALTHY)]
    for given in ({"local_world_size": 0}, {"monitor_interval": 0}, {"entrypoint": None}):
        said.attempt(f"{given}", lambda given=given: server.WorkerSpec(**{"role": "t", "local_world_size": 1, "rdzv_handler": None, "entrypoint": "x", **given}))
    said.attempt("abstract", server.ElasticAgent)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as scratch, open(f"{sys.argv[2]}/0", "w") as file:
        for part in (small, told, met, recorded, specified, processes, *([launched, watched] if sys.argv[3:] else [])):  # which starts ten processes
            said = Said()
            part(said, scratch)
            file.write("\n".join(str(x).replace("\n", " ").replace(scratch, "").replace("jtorch", "torch") for x in said) + "\n")
