import Base
import Gossip
import Wire

// The keyring, here and on all members (gossip.md 6.10).
extension MembershipMachine {
  /// Asks every member, ourselves included, to change its keyring. `keyringOperationFinished` follows when all live
  /// members have answered, at the latest after the query's timeout (8 s in a small pool).
  public mutating func changeKeyring(
    _ operation: KeyringOperation, at now: Instant, effects: inout Effects
  ) -> QueryID {
    let kind: KeyOperation.Kind
    let key: [UInt8]
    switch operation {
    case .install(let value): (kind, key) = (.install, value)
    case .use(let value): (kind, key) = (.use, value)
    case .remove(let value): (kind, key) = (.remove, value)
    case .list: (kind, key) = (.list, [])
    }
    var payload: [UInt8] = []
    SerfKeyRequest.encode(key: key, into: &payload)
    let query = Query(name: kind.rawValue, payload: payload)
    let id = serf.startQuery(query, purpose: .keyring, now: now, effects: &effects)
    afterCall(at: now, effects: &effects)
    precondition(id != nil, "a key fits into a query")
    return id ?? QueryID(number: 0)
  }

  /// Applies key queries to the keyring and answers them.
  mutating func performKeyOperations(effects: inout Effects) {
    let operations = serf.keyOperations
    serf.keyOperations.removeAll()
    for operation in operations {
      var response = withGossip { gossip, _ in Self.perform(operation, on: &gossip.cipher) }
      if response.result, operation.kind != .list {
        serf.events.append(.keyringChanged)
        if configuration.awaitsKeyringStorage {
          guard unstored.count < Self.maximumUnstored else { continue }
          unstored.append(operation.answer)
          continue
        }
      }
      var payload: [UInt8] = []
      response.encode(into: &payload)
      let total = response.keys?.count ?? 0
      while let shown = response.keys?.count, shown > 0,
        serf.answerBytes(payload, to: operation.answer) > SerfLimits.maximumResponseBytes
      {
        response.keys = Array((response.keys ?? []).prefix(min(shown - 1, Self.maximumListedKeys)))
        response.message = "truncated key list response, showing first \(response.keys?.count ?? 0) of \(total) keys"
        payload = []
        response.encode(into: &payload)
      }
      serf.send(payload, flags: 0, to: operation.answer, effects: &effects)
    }
  }

  /// Changes that wait for the disk; more come only from a flood, whose answers nobody needs.
  static let maximumUnstored = 64

  /// The keys of the last `.keyringChanged` are stored, or cannot be: then `failure` says why, and everybody who asked
  /// for a change since the last call is told so. The change itself stays in force until the end of the process, as
  /// with peers.
  public mutating func keyringStored(failure: String?, at now: Instant, effects: inout Effects) {
    let waiting = unstored
    unstored.removeAll()
    for answer in waiting {
      let response =
        failure.map { SerfKeyResponse(result: false, message: "keyring is changed, but not stored: \($0)") }
        ?? SerfKeyResponse(result: true)
      var payload: [UInt8] = []
      response.encode(into: &payload)
      serf.send(payload, flags: 0, to: answer, effects: &effects)
    }
    afterCall(at: now, effects: &effects)
  }

  /// What fits into one answer at best: 1024 bytes, 25 for each key.
  static let maximumListedKeys = 40

  private static func perform(
    _ operation: KeyOperation, on cipher: inout (any PacketCipher)?
  ) -> SerfKeyResponse {
    guard cipher != nil else {
      let problem = operation.kind == .list ? "Keyring is empty" : "No keyring to modify"
      return SerfKeyResponse(result: false, message: "\(problem) (encryption not enabled)")
    }
    if operation.kind == .list {
      let keys = (cipher?.keys ?? []).map { Base64.encode($0) }
      return SerfKeyResponse(result: true, keys: keys, primaryKey: keys.first ?? "")
    }
    guard let key = operation.key else { return SerfKeyResponse(result: false, message: "malformed key request") }
    do throws(KeyringError) {
      switch operation.kind {
      case .install: try cipher?.install(key)
      case .use: try cipher?.use(key)
      case .remove: try cipher?.remove(key)
      case .list: break
      }
      return SerfKeyResponse(result: true)
    } catch {
      return SerfKeyResponse(result: false, message: error.text)
    }
  }
}
