client {
  enabled = true
  servers = ["<known-address>:4647"]
}
