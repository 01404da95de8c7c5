# Every setting that shapes a cluster, with its default or a typical value. Copy what you need: an agent starts with
# far less (server.hcl and client.hcl beside this file).

# Who this agent is. The name must be unique in its region; it defaults to the host name.
name       = "nomad-1"
region     = "global"
datacenter = "dc1"

# Absolute. Holds the Raft log, the identity of this agent and the gossip keyring.
data_dir = "/var/lib/nomad"

# Where to listen: one address, or a template such as {{ GetInterfaceIP "eth0" }}.
bind_addr = "10.0.0.1"

# One service may listen elsewhere. HTTP takes several addresses, separated by blanks.
addresses {
  http = "10.0.0.1 127.0.0.1"
}

# What other agents are told, with or without a port. Needed behind address translation only.
advertise {
  http = "10.0.0.1"
  rpc  = "10.0.0.1"
  serf = "10.0.0.1"
}

ports {
  http = 4646
  rpc  = 4647
  serf = 4648 # TCP and UDP
}

log_level = "INFO" # TRACE, DEBUG, INFO, WARN, ERROR, OFF
log_json  = false

# Leave the cluster, rather than fail, on these signals. Right for servers that are taken away for good.
leave_on_interrupt = false
leave_on_terminate = false

server {
  enabled = true

  # The same number on every server of the first quorum: 3 or 5. May stay in the file for ever.
  bootstrap_expect = 3

  # Any server that answers is enough, and naming all of them is safest: entries may be addresses, names,
  # "provider=srv service=nomad domain=example.com", "exec=/usr/local/bin/list-servers" or "file=/path".
  server_join {
    retry_join     = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    retry_interval = "30s"
    retry_max      = 0 # for ever
  }

  # Encrypts gossip. The same on all servers of all regions; "openssl rand -base64 32" makes one.
  # encrypt = "cg8StVXbQJ0gPvMd9o7yrg=="

  raft_protocol   = 3
  raft_multiplier = 1 # 1 to 10; raise on slow machines or links

  heartbeat_grace           = "10s"
  min_heartbeat_ttl         = "10s"
  max_heartbeats_per_second = 50
  failover_heartbeat_ttl    = "5m"
  node_gc_threshold         = "24h"
}

# A machine may be server and client at once; larger clusters keep them apart.
client {
  enabled    = false
  servers    = ["10.0.0.1:4647", "10.0.0.2:4647", "10.0.0.3:4647"]
  node_class = "compute"

  meta {
    rack = "r1"
  }
}

# First values only: once the cluster runs, `nomad operator autopilot set-config` changes them.
autopilot {
  cleanup_dead_servers      = true
  last_contact_threshold    = "200ms"
  max_trailing_logs         = 250
  min_quorum                = 0
  server_stabilization_time = "10s"
}

limits {
  http_max_conns_per_client = 100
  rpc_max_conns_per_client  = 100
  rpc_handshake_timeout     = "5s"
}

telemetry {
  prometheus_metrics  = true
  collection_interval = "1s"
}
