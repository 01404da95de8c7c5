import Base

/// The other requests that a client agent makes (rpc.md sections 5.4 and 5.5).
public enum ClientRequest {
  /// Appends a complete `Node.UpdateStatus` request, keys sorted.
  public static func encodeUpdateStatus(
    nodeID: String, status: String, _ write: WriteRequest, into bytes: inout [UInt8]
  ) {
    bytes.packMapHeader(8)
    bytes.pack("AuthToken")
    bytes.pack(write.authToken)
    bytes.pack("Forwarded")
    bytes.pack(write.forwarded)
    bytes.pack("Namespace")
    bytes.pack(write.namespace)
    bytes.pack("NodeEvent")
    bytes.packNil()
    bytes.pack("NodeID")
    bytes.pack(nodeID)
    bytes.pack("Region")
    bytes.pack(write.region)
    bytes.pack("Status")
    bytes.pack(status)
    bytes.pack("UpdatedAt")
    bytes.pack(signed: 0)
  }

  /// Appends a complete `Node.GetClientAllocs` request.
  public static func encodeGetClientAllocations(
    nodeID: String, secretID: String, _ query: QueryOptions, into bytes: inout [UInt8]
  ) {
    bytes.packMapHeader(2 + query.fieldCount)
    query.encodeFields(into: &bytes)
    bytes.pack("NodeID")
    bytes.pack(nodeID)
    bytes.pack("SecretID")
    bytes.pack(secretID)
  }
}
