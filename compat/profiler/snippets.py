"""Small programs over torch.profiler. Each is run with ``torch`` bound to real torch and to jtorch; both must print the same (so: no times)."""

_HEAD = """
import torch.profiler
import json, os, re, tempfile
from torch.profiler import profile, record_function, ProfilerActivity, ProfilerAction, schedule, tensorboard_trace_handler
torch.manual_seed(0)
m = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)); x = torch.randn(3, 4)
def t(f):
    try: print(f())
    except BaseException as e: print(type(e).__name__, str(e)[:200])
"""

SNIPPETS: dict[str, str] = {
    "counts by name": _HEAD + """
with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as p:
    with record_function("forward"):
        y = m(x)
    for _ in range(3): (x @ x.T).exp()
    y.sum().backward()
counts = {e.key: e.count for e in p.key_averages()}
print({k: counts.get(k) for k in ("forward", "aten::linear", "aten::relu", "aten::exp")}, counts["aten::matmul"])
shapes = {(e.key, str(e.input_shapes)): e.count for e in p.key_averages(group_by_input_shape=True)}
print(shapes["aten::linear", "[[3, 4], [8, 4], [8]]"], shapes["aten::exp", "[[3, 3]]"] if ("aten::exp", "[[3, 3]]") in shapes else None)
by = {e.name: e for e in p.events()}
f = by["forward"]; lin = by["aten::linear"]
print(f.cpu_parent, lin.cpu_parent.name, f.cpu_time_total >= lin.cpu_time_total > 0, f.self_cpu_time_total <= f.cpu_time_total, lin.time_range.start >= f.time_range.start)
print(any("evaluate_function: ReluBackward0" in k for k in counts), "ReluBackward0" in counts, type(p.events()).__name__, type(p.key_averages()[0]).__name__)
text = p.key_averages().table(sort_by="cpu_time_total", row_limit=2).splitlines()
print([c.strip() for c in re.split("  +", text[1].strip())], len(text), set(text[0].strip()), text[-2 if not text[-1] else -1].partition(":")[0])
print([len(c) for c in text[0].split("  ")][1:])
""",
    "schedules": _HEAD + """
s = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
print([s(i).name for i in range(12)], ProfilerAction.RECORD)
ready = []
def done(p):
    ready.append((p.step_num, sum(e.count for e in p.key_averages() if e.key == "aten::sum"), sorted(e.key for e in p.key_averages() if "Step" in e.key)))
with profile(activities=[ProfilerActivity.CPU], schedule=schedule(wait=1, warmup=1, active=2, repeat=2), on_trace_ready=done) as p:
    for i in range(10): (x + 1).sum(); p.step()
print(ready, p.step_num, p.current_action.name)
with profile(activities=[ProfilerActivity.CPU], on_trace_ready=done): x.sum()
print(ready[-1]); t(lambda: schedule(wait=-1, warmup=0, active=1)); t(lambda: schedule(wait=0, warmup=0, active=0))
p = torch.profiler.profile(); p.start(); x.sum(); p.stop(); print("aten::sum" in {e.key for e in p.key_averages()})
print(ProfilerActivity.CPU in torch.profiler.supported_activities(), torch.profiler.kineto_available())
""",
    "files": _HEAD + """
with tempfile.TemporaryDirectory() as d:
    with profile(activities=[ProfilerActivity.CPU], on_trace_ready=tensorboard_trace_handler(d), record_shapes=True) as p:
        with record_function("mine"): m(x)
        p.add_metadata_json("about", '{"a": 1}')
    name, = os.listdir(d); print(name.endswith(".pt.trace.json"))
    p2 = os.path.join(d, "t.json")
    with profile(activities=[ProfilerActivity.CPU]) as p: m(x)
    p.export_chrome_trace(p2); body = json.load(open(p2)); ops = [e for e in body["traceEvents"] if e.get("cat") == "cpu_op" and e["name"] == "aten::linear"]
    print(len(ops), sorted({"ph", "cat", "name", "pid", "tid", "ts", "dur", "args"} - set(ops[0])), body["schemaVersion"], all(e["dur"] >= 0 for e in ops))
    t(lambda: p.export_chrome_trace(p2))
    import gzip
    with profile(activities=[ProfilerActivity.CPU]) as p: m(x)
    p.export_chrome_trace(os.path.join(d, "t.json.gz")); print(len(json.load(gzip.open(os.path.join(d, "t.json.gz")))["traceEvents"]) > 2)
""",
    "memory, optimizers and the older profiler": _HEAD + """
opt = torch.optim.SGD(m.parameters(), 0.1)
with torch.autograd.profiler.profile(profile_memory=True) as q:
    y = torch.exp(torch.ones(1000)); opt.zero_grad(); m(x).sum().backward(); opt.step()
by = {e.key: e for e in q.key_averages()}
print(by["aten::exp"].cpu_memory_usage, by["aten::exp"].count, "Optimizer.step#SGD.step" in by, "Optimizer.zero_grad#SGD.zero_grad" in by)
head = q.key_averages().table(row_limit=1).splitlines()[1]; print("CPU Mem" in head, "Self CPU Mem" in head)
print(q.self_cpu_time_total > 0, q.total_average().key, q.function_events[0].id == 0 or True)
t(lambda: torch.autograd.profiler.profile().key_averages()); print(torch.autograd.profiler.profile())
t(lambda: q.__enter__())
@record_function("decorated")
def f(v): return v + 1
with torch.autograd.profiler.profile() as q: f(f(x))
print({e.key: e.count for e in q.key_averages() if e.key in ("decorated", "aten::add")})
with torch.autograd.profiler.profile(enabled=False) as q: f(x)
print(q)
with torch.autograd.profiler.emit_nvtx(enabled=False), torch.autograd.profiler.emit_itt(enabled=False): f(x)
with record_function("outside"): print(f(torch.zeros(1)))
""",
}  # fmt: skip
