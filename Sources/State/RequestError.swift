import Wire

/// Why a request about nodes or settings is refused before anything is proposed. Peers match on `text`, so each is
/// exactly what Nomad answers (rpc.md section 5).
public enum RequestError: Error, Hashable, Sendable {
  case undecodable(WireError)
  case missing(Missing)
  case invalidStatus
  case invalidEligibility(String)
  case invalidAlgorithm(String)
  case eventSet
  case nodeID(NodeIDError)
  case nodeNotFound
  /// Registration under a known id with another secret.
  case secretMismatchOnRegistration
  /// Allocation query with another secret; clients register again when they read it.
  case secretMismatch
  case eligibleWhileDraining
  case noEvents
  case noEventsForNode(String)

  public enum Missing: Hashable, Sendable {
    case node, registrationID, datacenter, name, attributes, secretID
    case statusID, drainID, eligibilityID, evaluationID, deregistrationID, deregistrationIDs
    case allocationsID, allocationsSecretID, id
  }

  public var text: String {
    switch self {
    case .undecodable(let error): "msgpack decode error: \(error)"
    case .missing(let what): what.text
    case .invalidStatus: "invalid status for node"
    case .invalidEligibility(let value): "invalid scheduling eligibility \"\(value)\""
    case .invalidAlgorithm(let value): "invalid scheduler algorithm: \(value)"
    case .eventSet: "node event must not be set"
    case .nodeID(let error): error.text
    case .nodeNotFound: "node not found"
    case .secretMismatchOnRegistration: "node secret ID does not match. Not registering node."
    case .secretMismatch: "node secret ID does not match"
    case .eligibleWhileDraining: ApplyError.eligibleWhileDraining.text
    case .noEvents: "no node events given"
    case .noEventsForNode(let id): "no node events given for node \"\(id)\""
    }
  }

  static func decoding<T>(_ body: () throws(WireError) -> T) throws(RequestError) -> T {
    do throws(WireError) { return try body() } catch { throw .undecodable(error) }
  }
}

extension RequestError.Missing {
  var text: String {
    switch self {
    case .node: "missing node for client registration"
    case .registrationID: "missing node ID for client registration"
    case .datacenter: "missing datacenter for client registration"
    case .name: "missing node name for client registration"
    case .attributes: "missing attributes for client registration"
    case .secretID: "missing node secret ID for client registration"
    case .statusID: "missing node ID for client status update"
    case .drainID: "missing node ID for drain update"
    case .eligibilityID: "missing node ID for setting scheduling eligibility"
    case .evaluationID: "missing node ID for evaluation"
    case .deregistrationID: "missing node ID for client deregistration"
    case .deregistrationIDs: "missing node IDs for client deregistration"
    case .allocationsID, .id: "missing node ID"
    case .allocationsSecretID: "missing node secret ID for client status update"
    }
  }
}
