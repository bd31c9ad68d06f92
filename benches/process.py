"""A weir, and a load for it, as processes on cores of their own: what benches that drive whole processes share."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import machine

TICKS = os.sysconf("SC_CLK_TCK")
# What weir writes of a usual batch, about.
WRITE_BYTES = 256 * 1024
# A usual router line.
DATAGRAM = (
    "<158>1 2026-11-22T09:51:24.537546+00:00 host heroku router - at=info method=GET path=\"/api/orders?page=3\" "
    "host=shop.example request_id=8c0a3b52-95f0-4c4f-9a1c-4a9f1c1d2e3f fwd=\"203.0.113.7\" dyno=web.1 connect=1ms "
    "service=18ms status=200 bytes=1548 protocol=https"
)
FILE = "[{name: out, kind: file, root: ROOT/out, path: out.ndjson}]"


def process_cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid, key):
    kib = re.search(rf"{key}:\s+(\d+)", open(f"/proc/{pid}/status").read())
    return int(kib[1]) * 1024 / 1e6


def wait_for(what, ready, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ready():
            return found
        time.sleep(0.02)
    sys.exit(f"{what}: not within {seconds} s")


class Weir:
    """A weir of one listener on ports that the kernel picks, without packs unless they are named or left to weir, by `None`."""

    def __init__(self, binary, root, transport, parse, sinks, core, threads="1", stdout=subprocess.DEVNULL, packs="[]"):
        if transport == "tls":
            certify(root)
        kind = {"http": "http", "udp": "udp"}.get(transport, "tcp")
        pipeline = pathlib.Path(root, "weir.yaml")
        pipeline.write_text(
            f"weir: pipeline/v1\nthreads: {threads}\nobserve: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"
            + (f"packs: {packs}\n" if packs is not None else "")
            + f"listeners:\n  - {{name: load, kind: {kind}, bind: \"127.0.0.1:0\", parse: {parse}"
            + (", shed_after: never" if kind == "tcp" else "")
            + (", tls: {cert: cert.pem, key: key.pem, mode: require}" if transport == "tls" else "")
            + f"}}\nsinks: {sinks.replace('ROOT', str(root))}\n"
        )
        self.ready_file = pathlib.Path(root, "ready.json")
        self.log = open(pathlib.Path(root, "log"), "w+")
        command = [str(pathlib.Path(binary).resolve()), "run", str(pipeline), "--ready-file", str(self.ready_file)]
        pin = ["taskset", "-c", str(core)] if core is not None else []
        self.process = subprocess.Popen(pin + command, stdout=stdout, stderr=self.log, cwd=root)
        wait_for("weir", self.is_ready)
        self.ready = json.loads(self.ready_file.read_text())
        self.pid = self.ready["pid"]
        self.address = self.ready["listeners"]["load"]

    def is_ready(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            sys.exit(f"weir ended: {self.log.read()[-2000:]}")
        return self.ready_file.exists()

    def books(self):
        return json.load(urllib.request.urlopen(f"http://{self.ready['admin']}/books", timeout=5))

    def wait_for_books(self, events, seconds=60):
        def closed():
            books = self.books()
            return books["closed"] and books["listeners"]["load"]["received"] >= events
        wait_for("closed books", closed, seconds)

    def stop(self):
        """Ends it, and returns its last books and its log."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.log.seek(0)
        lines = self.log.read().splitlines()
        if code != 0:
            sys.exit(f"weir ended with {code}: {lines[-5:]}")
        return json.loads(lines[-1]), lines


def certify(root):
    """Makes a certificate that nobody vouches for."""
    files = ["-keyout", f"{root}/key.pem", "-out", f"{root}/cert.pem"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)


def send(load, to, root, events, core, connections=4, send_bytes=262_144):
    """Sends at full rate; returns the events sent, the seconds, and the bytes."""
    command = [load, "send", "--to", to, "--mix", "router-heavy", "--connections", str(connections), "--rate", "max"]
    command += ["--insecure"] if to.startswith("tls:") else []
    command += ["--send-bytes", str(send_bytes), "--events", str(events), "--record", f"{root}/sent.json"]
    pin = ["taskset", "-c", str(core)] if core is not None else []
    done = subprocess.run(pin + command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"weir-load send: {done.stdout}{done.stderr}")
    found = re.search(r"sent ([\d,_ ]+?) events, ([\d,_ ]+?) bytes .* in ([\d.]+) s", done.stdout)
    number = lambda text: int(re.sub(r"\D", "", text))
    return number(found[1]), float(found[3]), number(found[2])


def write_again(folder, core):
    """What a plain loop pays to write so many bytes as the files of `folder` have, some of them over and over: CPU s."""
    files = sorted(folder.iterdir())
    with open(files[0], "rb") as file:
        block = file.read(WRITE_BYTES)
    left, cores = sum(file.stat().st_size for file in files), os.sched_getaffinity(0)
    out = os.open(folder / "again", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.sched_setaffinity(0, {core})
    before = time.process_time()
    while left > 0:
        left -= os.write(out, block[:left])
    cpu_s = time.process_time() - before
    os.sched_setaffinity(0, cores)
    os.close(out)
    return cpu_s


class Datagrams:
    """Sends datagrams of one length for some seconds, one a call or so many that the kernel cuts, at a steady rate."""

    UDP_SEGMENT, IN_A_CALL = 103, 32

    def __init__(self, core, address, rate, seconds, joined):
        code = f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r}); import process; "
        code += f"process.send_datagrams({address!r}, {rate}, {seconds}, {joined})"
        self.process = subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    def wait(self):
        """How many it sent."""
        return int(self.process.communicate(timeout=120)[0])


def send_datagrams(address, rate, seconds, joined):
    host, port = address.rsplit(":", 1)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect((host, int(port)))
    line = DATAGRAM.encode()
    if joined:
        sender.setsockopt(socket.IPPROTO_UDP, Datagrams.UDP_SEGMENT, len(line))
    began, sent = time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        if sent > now * rate:
            continue
        for _ in range(1 if joined else Datagrams.IN_A_CALL):
            sender.send(line * Datagrams.IN_A_CALL if joined else line)
        sent += Datagrams.IN_A_CALL
    print(sent)


def check_books(books, sent):
    listener = books["listeners"]["load"]
    told = [listener["received"], listener["admitted"]] + [sink["delivered"] for sink in books["sinks"].values()]
    if not books["closed"] or any(count != sent for count in told):
        sys.exit(f"the books do not match {sent} events sent: {json.dumps(books)}")


def build():
    subprocess.run(["cargo", "build", "--release", "--workspace"], cwd=machine.ROOT, check=True)
    meta = json.loads(machine.said("cargo", "metadata", "--format-version", "1", "--no-deps"))
    return [f"{meta['target_directory']}/release/{name}" for name in ("weir", "weir-load")]
