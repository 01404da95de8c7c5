# A client of the three servers beside this file.
# Start: nomadd --config deploy/examples/dev/client.hcl

name      = "client1"
data_dir  = "/tmp/nomadd/client1"
bind_addr = "127.0.0.4"

client {
  enabled    = true
  servers    = ["127.0.0.1:4647", "127.0.0.2:4647", "127.0.0.3:4647"]
  node_class = "lab"
}
