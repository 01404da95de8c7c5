# Server 2 of three on one machine, each on a loopback address of its own.
# Start: nomadd --config deploy/examples/dev/server2.hcl

name      = "server2"
data_dir  = "/tmp/nomadd/server2"
bind_addr = "127.0.0.2"

server {
  enabled          = true
  bootstrap_expect = 3
  retry_join       = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
  retry_interval   = "1s"
}
