#!/usr/bin/env python3
"""Breaks a cluster for a while and looks whether it heals: `scripts/soak.py --minutes 60 --bin DIRECTORY`.

Servers are killed, frozen, restarted, leave and come back; clients are killed and started again; all at random moments
drawn from a seed. A majority always stays. At each rest, and at the end, every server must agree on the leader, the
members and Raft's configuration, and every client must be ready and know all servers. One server and one client live
from the first to the last moment: their open files and their memory must not grow. Exit status 1 when something is
wrong.
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request


class Agent:
    """One nomadd with an address, a data directory and a log of its own."""

    def __init__(self, soak, name, host, is_server):
        self.soak, self.name, self.host, self.is_server = soak, name, host, is_server
        self.directory = os.path.join(soak.directory, name)
        self.process = None
        self.is_frozen = False
        os.makedirs(self.directory)

    @property
    def runs(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        words = [self.soak.program, "--bind", self.host, "--advertise", self.host, "--name", self.name]
        words += ["--data-dir", os.path.join(self.directory, "data"), "--config", self.soak.configuration]
        if self.is_server:
            words += ["--server", "--bootstrap-expect", str(self.soak.expect)]
            for known in self.soak.servers[: self.soak.expect]:
                words += ["--retry-join", known.host]
        else:
            words += ["--client", "--servers", ",".join(one.host for one in self.soak.servers[: self.soak.expect])]
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.is_frozen = False

    def send(self, number):
        if self.runs:
            self.process.send_signal(number)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def get(self, path, timeout=3):
        """The JSON answer, or None."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:4646{path}", timeout=timeout) as answer:
                return json.loads(answer.read())
        except (OSError, ValueError, urllib.error.URLError):
            return None

    def usage(self):
        """Open files and resident kilobytes."""
        number = self.process.pid
        with open(f"/proc/{number}/status") as status:
            resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
        return len(os.listdir(f"/proc/{number}/fd")), resident

    def tail(self):
        with open(os.path.join(self.directory, "log"), "rb") as log:
            return log.read()[-1500:].decode(errors="replace")


class Soak:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.program = os.path.join(options.bin, "nomadd")
        self.directory = tempfile.mkdtemp(prefix="nomadd-soak-")
        self.configuration = os.path.join(self.directory, "soak.hcl")
        self.expect = 3
        self.failures, self.deeds, self.leaders = [], {}, {}
        with open(self.configuration, "w") as file:
            file.write('leave_on_terminate = true\nlog_level = "INFO"\n')
        network = f"127.{self.random.randrange(64, 250)}.{self.random.randrange(1, 250)}"
        self.servers = [Agent(self, f"server{n}", f"{network}.{n}", True) for n in range(1, options.servers + 1)]
        self.clients = [Agent(self, f"client{n}", f"{network}.{n + 100}", False) for n in range(1, options.clients + 1)]
        # These two live through everything.
        self.anchors = [self.servers[0], self.clients[0]]
        self.begun = time.monotonic()

    # What is done to them

    def say(self, text):
        print(f"{time.monotonic() - self.begun:7.1f} {text}", flush=True)

    def do(self, deed, agent, text):
        self.deeds[deed] = self.deeds.get(deed, 0) + 1
        self.say(f"{agent.name} {text}")

    def strike(self):
        """One random fault. At most a minority of the servers is away at any time."""
        away = [one for one in self.servers if not one.runs or one.is_frozen]
        choice = self.random.random()
        if choice < 0.35:
            self.trouble_client()
        elif away and (choice < 0.6 or len(away) >= (len(self.servers) - 1) // 2):
            self.bring_back(self.random.choice(away))
        elif len(away) < (len(self.servers) - 1) // 2:
            self.trouble_server(not away)

    def trouble_client(self):
        client = self.random.choice(self.clients[1:])
        if client.runs:
            self.do("client kills", client, "is killed")
            client.kill()
        else:
            self.do("client starts", client, "starts")
            client.start()

    def trouble_server(self, may_leave):
        victim = self.random.choice(self.servers[1:])
        if not victim.runs or victim.is_frozen:
            return
        choice = self.random.random()
        if choice < 0.25 and may_leave and self.voters() == len(self.servers):
            self.do("leaves", victim, "leaves")
            victim.send(signal.SIGTERM)
            try:
                status = victim.process.wait(30)
                if status != 0:
                    self.failures.append(f"{victim.name} left with status {status}\n{victim.tail()}")
            except subprocess.TimeoutExpired:
                self.failures.append(f"{victim.name} does not come to an end after leaving\n{victim.tail()}")
                victim.kill()
        elif choice < 0.45:
            self.do("freezes", victim, "is frozen")
            victim.send(signal.SIGSTOP)
            victim.is_frozen = True
        else:
            self.do("server kills", victim, "is killed")
            victim.kill()

    def bring_back(self, server):
        if server.is_frozen:
            self.do("thaws", server, "goes on")
            server.send(signal.SIGCONT)
            server.is_frozen = False
        else:
            self.do("server starts", server, "starts")
            server.start()

    def voters(self):
        answer = self.servers[0].get("/v1/operator/raft/configuration?stale") or {}
        return sum(1 for one in answer.get("Servers") or [] if one["Voter"])

    # What must hold

    def watch(self):
        """At most one leader a term, whatever is broken; and nobody ends by himself."""
        for agent in self.servers + self.clients:
            status = agent.process.poll()
            if status is not None and status not in (0, -signal.SIGKILL):
                self.failures.append(f"{agent.name} ended by itself with {status}\n{agent.tail()}")
        for server in self.servers:
            if not server.runs or server.is_frozen:
                continue
            raft = ((server.get("/v1/agent/self") or {}).get("stats") or {}).get("raft") or {}
            if raft.get("state") != "Leader":
                continue
            other = self.leaders.setdefault(raft["term"], server.name)
            if other != server.name:
                self.failures.append(f"{other} and {server.name} both led term {raft['term']}")

    def defect(self):
        """What keeps the cluster from being whole, if anything."""
        hosts = sorted(one.host for one in self.servers)
        names = sorted(f"{one.name}.global" for one in self.servers)
        leaders, configurations = set(), set()
        for server in self.servers:
            leaders.add(server.get("/v1/status/leader?stale"))
            members = (server.get("/v1/agent/members") or {}).get("Members") or []
            alive = sorted(one["Name"] for one in members if one["Status"] == "alive")
            if alive != names:
                return f"{server.name} sees alive {alive}"
            raft = (server.get("/v1/operator/raft/configuration?stale") or {}).get("Servers") or []
            configurations.add(tuple(sorted((one["ID"], one["Address"], one["Voter"]) for one in raft)))
            nodes = server.get("/v1/nodes?stale")
            status = {one["Name"]: one["Status"] for one in nodes or []}
            late = sorted(one.name for one in self.clients if status.get(one.name) != "ready")
            if late or len(status) != len(self.clients):
                return f"{server.name} has nodes {status}"
        if len(leaders) != 1 or not leaders.copy().pop():
            return f"leaders {leaders}"
        if len(configurations) != 1:
            return f"{len(configurations)} Raft configurations"
        voters = sorted(address.rsplit(":", 1)[0] for _, address, votes in configurations.pop() if votes)
        if voters != hosts:
            return f"voters {voters}"
        for client in self.clients:
            known = sorted(one.rsplit(":", 1)[0] for one in client.get("/v1/agent/servers") or [])
            if known != hosts:
                return f"{client.name} knows {known}"
        return None

    def rest(self, limit):
        """Brings everybody back and waits until the cluster is whole."""
        for agent in self.servers + self.clients:
            if agent.is_frozen:
                self.bring_back(agent)
            elif not agent.runs:
                agent.start()
        begun = time.monotonic()
        last = None
        while time.monotonic() - begun < limit:
            last = self.defect()
            if last is None:
                self.say(f"whole again after {time.monotonic() - begun:.1f} s")
                return
            time.sleep(0.5)
        self.failures.append(f"not whole after {limit} s: {last}")

    def usages(self):
        # Connections that nobody needs any more are closed after a while.
        time.sleep(self.options.calm)
        return [agent.usage() for agent in self.anchors]

    def run(self):
        counts = f"{len(self.servers)} servers, {len(self.clients)} clients"
        self.say(f"seed {self.options.seed}, {counts}, {self.directory}")
        for agent in self.servers + self.clients:
            agent.start()
        self.rest(60)
        end = self.begun + self.options.minutes * 60
        before = None
        while time.monotonic() < end and not self.failures:
            pause = time.monotonic() + self.options.period
            while time.monotonic() < min(pause, end) and not self.failures:
                self.strike()
                self.watch()
                time.sleep(self.random.uniform(0.2, 4))
            self.rest(self.options.heal)
            if before is None and not self.failures:
                # What the first faults cost is there for good: buffers that have grown, pages that were touched.
                before = self.usages()
        after = self.usages() if before else []
        for agent, (files, resident), (files_after, resident_after) in zip(self.anchors, before or [], after):
            self.say(f"{agent.name}: open files {files} -> {files_after}, resident {resident} -> {resident_after} KiB")
            if files_after > files + self.options.spare_files:
                self.failures.append(f"{agent.name} leaks files: {files} -> {files_after}")
            if resident_after > resident * 1.25 + 4096:
                self.failures.append(f"{agent.name} grows: {resident} -> {resident_after} KiB")
        self.say("deeds: " + ", ".join(f"{count} {name}" for name, count in sorted(self.deeds.items())))

    def close(self):
        for agent in self.servers + self.clients:
            agent.kill()
        if not self.failures:
            shutil.rmtree(self.directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--bin", default=".build/dist", help="where nomadd is")
    parser.add_argument("--servers", type=int, default=5)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--period", type=float, default=60, help="seconds of faults between two rests")
    parser.add_argument("--heal", type=float, default=150, help="seconds within which the cluster must be whole")
    parser.add_argument("--calm", type=float, default=10, help="seconds before memory and files are looked at")
    parser.add_argument("--spare-files", type=int, default=10)
    soak = Soak(parser.parse_args())
    try:
        soak.run()
    finally:
        soak.close()
    for failure in soak.failures:
        print(f"soak: {failure}", file=sys.stderr)
    if soak.failures:
        print(f"soak: logs are in {soak.directory}; repeat with --seed {soak.options.seed}", file=sys.stderr)
    sys.exit(1 if soak.failures else 0)


main()
