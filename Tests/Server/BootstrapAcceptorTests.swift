import Base
import Testing

@testable import Server

@Suite struct BootstrapAcceptorTests {
  private static let servers = (0..<3).map(BootstrapNetwork.server).sorted()

  private func request(_ kind: BootstrapRequest.Kind, from index: Int, counter: UInt64) -> BootstrapRequest {
    let sender = BootstrapNetwork.server(index)
    return BootstrapRequest(
      kind: kind, ballot: Ballot(counter: counter, proposer: sender.id), sender: sender, expect: 3,
      servers: Self.servers)
  }

  /// A member of an empty data directory that has promised `accept` and made the promise durable.
  private func promised(_ accept: BootstrapRequest) -> BootstrapMachine {
    var machine = BootstrapNetwork.machine(1, expect: 3, disk: BootstrapRecord(), view: .empty, at: .start)
    machine.handle(request: accept, token: BootstrapRequestToken(number: 1), at: .start)
    machine.directives.removeAll()
    machine.persisted(at: .start)
    return machine
  }

  private func answer(_ machine: inout BootstrapMachine, to request: BootstrapRequest) -> BootstrapReply? {
    machine.directives.removeAll()
    machine.handle(request: request, token: BootstrapRequestToken(number: 9), at: .start)
    guard case .reply(_, let reply)? = machine.directives.last else { return nil }
    return reply
  }

  @Test func promisesNothingBeforeItIsOnDisk() {
    var machine = BootstrapNetwork.machine(1, expect: 3, disk: BootstrapRecord(), view: .empty, at: .start)
    machine.handle(
      request: request(.accept, from: 0, counter: 1), token: BootstrapRequestToken(number: 1), at: .start)
    guard case .persist(let record)? = machine.directives.first else { return #expect(Bool(false)) }
    #expect(machine.directives.count == 1 && record.promise?.servers == Self.servers)
    machine.directives.removeAll()
    machine.persisted(at: .start)
    #expect(machine.directives == [.reply(BootstrapRequestToken(number: 1), BootstrapReply(.yes))])
  }

  @Test func repeatsAPromiseAndGivesNoSecondOne() {
    let accept = request(.accept, from: 0, counter: 1)
    var machine = promised(accept)
    #expect(answer(&machine, to: accept)?.answer == .yes)
    #expect(answer(&machine, to: request(.accept, from: 2, counter: 1))?.answer == .no)
    #expect(answer(&machine, to: request(.accept, from: 0, counter: 2))?.answer == .no)
  }

  @Test func aServerThatAnotherClusterTookInConfirmsNoOldPromise() {
    let accept = request(.accept, from: 0, counter: 1)
    var machine = promised(accept)
    var random = RandomSource(seed: 1)
    let taken = BootstrapView(peers: [], unreachedJoinAddresses: 0, isPristine: false)
    machine.update(view: taken, at: .start, random: &random)
    #expect(answer(&machine, to: accept)?.answer == .no)
  }
}
