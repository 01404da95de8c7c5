server {
  enabled          = true
  bootstrap_expect = 3
  retry_join       = ["<known-address>:4648"]
}
