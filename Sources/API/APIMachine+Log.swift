import Base
import HTTP

extension APIMachine {
  /// Writes the lines of the original's access log about one answered request.
  ///
  /// - Parameter took: from the request to its answer.
  public func log(_ request: HTTPRequest, _ response: HTTPResponse, took: Interval, into log: inout LogSink) {
    if response.status >= 400 {
      log.log(
        response.status >= 500 ? .error : .debug, "http", "request failed",
        [
          "method": request.method.rawValue, "path": request.target,
          "error": String(decoding: response.body, as: UTF8.self), "code": "\(response.status)",
        ])
    }
    log.log(
      .debug, "http", "request complete",
      ["method": request.method.rawValue, "path": request.target, "duration": GoDuration.text(took)])
  }
}
