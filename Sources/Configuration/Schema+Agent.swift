extension Schema {
  /// Every key of a Nomad agent's configuration, releases up to 2.0 (config.md 3 to 7).
  static let agent = Schema(
    [
      "region": .text, "datacenter": .text, "name": .text, "data_dir": .text, "plugin_dir": .text, "bind_addr": .text,
      "log_level": .text, "log_json": .boolean, "log_file": .text, "log_rotate_bytes": .integer,
      "log_rotate_duration": .duration, "log_rotate_max_files": .integer,
      "leave_on_interrupt": .boolean, "leave_on_terminate": .boolean, "enable_debug": .boolean,
      "http_api_response_headers": .map,
      "ports": .block(ports), "addresses": .block(hosts), "advertise": .block(hosts),
      "limits": .block(limits), "server": .block(server), "client": .block(client), "autopilot": .block(autopilot),
      "telemetry": .block(telemetry), "tls": .block(tls), "acl": .block(acl),
    ],
    silent: ["disable_update_check", "disable_anonymous_signature", "syslog_facility"],
    ignored: [
      "enable_syslog", "log_include_location", "consul", "vault", "plugin", "sentinel", "audit", "ui", "reporting",
      "rpc", "keyring", "eventlog",
    ])

  static let ports = Schema(["http": .port, "rpc": .port, "serf": .port])

  static let hosts = Schema(["http": .text, "rpc": .text, "serf": .text])

  static let limits = Schema([
    "https_handshake_timeout": .duration, "http_max_conns_per_client": .explicitInteger,
    "rpc_handshake_timeout": .duration, "rpc_max_conns_per_client": .explicitInteger,
  ])

  static let join = Schema([
    "start_join": .replacedList, "retry_join": .replacedList, "retry_max": .integer, "retry_interval": .duration,
  ])

  static let server = Schema(
    repeats: true,
    [
      "enabled": .boolean, "bootstrap_expect": .integer, "data_dir": .text, "server_join": .block(join),
      "start_join": .appendedList, "retry_join": .appendedList, "retry_max": .integer, "retry_interval": .duration,
      "encrypt": .text, "rejoin_after_leave": .boolean, "protocol_version": .integer, "raft_protocol": .integer,
      "raft_multiplier": .explicitInteger, "heartbeat_grace": .duration, "min_heartbeat_ttl": .duration,
      "max_heartbeats_per_second": .decimal, "failover_heartbeat_ttl": .duration, "node_gc_threshold": .duration,
      "authoritative_region": .text, "federates_with": .replacedList, "non_voting_server": .boolean,
      "witness": .boolean, "redundancy_zone": .text, "upgrade_version": .text,
      "raft_snapshot_threshold": .integer, "raft_snapshot_interval": .duration, "raft_trailing_logs": .integer,
    ],
    silent: ["start_timeout"],
    ignored: [
      "job_gc_interval", "job_gc_threshold", "eval_gc_threshold", "batch_eval_gc_threshold", "deployment_gc_threshold",
      "csi_volume_claim_gc_interval", "csi_volume_claim_gc_threshold", "csi_plugin_gc_threshold",
      "acl_token_gc_threshold", "root_key_gc_interval", "root_key_gc_threshold", "root_key_rotation_threshold",
      "num_schedulers", "enabled_schedulers", "default_scheduler_config", "enable_event_broker", "event_buffer_size",
      "search", "deploy_query_rate_limit", "license_path", "raft_boltdb", "raft_logstore", "plan_rejection_tracker",
      "plan_apply_pipeline", "job_default_priority", "job_max_priority", "job_max_count", "job_max_source_size",
      "job_tracked_versions", "oidc_issuer", "client_introduction", "log_file", "non_production",
    ])

  static let client = Schema(
    repeats: true,
    [
      "enabled": .boolean, "servers": .appendedList, "server_join": .block(join), "state_dir": .text,
      "alloc_dir": .text, "node_class": .text, "node_pool": .text, "meta": .map, "options": .map,
      "network_interface": .text,
    ],
    silent: ["stats", "no_host_uuid", "disable_remote_exec", "max_kill_timeout", "gc_interval"],
    ignored: [
      "network_speed", "cpu_total_compute", "cpu_disable_dmidecode", "memory_total_mb", "disk_total_mb", "disk_free_mb",
      "reservable_cores", "reserved", "client_min_port", "client_max_port", "min_dynamic_port", "max_dynamic_port",
      "gc_parallel_destroys", "gc_disk_usage_threshold", "gc_inode_usage_threshold", "gc_max_allocs",
      "gc_volumes_on_node_gc", "chroot_env", "template", "host_volume", "host_volumes_dir", "host_volume_plugin_dir",
      "host_network", "cni_path", "cni_config_dir", "bridge_network_name", "bridge_network_subnet",
      "bridge_network_subnet_ipv6", "bridge_network_hairpin_mode", "cgroup_parent", "alloc_mounts_dir",
      "bind_wildcard_default_host_network", "artifact", "drain_on_shutdown", "users", "fingerprint",
      "preferred_address_family", "node_max_allocs", "nomad_service_discovery", "disable_allocation_hook_metrics",
      "intro_token", "common_plugin_dir", "log_file",
    ])

  static let autopilot = Schema([
    "cleanup_dead_servers": .choice, "server_stabilization_time": .duration, "last_contact_threshold": .duration,
    "max_trailing_logs": .integer, "min_quorum": .integer, "enable_redundancy_zones": .choice,
    "disable_upgrade_migration": .choice, "enable_custom_upgrades": .choice,
  ])

  static let telemetry = Schema(
    repeats: true,
    [
      "collection_interval": .duration, "prometheus_metrics": .boolean, "disable_hostname": .boolean,
      "use_node_name": .boolean, "publish_node_metrics": .boolean, "filter_default": .choice,
      "prefix_filter": .replacedList, "statsd_address": .text, "in_memory_collection_interval": .duration,
      "in_memory_retention_period": .duration,
    ],
    silent: ["publish_allocation_metrics", "disable_dispatched_job_summary_metrics"],
    ignored: [
      "statsite_address", "datadog_address", "datadog_tags", "include_alloc_metadata_in_metrics",
      "allowed_metadata_keys_in_metrics", "disable_allocation_hook_metrics", "disable_quota_utilization_metrics",
      "disable_rpc_rate_metrics_labels", "backwards_compatible_metrics", "disable_tagged_metrics",
      "circonus_api_token", "circonus_api_app", "circonus_api_url", "circonus_submission_interval",
      "circonus_submission_url", "circonus_check_id", "circonus_check_force_metric_activation",
      "circonus_check_instance_id", "circonus_check_search_tag", "circonus_check_tags",
      "circonus_check_display_name", "circonus_broker_id", "circonus_broker_select_tag",
    ])

  static let tls = Schema(
    [
      "http": .boolean, "rpc": .boolean, "ca_file": .text, "cert_file": .text, "key_file": .text,
      "verify_server_hostname": .boolean, "verify_https_client": .boolean, "rpc_upgrade_mode": .boolean,
      "tls_min_version": .text, "tls_cipher_suites": .text,
    ],
    silent: ["tls_prefer_server_cipher_suites"])

  static let acl = Schema(
    ["enabled": .boolean],
    silent: [
      "token_ttl", "policy_ttl", "role_ttl", "token_min_expiration_ttl", "token_max_expiration_ttl",
      "replication_token",
    ])
}
