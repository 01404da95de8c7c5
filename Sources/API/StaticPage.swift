import HTTP

/// The page below `/ui/`: there is no web interface, only a hint where things are.
enum StaticPage {
  static let ui = HTTPResponse(
    status: 200, headers: [HTTPHeader("Content-Type", "text/html; charset=utf-8")],
    body: Array(
      """
      <!DOCTYPE html>
      <html lang="en">
      <head><meta charset="utf-8"><title>nomadd</title></head>
      <body>
      <h1>nomadd</h1>
      <p>This agent has no web interface. Its state as JSON:</p>
      <ul>
      <li><a href="/v1/agent/members?pretty">members of the gossip pool</a></li>
      <li><a href="/v1/operator/quorum?pretty">quorum report</a></li>
      <li><a href="/v1/operator/raft/configuration?pretty&amp;stale">Raft configuration</a></li>
      <li><a href="/v1/nodes?pretty&amp;stale">nodes</a></li>
      <li><a href="/v1/agent/self?pretty">this agent</a></li>
      <li><a href="/v1/metrics?pretty">metrics</a></li>
      </ul>
      </body>
      </html>

      """.utf8))
}
