import Base
import Wire

/// Flow control of one stream. Holds a buffer only while the peer's window is closed.
struct YamuxStream: Sendable {
  let id: UInt32
  /// The owner's name for the stream.
  var tag: Int32 = -1
  /// Bytes the peer may still send.
  var receiveWindow = YamuxSession.initialWindow
  /// Bytes used up by the owner and not granted again yet.
  var consumed = 0
  /// Bytes we may still send.
  var sendWindow = YamuxSession.initialWindow
  var isAcknowledged: Bool
  var isRemotelyFinished = false
  /// Our FIN has been sent.
  var isLocallyFinished = false
  /// Our FIN follows the pending bytes.
  private var finishesWhenDrained = false
  /// What waits for the peer's window, from `pendingStart` on.
  var pending: [UInt8] = []
  private var pendingStart = 0

  init(id: UInt32, tag: Int32 = -1, isAcknowledged: Bool) {
    self.id = id
    self.tag = tag
    self.isAcknowledged = isAcknowledged
  }

  var pendingCount: Int { pending.count - pendingStart }

  mutating func finish(output: inout [UInt8]) {
    guard !isLocallyFinished else { return }
    if pendingCount > 0 {
      finishesWhenDrained = true
    } else {
      isLocallyFinished = true
      YamuxHeader(.windowUpdate, flags: .finish, stream: id).encode(into: &output)
    }
  }

  /// Sends what the wider window allows. True when something was pending and nothing is any more.
  mutating func widenSendWindow(by count: Int, output: inout [UInt8]) -> Bool {
    // No honest peer grants more than its buffer; the bound keeps the sum far from overflow.
    sendWindow = min(sendWindow + count, Int(UInt32.max))
    guard pendingCount > 0 else { return false }
    let allowed = min(sendWindow, pendingCount)
    guard allowed > 0 else { return false }
    YamuxHeader(.data, stream: id, length: UInt32(allowed)).encode(into: &output)
    output.append(contentsOf: pending[pendingStart..<(pendingStart + allowed)])
    sendWindow -= allowed
    pendingStart += allowed
    guard pendingStart == pending.count else { return false }
    pending = []
    pendingStart = 0
    if finishesWhenDrained { finish(output: &output) }
    return true
  }
}
