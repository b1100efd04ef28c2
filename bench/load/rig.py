"""Processes, configurations and counters for the benchmarks. Standard library only.

Everything runs on loopback with ports that were free a moment ago, in one temporary directory that is removed at the
end; only processes started here are ended, by their PID, and they end with this process (PR_SET_PDEATHSIG).
"""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = ROOT / "bench" / "results"
CONFIGS = HERE / "configs"
PR_SET_PDEATHSIG = 1
MANY_MODELS, MANY_ENDPOINTS = 9_800, 1_000  # about what fits into one document of 100 000 values and keys
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class WindowRefused(Exception):
    """A window with a failure: its numbers are not used."""


def add_binaries(parser):
    for name, binary in (("millrace", "millrace"), ("sim", "vllm-sim"), ("load", "millrace-load")):
        parser.add_argument(f"--{name}", metavar="PATH", type=pathlib.Path,
                            default=ROOT / "build" / "release" / "bin" / binary)
    parser.add_argument("--results", metavar="DIR", type=pathlib.Path, default=RESULTS)


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def process_tree(pid):
    """The PID and all its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = pathlib.Path("/proc", entry, "stat").read_text()
                parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    tree = {pid}
    while more := {p for p, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sorted(tree)


def pss_kib(pid):
    """Proportional set size of the tree: user-space memory, shared pages divided."""
    total = 0
    for member in process_tree(pid):
        for line in pathlib.Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def open_files(pid):
    return sum(len(os.listdir(f"/proc/{member}/fd")) for member in process_tree(pid))


def get(port, path, timeout=10, host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def metrics(port):
    """{series name with labels: value} of a Prometheus page."""
    values = {}
    for line in get(port, "/metrics")[1].splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            values[name] = float(value)
    return values


class Rig:
    """Owns the temporary directory and all processes; a context manager."""

    def __init__(self, args):
        self.args = args
        self.processes = []
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="millrace-bench-"))
        self.file_limit = raise_file_limit()
        for binary in (args.millrace, args.sim, args.load):
            if not os.access(binary, os.X_OK):
                sys.exit(f"{binary} is missing; build it (make build) or name another one")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            self.stop(process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, name, command, cores, **more):
        def prepare():
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.sched_setaffinity(0, cores)
        log = open(self.directory / f"{name}.log", "ab")
        process = subprocess.Popen([str(part) for part in command], preexec_fn=prepare,
                                   stdin=subprocess.DEVNULL,
                                   **{"stdout": log, "stderr": log, **more})
        log.close()
        process.name = name
        self.processes.append(process)
        return process

    def stop(self, process):
        if process in self.processes:
            self.processes.remove(process)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                print(f"{process.name} did not end within 10 s of SIGTERM", file=sys.stderr)
                process.kill()
                process.wait()

    def wait_for_port(self, process, port):
        for _ in range(200):
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        log = (self.directory / f"{process.name}.log").read_text(errors="replace")
        sys.exit(f"{process.name} did not start:\n{log[-3000:]}")

    def start_sim(self, cores, *arguments, name="sim", threads=1):
        port = free_port()
        process = self.start(name, [self.args.sim, "--port", port, "--any-model", "--threads",
                                    threads, *arguments], cores)
        self.wait_for_port(process, port)
        process.port = port
        return process

    def start_gateway(self, variant, sim_port, cores, **settings):
        """`variant` is a key of VARIANTS; the process gets .port and, for millrace, .metrics_port."""
        build = VARIANTS[variant]
        port = free_port()
        tls = self.certificate() if settings.pop("tls", False) else None
        command, ports = build(self, port, sim_port, tls, **settings)
        process = self.start(variant, command, cores)
        self.wait_for_port(process, port)
        process.port = port
        for name, value in ports.items():
            setattr(process, name, value)
        return process

    def certificate(self):
        key, certificate = self.directory / "tls.key", self.directory / "tls.crt"
        if not key.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                            "-keyout", key, "-out", certificate], check=True, capture_output=True)
            (self.directory / "tls.pem").write_text(certificate.read_text() + key.read_text())
        return certificate, key, self.directory / "tls.pem"

    def fill(self, template, name, **values):
        text = (CONFIGS / template).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        path = self.directory / name
        path.write_text(text)
        return path

    def load(self, port, *arguments, cores, watch=None, allow_failures=False, timeout=900):
        """One run of millrace-load; its report."""
        process = self.start_load(port, *arguments, cores=cores, watch=watch)
        return self.finish_load(process, allow_failures, timeout)

    def start_load(self, port, *arguments, cores, watch=None):
        command = [self.args.load, "--target", f"127.0.0.1:{port}", *arguments]
        if watch is not None:
            command += ["--watch", ",".join(map(str, process_tree(watch.pid)))]
        return self.start("load", command, cores, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish_load(self, process, allow_failures=False, timeout=900):
        out, errors = process.communicate(timeout=timeout)
        self.processes.remove(process)
        if not out.strip():
            raise WindowRefused(f"millrace-load said nothing: {errors.decode()}")
        report = json.loads(out)
        if report["errors"] and not allow_failures:
            raise WindowRefused(json.dumps(report["error_kinds"]))
        return report

    @staticmethod
    def wait_ready(process):
        """Until millrace-load announces that all its connections or streams are there."""
        while line := process.stderr.readline():
            if line.strip() == b"ready":
                return
        raise WindowRefused("millrace-load ended before it was ready")


def _millrace(rig, port, sim_port, tls, workers=1, models=1, endpoints=1, variants=None,
              backends="", sticky="", access_log="", more_models=""):
    ports = {"metrics_port": free_port(), "admin_port": free_port()}
    more_models = [more_models] if more_models else []
    more_backends = [backends] if backends else []
    pools = max(1, (endpoints - 1) // 10)
    for i in range(models - 1):
        more_models.append(f"  - {{id: model-{i}, variants: [{{name: stable, backend: pool-{i % pools}}}]}}")
    for i in range(pools if models > 1 else 0):
        urls = ", ".join(f"http://127.1.{i}.{j + 1}:{sim_port}" for j in range(10))
        more_backends.append(f"  pool-{i}: {{endpoints: {{static: [{urls}]}}}}")
    config = rig.fill(
        "millrace.yaml.in", f"millrace-{port}.yaml", PORT=port, SIM=sim_port, WORKERS=workers,
        METRICS=ports["metrics_port"], ADMIN=ports["admin_port"],
        TLS=f", tls: {{certificate: {tls[0]}, key: {tls[1]}}}" if tls else "",
        STICKY=sticky, VARIANTS=variants or "      - {name: stable, backend: sim}",
        MODELS="\n".join(more_models), BACKENDS="\n".join(more_backends),
        ACCESS_LOG=f", access_log: {access_log}" if access_log else "")
    ports["config"] = config
    return [rig.args.millrace, "serve", "-c", config], ports


def _nginx(rig, port, sim_port, tls):
    config = rig.fill(
        "nginx.conf.in", f"nginx-{port}.conf", DIR=rig.directory, PORT=port, SIM=sim_port,
        TLS=" ssl" if tls else "",
        CERTIFICATE=f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};" if tls else "")
    return ["nginx", "-p", rig.directory, "-e", "stderr", "-c", config], {}


def _haproxy(rig, port, sim_port, tls, by_body=False):
    (rig.directory / "models.map").write_text("sim sim\n")
    config = rig.fill(
        "haproxy.cfg.in", f"haproxy-{port}.cfg", DIR=rig.directory, PORT=port, SIM=sim_port,
        TLS=f" ssl crt {tls[2]}" if tls else "", BUFSIZE=32768 if by_body else 16384,
        WAIT="option http-buffer-request" if by_body else "",
        MODEL="req.body,json_query('$.model')" if by_body else "req.hdr(x-model-id)")
    return ["haproxy", "-db", "-q", "-f", config], {}


VARIANTS = {
    "millrace-body": _millrace,
    "millrace-header": _millrace,
    "millrace-many-models": lambda *a, **s: _millrace(*a, models=MANY_MODELS, endpoints=MANY_ENDPOINTS, **s),
    "nginx-header": _nginx,
    "haproxy-header": _haproxy,
    "haproxy-json": lambda *a, **s: _haproxy(*a, by_body=True, **s),
}


def request_arguments(variant):
    """What the load generator must send so that the variant can route."""
    return ["--model-header"] if variant.endswith("-header") else []


def _output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return "not installed"
    return (done.stdout + done.stderr).strip().splitlines()[0] if done.stdout + done.stderr else ""


def describe_machine(args):
    """What a reader needs to judge the numbers."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), "unknown")
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo")) // 1024
    return {
        "cpu": cpu, "cores": os.cpu_count(), "memory_mib": memory,
        "kernel": platform.release(), "system": next(
            (line.split("=")[1].strip().strip('"') for line in open("/etc/os-release")
             if line.startswith("PRETTY_NAME")), "unknown"),
        "load_average_at_start": os.getloadavg()[0],
        "millrace": _output(args.millrace, "version"), "revision": _output("git", "rev-parse", "--short", "HEAD"),
        "nginx": _output("nginx", "-v"), "haproxy": _output("haproxy", "-v"),
    }
