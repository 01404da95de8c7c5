"""Exercises the HTTP API with python-nomad, a library written for HashiCorp's Nomad.

Usage: api_client.py HOST, the address of a server of a cluster of three with one client, as `make up` forms it.
"""

import sys
import time

import nomad

host = sys.argv[1]
api = nomad.Nomad(host=host, timeout=10)


def until(what, condition, seconds=10):
    """Polls until the condition holds; a cluster needs a moment to agree."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def refused(call, status, text):
    try:
        call()
    except nomad.api.exceptions.BaseNomadException as error:
        assert error.nomad_resp.status_code == status, error.nomad_resp.status_code
        assert text in error.nomad_resp.text, error.nomad_resp.text
        return
    raise AssertionError(f"expected {status} {text}")


members = api.agent.get_members()["Members"]
assert len(members) == 3 and all(member["Status"] == "alive" for member in members), members
assert {member["Tags"]["role"] for member in members} == {"nomad"}
assert api.agent.get_agent()["config"]["Server"]["Enabled"]
assert api.regions.get_regions() == ["global"]

peers = api.status.peers.get_peers()
assert len(peers) == 3 and api.status.leader.get_leader() in peers
assert f"{host}:4647" in peers
servers = api.operator.get_configuration()["Servers"]
assert sum(server["Leader"] for server in servers) == 1
assert {server["Address"] for server in servers} == set(peers)

(node,) = api.nodes.get_nodes()
assert node["Status"] == "ready"
assert node["ID"] in api.nodes and node["ID"] in api.node
assert [found["ID"] for found in api.nodes.get_nodes(prefix=node["ID"][:4])] == [node["ID"]]
detail = api.node.get_node(node["ID"])
assert detail["SecretID"] == "" and detail["Datacenter"] == "dc1"
assert api.node.get_allocations(node["ID"]) == []
assert node["ID"] in api.search.search(node["ID"][:4], "nodes")["Matches"]["nodes"]

api.node.eligible_node(node["ID"], ineligible=True)
until("ineligible", lambda: api.node.get_node(node["ID"])["SchedulingEligibility"] == "ineligible")
api.node.eligible_node(node["ID"], eligible=True)
until("eligible", lambda: api.node.get_node(node["ID"])["SchedulingEligibility"] == "eligible")
api.node.drain_node_with_spec(node["ID"], {"Deadline": 10**9, "IgnoreSystemJobs": False})
until("drained", lambda: api.node.get_node(node["ID"])["SchedulingEligibility"] == "ineligible")
api.node.drain_node_with_spec(node["ID"], None, mark_eligible=True)
until("eligible again", lambda: api.node.get_node(node["ID"])["SchedulingEligibility"] == "eligible")
assert api.node.evaluate_node(node["ID"])["NodeModifyIndex"] >= 0

assert api.system.initiate_garbage_collection()
assert {gauge["Name"] for gauge in api.metrics.get_metrics()["Gauges"]}
assert [space["Name"] for space in api.namespaces.get_namespaces()] == ["default"]
for empty in (api.jobs.get_jobs, api.evaluations.get_evaluations, api.allocations.get_allocations,
              api.deployments.get_deployments, api.scaling.get_scaling_policies):
    assert empty() == []

refused(lambda: api.node.get_node("00000000-0000-0000-0000-000000000000"), 404, "node not found")
refused(lambda: api.operator.delete_peer("127.0.0.99:4647"), 500, "was not found in the Raft configuration")
refused(lambda: api.acl.get_tokens(), 400, "ACL support disabled")
print("python-nomad: all calls answered as expected")
