/// The versions this agent speaks of.
enum NomadVersion {
  /// Of nomadd itself.
  static let own = "0.1.0"
  /// The Nomad release whose log format and gossip tags are implemented. Announced as the tag `build`: leaders of the
  /// original write only what every announced version understands.
  static let compatible = "1.1.2"
  /// What our client announces. Servers from 1.9 on refuse heartbeats of clients below 1.6.
  static let client = "1.6.0"

  #if arch(x86_64)
    static let architecture = "amd64"
  #elseif arch(arm64)
    static let architecture = "arm64"
  #else
    static let architecture = "unknown"
  #endif
}
