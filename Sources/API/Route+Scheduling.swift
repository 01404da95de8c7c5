import HTTP

/// Endpoints of the scheduler, which this server does not have: they look empty (http.md section 10). Lists are real
/// calls, because in a mixed region the leader may have jobs.
extension Route {
  func scheduling(_ first: String) throws(APIFailure) -> Plan? {
    if segments.count == 1 {
      switch first {
      case "jobs" where request.method == .put || request.method == .post: return try register()
      case "jobs": return try list("Job.List", "Jobs")
      case "allocations": return try list("Alloc.List", "Allocations")
      case "evaluations": return try list("Eval.List", "Evaluations")
      case "deployments": return try list("Deployment.List", "Deployments")
      case "plugins": return try list("CSIPlugin.List", "Plugins")
      case "namespaces":
        try require(.get)
        return try read(
          "Namespace.ListNamespaces", .member("Namespaces", .rows(Shapes.namespace), .all, missing: nil))
      case "volumes":
        try require(.get)
        // No query metadata for this one [R].
        return try read("CSIVolume.List", .member("Volumes", .rows(.any), .none, missing: nil))
      case "namespace": throw APIFailure("Missing Namespace Name", status: 400)
      case "quotas": throw .enterprise
      default: return nil
      }
    }
    switch first {
    case "scaling" where segments == ["scaling", "policies"]: return try list("Scaling.ListPolicies", "Policies")
    case "job" where segments.count == 2:
      try require(.get)
      throw APIFailure("job not found", status: 404)
    case "allocation", "evaluation", "deployment": return try lookup(first)
    case "validate" where segments == ["validate", "job"]: return try validate()
    case "namespace": return try namespace()
    case "acl": throw APIFailure("ACL support disabled", status: 400)
    case "quota", "sentinel", "recommendation": throw .enterprise
    default: return nil
    }
  }

  private func list(_ method: String, _ member: StaticString) throws(APIFailure) -> Plan {
    try require(.get)
    return try read(method, .member(member, .rows(.any), .all, missing: nil))
  }

  private func lookup(_ kind: String) throws(APIFailure) -> Plan? {
    guard segments.count == 2 else { return nil }
    try require(.get)
    let name = kind == "allocation" ? "alloc" : kind == "evaluation" ? "eval" : kind
    guard segments[1].utf8.count == 36 else {
      throw APIFailure("\(name) lookup failed: index error: UUID must be 36 characters")
    }
    throw APIFailure("\(name) not found", status: 404)
  }

  private func register() throws(APIFailure) -> Plan {
    guard try RequestBody(request.body, type: "JobRegisterRequest").has("Job") else {
      throw APIFailure("Job must be specified", status: 400)
    }
    throw APIFailure("job scheduling is not supported by this server", status: 501)
  }

  private func validate() throws(APIFailure) -> Plan {
    try requireWrite()
    guard try RequestBody(request.body, type: "JobValidateRequest").has("Job") else {
      throw APIFailure("Job must be specified", status: 400)
    }
    throw APIFailure("job scheduling is not supported by this server", status: 501)
  }

  private func namespace() throws(APIFailure) -> Plan? {
    guard segments.count == 2 else { return nil }
    let name = segments[1]
    if name.isEmpty { throw APIFailure("Missing Namespace Name", status: 400) }
    switch request.method {
    case .get:
      return try read(
        "Namespace.GetNamespace", .member("Namespace", Shapes.namespace, .all, missing: "Namespace not found")
      ) { $0.add("Name", name) }
    case .delete:
      return try write("Namespace.DeleteNamespaces", .nothing(.index)) { $0.add("Namespaces") { $0.pack([name]) } }
    case .put, .post:
      let body = try RequestBody(request.body, type: "Namespace")
      let named = try body.string("Name")
      if !named.isEmpty, named != name {
        throw APIFailure("Namespace name does not match request path", status: 400)
      }
      let description = try body.string("Description")
      let quota = try body.string("Quota")
      return try write("Namespace.UpsertNamespaces", .nothing(.index)) {
        $0.add("Namespaces") {
          $0.packArrayHeader(1)
          var map = RPCBody()
          map.add("Name", name)
          map.add("Description", description)
          map.add("Quota", quota)
          $0.append(contentsOf: map.bytes)
        }
      }
    default: throw .invalidMethod
    }
  }
}
