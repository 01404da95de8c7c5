import HTTP

private func texts(_ map: [String: String]) -> JSONValue {
  .object(
    JSONObject(
      members: map.sorted { $0.key < $1.key }.map { JSONObject.Member(name: $0.key, value: .string($0.value)) }))
}

extension MemberAnswer {
  var json: JSONValue {
    [
      "Addr": .string(address), "DelegateCur": .integer(Int64(delegateCurrent)),
      "DelegateMax": .integer(Int64(delegateMax)), "DelegateMin": .integer(Int64(delegateMin)),
      "Name": .string(name), "Port": .integer(Int64(port)), "ProtocolCur": .integer(Int64(protocolCurrent)),
      "ProtocolMax": .integer(Int64(protocolMax)), "ProtocolMin": .integer(Int64(protocolMin)),
      "Status": .string(status), "Tags": texts(tags),
    ]
  }

  /// What a client-only agent shows in place of a member.
  static let none: JSONValue = [
    "Addr": nil, "DelegateCur": 0, "DelegateMax": 0, "DelegateMin": 0, "Name": "", "Port": 0, "ProtocolCur": 0,
    "ProtocolMax": 0, "ProtocolMin": 0, "Status": "none", "Tags": nil,
  ]
}

extension MembersAnswer {
  var json: JSONValue {
    [
      "Members": .array(members.map(\.json)), "ServerDC": .string(serverDatacenter),
      "ServerName": .string(serverName), "ServerRegion": .string(serverRegion),
    ]
  }
}

extension AgentSelfAnswer {
  var json: JSONValue {
    let sections = stats.sorted { $0.key < $1.key }
    return [
      "config": configuration, "member": member?.json ?? MemberAnswer.none,
      "stats": .object(
        JSONObject(members: sections.map { JSONObject.Member(name: $0.key, value: texts($0.value)) })),
    ]
  }
}

extension JoinAnswer {
  var json: JSONValue {
    [
      "error": .string(joined > 0 || errors.isEmpty ? "" : multipleErrors(errors)),
      "num_joined": .integer(Int64(joined)),
    ]
  }
}

extension HealthAnswer {
  var json: JSONValue {
    var object = JSONObject()
    if let client { object["client"] = client.json }
    if let server { object["server"] = server.json }
    return .object(object)
  }
}

extension HealthAnswer.Check {
  static func notEnabled(_ role: String) -> Self { Self(isHealthy: false, message: role + " not enabled") }

  var json: JSONValue {
    // The failing form has its keys in declaration order (http.md section 6.6).
    isHealthy
      ? ["message": .string(message), "ok": true]
      : ["ok": false, "message": .string(message)]
  }
}

extension KeyringAnswer {
  var json: JSONValue {
    let counts = keys.sorted { $0.key < $1.key }.map {
      JSONObject.Member(name: $0.key, value: .integer(Int64($0.value)))
    }
    return [
      "Keys": .object(JSONObject(members: counts)), "Messages": texts(messages), "NumNodes": .integer(Int64(nodes)),
    ]
  }
}
