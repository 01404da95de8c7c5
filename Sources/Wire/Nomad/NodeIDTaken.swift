/// The error of a registration under a node id that a living agent has: this, the id, a colon, and who they are.
public enum NodeIDTaken {
  public static let prefix = "another client has the node id"
  /// Attribute of nomadd's clients with the id that Linux gives each boot of a machine.
  public static let bootAttribute = "unique.nomadd.boot_id"
}
